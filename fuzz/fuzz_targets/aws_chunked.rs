//! Bodies framed as `aws-chunked`, cut anywhere: what is decoded does not depend on how it arrives.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use storage::aws_chunked::{ChunkError, Decoder};
use storage::sigv4::{Payload, Scope, Seed, SigningKey};

fn decode(body: &[u8], step: usize) -> Result<Vec<u8>, ChunkError> {
    let scope = Scope { date: "20250101".into(), region: "auto".into() };
    let key = SigningKey::derive("secret", &scope.date, &scope.region, "s3");
    let seed = Seed { key, signature: String::new(), timestamp: "20250101T000000Z".into(), scope };
    let mut decoder = Decoder::new(Payload::UnsignedChunks, seed).expect("the payload is framed");
    let mut out = Vec::new();
    for part in body.chunks(step) {
        let mut part = Bytes::copy_from_slice(part);
        while let Some(data) = decoder.next(&mut part)? {
            out.extend_from_slice(&data);
        }
    }
    decoder.finish().map(|_| out)
}

fuzz_target!(|input: (&[u8], u8)| {
    let (body, step) = input;
    assert_eq!(decode(body, usize::from(step) + 1), decode(body, body.len().max(1)));
});
