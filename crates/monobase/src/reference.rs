//! `docs/reference/cli.md`, rendered from the grammar. The committed page is compared with what the grammar says now;
//! `UPDATE_REFERENCE=1 cargo test -p monobase reference` writes it.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::cli::Cli;

/// Cargo runs tests in the folder of their crate. What it was when they were compiled may be another checkout's.
const PAGE: &str = "../../docs/reference/cli.md";

const INTRODUCTION: &str = "\
# The command line

<!-- Generated from the program's own grammar: UPDATE_REFERENCE=1 cargo test -p monobase reference -->

Data goes to standard output, everything else to standard error. The exit code is 0 when all went well, 1 for an error, 2 for
a command line that is not understood, 3 when something must be done first (`status` when nothing runs).
";

fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut out = INTRODUCTION.to_owned();
    out.push_str("\n## Options of every command\n\n");
    let global: Vec<&Arg> = root.get_arguments().filter(|arg| arg.is_global_set()).collect();
    table(&mut out, &global);
    for command in root.get_subcommands() {
        section(&mut out, command, "monobase");
    }
    out
}

fn section(out: &mut String, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    if command.has_subcommands() {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            section(out, inner, &name);
        }
        return;
    }
    let positional: String = command
        .get_positionals()
        .map(|arg| {
            let name = arg.get_value_names().map_or(arg.get_id().as_str(), |names| names[0].as_str());
            if arg.is_required_set() { format!(" <{name}>") } else { format!(" [{name}]") }
        })
        .collect();
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help")
        .collect();
    let options = if own.iter().any(|arg| !arg.is_positional()) { " [options]" } else { "" };
    let _ = write!(out, "\n## {name}\n\n```sh\n{name}{options}{positional}\n```\n\n");
    let _ = writeln!(out, "{}.", command.get_about().unwrap());
    if !own.is_empty() {
        out.push('\n');
        table(out, &own);
    }
}

fn table(out: &mut String, arguments: &[&Arg]) {
    out.push_str("| option | meaning |\n|---|---|\n");
    for arg in arguments {
        let mut names = Vec::new();
        names.extend(arg.get_short().map(|short| format!("-{short}")));
        names.extend(arg.get_long().map(|long| format!("--{long}")));
        let value = arg.get_value_names().map_or(arg.get_id().as_str(), |names| names[0].as_str());
        let spelt = if names.is_empty() {
            format!("`<{value}>`")
        } else if matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
            format!("`{} <{value}>`", names.join(", "))
        } else {
            format!("`{}`", names.join(", "))
        };
        let mut meaning = arg.get_help().unwrap().to_string().replace('|', "\\|");
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let values: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| takes_value && !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !values.is_empty() {
            let _ = write!(meaning, ": {}", values.join(", "));
        }
        let defaults: Vec<_> = arg.get_default_values().iter().filter_map(|value| value.to_str()).collect();
        if takes_value && !defaults.is_empty() {
            let _ = write!(meaning, " (default: `{}`)", defaults.join(","));
        }
        let _ = writeln!(out, "| {spelt} | {meaning} |");
    }
}

#[test]
fn the_committed_reference_is_current() {
    let page = page();
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::create_dir_all(Path::new(PAGE).parent().unwrap()).unwrap();
        fs::write(PAGE, &page).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert_eq!(
        committed, page,
        "docs/reference/cli.md is old: UPDATE_REFERENCE=1 cargo test -p monobase reference"
    );
}
