//! What authenticators and browsers write.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| auth::fuzzing::webauthn(bytes));
