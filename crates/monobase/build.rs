//! Collects the licence texts of every crate that the binary contains, for `monobase licenses`.
//!
//! They come from the unpacked registry sources that the build reads anyway, and go into the binary
//! as one compressed list: JSON of `[{name, version, spdx, texts}]`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::{Value, json};

/// Beginnings of the names of files that hold a licence or what must be passed on with it.
const TEXTS: [&str; 8] =
    ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE", "PATENTS", "README.IJG"];

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let lock = manifest.with_file_name("../../Cargo.lock");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", lock.display());

    let metadata = metadata(&manifest)?;
    let shipped = shipped(&metadata)?;
    let mut crates = Vec::new();
    for package in metadata["packages"].as_array().ok_or("no packages")? {
        let id = package["id"].as_str().ok_or("no id")?;
        // Ours are under the licence of the whole.
        if !shipped.contains(id) || package["source"].is_null() {
            continue;
        }
        crates.push(json!({
            "name": package["name"],
            "version": package["version"],
            "spdx": package["license"],
            "texts": texts(package)?,
        }));
    }
    crates.sort_by_key(|package| package["name"].as_str().unwrap_or_default().to_owned());
    let packed = zstd::encode_all(serde_json::to_vec(&crates)?.as_slice(), 19)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("licenses.json.zst"), packed)?;
    Ok(())
}

/// Cargo's view of the workspace.
fn metadata(manifest: &Path) -> Result<Value, Box<dyn Error>> {
    let ask = |more: &[&str]| -> Result<_, Box<dyn Error>> {
        let mut command = Command::new(env::var("CARGO")?);
        command.args(["metadata", "--format-version", "1", "--filter-platform", &env::var("TARGET")?]);
        Ok(command.arg("--manifest-path").arg(manifest).args(more).output()?)
    };
    // The build has fetched what it compiles. The graph also names what only tests use: on a fresh machine those may
    // be missing, and are fetched.
    let mut output = ask(&["--offline"])?;
    if !output.status.success() {
        output = ask(&[])?;
    }
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The packages that end up in the binary: what `monobase` reaches without tests and build scripts.
fn shipped(metadata: &Value) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .ok_or("no dependency graph")?
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let root = metadata["resolve"]["root"].as_str().ok_or("no root package")?;
    let mut seen = BTreeSet::from([root.to_owned()]);
    let mut open = vec![root.to_owned()];
    while let Some(id) = open.pop() {
        let dependencies = nodes.get(id.as_str()).and_then(|node| node["deps"].as_array());
        for dependency in dependencies.into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            let normal = kinds.into_iter().flatten().any(|kind| kind["kind"].is_null());
            let target = dependency["pkg"].as_str().ok_or("a dependency without a package")?;
            if normal && seen.insert(target.to_owned()) {
                open.push(target.to_owned());
            }
        }
    }
    Ok(seen)
}

/// The texts in the package's folder, in the order of their names, and those in the folders directly below, where C libraries
/// lie that are compiled in.
fn texts(package: &Value) -> Result<Vec<String>, Box<dyn Error>> {
    let manifest = package["manifest_path"].as_str().ok_or("no manifest path")?;
    let folder = Path::new(manifest).parent().ok_or("a manifest without a folder")?;
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                files.insert(entry?.path());
            }
        } else {
            files.insert(path);
        }
    }
    files.retain(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
        path.is_file() && TEXTS.iter().any(|beginning| name.starts_with(beginning))
    });
    if let Some(named) = package["license_file"].as_str() {
        files.insert(folder.join(named));
    }
    Ok(files.into_iter().filter_map(|path| fs::read_to_string(path).ok()).collect())
}
