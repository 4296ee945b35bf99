//! `monobase licenses`: whose work is inside, and under which terms.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use embedded_postgres::{Engine, EngineSource};
use serde::Deserialize;

use crate::failure::Failure;
use crate::output;

/// Collected by the build script.
const CRATES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/licenses.json.zst"));

const OURS: &str = include_str!("../../../../LICENSE");

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    spdx: Option<String>,
    texts: Vec<String>,
}

pub(crate) fn run() -> Result<(), Failure> {
    let json = zstd::decode_all(CRATES).map_err(anyhow::Error::from)?;
    let packages: Vec<Package> = serde_json::from_slice(&json).map_err(anyhow::Error::from)?;
    let mut out = format!("monobase (Apache-2.0)\n\n{}\n", OURS.trim_end());

    heading(&mut out, "The database engine");
    // The texts travel with the engine; without one, the list is what there is.
    let engine = Engine::locate(EngineSource::default()).ok();
    for part in embedded_postgres::licenses::parts() {
        let _ = writeln!(out, "\n{} {} ({})", part.name, part.version, part.spdx);
        if let Some(text) = engine.as_ref().and_then(|engine| part.text(engine)) {
            let _ = writeln!(out, "\n{}", text.trim_end());
        }
    }

    heading(&mut out, "Rust crates");
    // Hundreds of crates share a few texts: each text once, with everyone who uses it.
    let mut by_text: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for package in &packages {
        let spdx = package.spdx.as_deref().unwrap_or("see text");
        let title = format!("{} {} ({spdx})", package.name, package.version);
        if package.texts.is_empty() {
            by_text.entry("").or_default().push(title.clone());
        }
        for text in &package.texts {
            by_text.entry(text.trim()).or_default().push(title.clone());
        }
    }
    for (text, mut users) in by_text {
        users.dedup();
        let _ = write!(out, "\n{}\n", users.join("\n"));
        let text = if text.is_empty() {
            "(published without a text; the name of the licence says its terms)"
        } else {
            text
        };
        let _ = writeln!(out, "\n{text}");
    }
    output::print(&out)
}

fn heading(out: &mut String, title: &str) {
    let rule = "=".repeat(80);
    let _ = write!(out, "\n{rule}\n{title}\n{rule}\n");
}
