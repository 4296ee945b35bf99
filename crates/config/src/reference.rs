//! `docs/reference/configuration.md`, rendered from the declarations in [`crate::file`]. The committed page is compared with
//! what they say now; `UPDATE_REFERENCE=1 cargo test -p config reference` writes it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::{env, fs};

use crate::{Config, Entry, Environment, Flags, Origin, aliases};

/// Cargo runs tests in the folder of their crate. What it was when they were compiled may be another checkout's.
const PAGE: &str = "../../docs/reference/configuration.md";

const INTRODUCTION: &str = "\
# Keys of the configuration

<!-- Generated from the program's own declarations: UPDATE_REFERENCE=1 cargo test -p config reference -->

Every key of `supabase/config.toml`, its default, and the environment variables that set it, most important first. A variable
with `not` before it says the opposite of the key. Where nothing is given as default, the key is not set. `<name>` is a name of
your choice. [Configuration](../configuration.md) says how sources and names work together.

Keys of services that do not exist yet are read and checked, and do nothing.
";

/// A name for every section whose parts are named freely.
const FREE: &str = "\
[functions.x]
[storage.buckets.x]
[auth.email.template.x]
[auth.email.notification.x]
[auth.external.x]
";

fn page() -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    fs::create_dir_all(root.join("supabase")).unwrap();
    fs::write(root.join("supabase/config.toml"), FREE).unwrap();
    let nothing: [(std::ffi::OsString, std::ffi::OsString); 0] = [];
    let config = Config::load(&Flags::default(), Environment::from_process(nothing), &root).unwrap();
    let mut sections: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for entry in &config.entries {
        let section = entry.path.rsplit_once('.').map_or("", |(section, _)| section);
        sections.entry(free(section)).or_default().push(entry);
    }
    let mut out = INTRODUCTION.to_owned();
    for (section, entries) in sections {
        let title = if section.is_empty() { "At the top".to_owned() } else { format!("`[{section}]`") };
        let _ = writeln!(out, "\n## {title}\n\n| key | default | environment |\n|---|---|---|");
        for entry in entries {
            let key = entry.path.rsplit('.').next().unwrap();
            let names: Vec<String> = aliases::names_of(&entry.path)
                .into_iter()
                .map(|alias| {
                    let name = alias.name.replace("_X_", "_<NAME>_");
                    if alias.negated { format!("not `{name}`") } else { format!("`{name}`") }
                })
                .collect();
            let _ = writeln!(out, "| `{key}` | {} | {} |", default(entry), names.join(", "));
        }
    }
    out
}

fn free(section: &str) -> String {
    section.strip_suffix(".x").map_or_else(|| section.to_owned(), |before| format!("{before}.<name>"))
}

fn default(entry: &Entry) -> String {
    match (entry.path.as_str(), &entry.origin, &entry.shown) {
        ("project_id", ..) => "the folder's name".to_owned(),
        ("monobase.data_dir", ..) => "`.monobase/` beside `supabase/`".to_owned(),
        (_, Origin::Derived(from), _) => format!("from {from}"),
        (_, _, Some(shown)) => format!("`{}`", shown.replace('|', "\\|")),
        (_, _, None) => String::new(),
    }
}

#[test]
fn the_committed_reference_is_current() {
    let page = page();
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert_eq!(
        committed, page,
        "docs/reference/configuration.md is old: UPDATE_REFERENCE=1 cargo test -p config reference"
    );
}
