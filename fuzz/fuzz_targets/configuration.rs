//! `supabase/config.toml` of a stranger's project: any text is a configuration or an error, and what is shown has no control
//! characters that a terminal would obey.
#![no_main]

use std::ffi::OsString;
use std::fs;
use std::sync::LazyLock;

use config::{Config, Environment, Flags};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("supabase")).expect("it is writable");
    folder
});

fuzz_target!(|text: &str| {
    fs::write(FOLDER.path().join("supabase/config.toml"), text).expect("it is writable");
    let nothing: [(OsString, OsString); 0] = [];
    let shown = match Config::load(&Flags::default(), Environment::from_process(nothing), FOLDER.path()) {
        Ok(config) => config.show_text(true),
        Err(error) => error.to_string(),
    };
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{shown:?}");
});
