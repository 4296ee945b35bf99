//! A stream of messages as a hostile or broken server might send it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| database::fuzzing::messages(bytes));
