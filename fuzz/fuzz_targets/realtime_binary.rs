//! Binary messages of websockets.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| realtime::fuzzing::binary_message(bytes));
