//! What strangers send to the S3 and TUS doors beside bytes: XML documents and `Upload-Metadata`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    storage::fuzzing::xml(bytes);
    storage::fuzzing::upload_metadata(bytes);
});
