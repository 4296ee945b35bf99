//! Holds the invariants of ARCHITECTURE.md that a manifest or a file can break.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const SERVICES: &[&str] = &["gateway", "rest", "auth", "storage", "imgproxy", "realtime", "inbox"];

fn crates_folder() -> PathBuf {
    // Cargo runs tests in the folder of their crate.
    fs::canonicalize("..").unwrap()
}

/// What stands under `[dependencies]` (tests may use more) in the manifest of `name`.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(crates_folder().join(name).join("Cargo.toml")).unwrap();
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|word| !word.is_empty() && !word.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn all_crates() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(crates_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| crates_folder().join(name).join("Cargo.toml").exists())
        .collect();
    names.sort();
    names
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            found.push(path);
        }
    }
}

#[test]
fn services_import_neither_each_other_nor_config() {
    for service in SERVICES {
        let dependencies = dependencies(service);
        for other in SERVICES.iter().chain(&["config", "server", "bootstrap", "monobase"]) {
            assert!(!dependencies.contains(*other), "{service} depends on {other}");
        }
    }
}

#[test]
fn only_server_knows_the_services_and_only_the_binary_knows_server() {
    for name in all_crates() {
        let dependencies = dependencies(&name);
        for service in SERVICES {
            assert!(
                name == "server" || !dependencies.contains(*service),
                "{name} depends on the service {service}"
            );
        }
        assert!(name == "monobase" || !dependencies.contains("server"), "{name} depends on server");
    }
}

#[test]
fn foundations_know_no_routes() {
    for name in all_crates() {
        if SERVICES.contains(&name.as_str()) || name == "server" || name == "monobase" {
            continue;
        }
        let dependencies = dependencies(&name);
        assert!(!dependencies.contains("axum"), "the foundation {name} depends on axum");
        assert!(name != "testkit" && name != "server" || !dependencies.contains("server"));
    }
}

#[test]
fn there_is_one_database_client() {
    for name in all_crates() {
        for other in ["tokio-postgres", "sqlx", "postgres", "diesel", "deadpool-postgres"] {
            assert!(!dependencies(&name).contains(other), "{name} brings a second client: {other}");
        }
        assert!(
            name == "database" || !dependencies(&name).contains("postgres-protocol") || name == "bootstrap",
            "{name} speaks the wire protocol by itself"
        );
    }
}

#[test]
fn services_contain_no_ddl() {
    let statements = ["create table", "alter table", "create function", "create policy", "drop table"];
    for service in SERVICES {
        let mut files = Vec::new();
        sources(&crates_folder().join(service).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap().to_lowercase();
            for (number, line) in text.lines().enumerate() {
                let code = line.trim_start();
                if code.starts_with("//") {
                    continue;
                }
                for statement in statements {
                    assert!(!code.contains(statement), "DDL in {}:{}", file.display(), number + 1);
                }
            }
        }
    }
}

/// Where the links of a Markdown page lead, without those to other hosts and to places in the page itself.
fn links(page: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(page).unwrap();
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .map(|link| page.parent().unwrap().join(link))
        .collect()
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let root = crates_folder().parent().unwrap().to_owned();
    let mut pages: Vec<_> = ["docs", "docs/reference", "."]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    let listed = links(&root.join("docs/SUMMARY.md"));
    for page in &pages {
        let in_the_book = page.starts_with(root.join("docs")) && !page.ends_with("SUMMARY.md");
        assert!(!in_the_book || listed.contains(page), "{} is not in the summary", page.display());
        for link in links(page) {
            assert!(link.exists(), "{}: {} is not there", page.display(), link.display());
        }
    }
}
