//! Mistakes, exit codes, and the commands that need nothing.

use std::io::Read as _;
use std::process::Stdio;

use crate::support::Project;

#[test]
fn a_wrong_flag_is_a_usage_error() {
    let done = Project::empty().run(&["start", "--prot", "1"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.starts_with("error: unexpected argument '--prot' found"), "{}", done.stderr);
    assert_eq!(done.stdout, "");
}

#[test]
fn an_unknown_service_is_named_with_a_suggestion() {
    let done = Project::empty().run(&["serve", "postgrset"]);
    assert_eq!(done.code, 2);
    assert_eq!(done.stderr, "error: there is no service `postgrset`\nhint: did you mean `postgrest`?\n");
}

#[test]
fn nothing_running_is_exit_code_3_for_status_and_success_for_stop() {
    let project = Project::empty();
    let status = project.run(&["status", "-o", "env"]);
    assert_eq!(status.code, 3);
    assert_eq!(status.stdout, "");
    assert_eq!(status.stderr, "error: monobase is not running here\nhint: start it with `monobase start`\n");
    let stop = project.run(&["stop"]);
    assert_eq!((stop.code, stop.stderr.as_str()), (0, "monobase: monobase is not running here\n"));
    assert!(!project.path(".monobase").exists(), "asking must leave nothing behind");
}

#[test]
fn a_broken_file_does_not_keep_anyone_from_stopping() {
    let project = Project::with(&[("supabase/config.toml", "[api\n")]);
    assert_eq!(project.run(&["status"]).code, 3);
    assert_eq!(project.run(&["stop"]).code, 0);
}

#[test]
fn an_unknown_override_is_a_usage_error() {
    let done = Project::empty().run(&["status", "--override-name", "api.ulr=X"]);
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.starts_with("error: --override-name does not know the key api.ulr\nhint: the keys are ")
    );
}

#[test]
fn version_is_text_or_json() {
    let project = Project::empty();
    let text = project.run(&["version"]).ok();
    assert!(text.starts_with(concat!("monobase ", env!("CARGO_PKG_VERSION"), " (PostgreSQL ")), "{text}");
    let json: serde_json::Value = serde_json::from_str(&project.run(&["version", "--json"]).ok()).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["arch"], std::env::consts::ARCH);
}

#[test]
fn licenses_have_the_texts_of_the_crates_and_of_the_engine() {
    let text = Project::empty().run(&["licenses"]).ok();
    for part in
        ["monobase (Apache-2.0)", "PostgreSQL 18", "pgvector", "OpenSSL", "ICU", "libstdc++", "tokio 1."]
    {
        assert!(text.contains(part), "{part} is missing");
    }
    assert!(text.contains("Permission is hereby granted, free of charge"));
    assert!(!text.contains("proptest "), "crates of the tests are not shipped");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let project = Project::empty();
    let mut child =
        project.command(&["licenses"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn completions_are_a_script() {
    let script = Project::empty().run(&["completions", "bash"]).ok();
    assert!(script.contains("complete -F _monobase"), "{script}");
}

#[test]
fn no_colour_without_a_terminal() {
    let plain = Project::empty().run(&["status"]);
    assert!(!plain.stderr.contains('\x1b'));
    let coloured = Project::empty().run(&["status", "--color", "always"]);
    assert!(coloured.stderr.starts_with("\x1b[1;31merror:\x1b[0m monobase is not running here"));
}
