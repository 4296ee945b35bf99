//! Bodies, queries, addresses, messages of wallets and hashes, as auth reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| auth::fuzzing::texts(text));
