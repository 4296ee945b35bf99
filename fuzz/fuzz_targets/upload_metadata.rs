//! `Upload-Metadata`, the header that begins a resumable upload.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| storage::fuzzing::upload_metadata(bytes));
