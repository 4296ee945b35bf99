//! Splitting a migration: every statement is a part of the file, in order, and none is empty.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|sql: &str| {
    let mut from = 0;
    for statement in project::split(sql) {
        assert!(!statement.trim().is_empty());
        let at = statement.as_ptr() as usize - sql.as_ptr() as usize;
        assert!(at >= from && at + statement.len() <= sql.len());
        from = at + statement.len();
    }
});
