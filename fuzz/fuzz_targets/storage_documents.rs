//! The XML documents that strangers send to the S3 door.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| storage::fuzzing::xml(bytes));
