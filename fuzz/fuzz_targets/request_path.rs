//! The path that decides which service gets a request: its canonical spelling is canonical, and stays below the root.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    let Some(canonical) = gateway::fuzzing::canonical_path(path) else { return };
    assert!(canonical.starts_with('/'));
    assert!(!canonical.split('/').any(|segment| segment == "." || segment == ".."), "{canonical}");
    assert!(!canonical.contains("//"), "{canonical}");
    assert_eq!(gateway::fuzzing::canonical_path(&canonical).as_deref(), Some(canonical.as_str()));
});
