//! Messages of the output plugin, in a row: cut at length bytes, read by one decoder.
#![no_main]

use database::Bytes;
use database::replication::pgoutput::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut decoder = Decoder::new();
    let mut rest = input;
    while let Some((&len, body)) = rest.split_first() {
        let len = usize::from(len).min(body.len());
        let message = Bytes::copy_from_slice(&body[..len]);
        if decoder.decode(message).is_err() {
            return;
        }
        rest = &body[len..];
    }
});
