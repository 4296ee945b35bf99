//! Text messages of websockets, in both serializer versions.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| realtime::fuzzing::text_message(text));
