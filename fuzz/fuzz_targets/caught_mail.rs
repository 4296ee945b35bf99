//! The bytes of a mail as anybody may hand them to the catcher.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| inbox::fuzz(bytes));
