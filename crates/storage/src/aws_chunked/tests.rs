#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::sigv4::{Scope, SigningKey};

// The worked example of AWS's documentation: 65536 and 1024 bytes of `a`.
fn documented_seed() -> Seed {
    seed("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
}

fn seed(signature: &str) -> Seed {
    let scope = Scope { date: "20130524".into(), region: "us-east-1".into() };
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    Seed {
        key: SigningKey::derive(secret, &scope.date, &scope.region, "s3"),
        signature: signature.into(),
        timestamp: "20130524T000000Z".into(),
        scope,
    }
}

fn documented_body() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
    );
    body.extend(std::iter::repeat_n(b'a', 65536));
    body.extend_from_slice(
        b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
    );
    body.extend(std::iter::repeat_n(b'a', 1024));
    body.extend_from_slice(
        b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    );
    body
}

fn decode(mut decoder: Decoder, body: &[u8], step: usize) -> Result<(Vec<u8>, Trailers), ChunkError> {
    let mut out = Vec::new();
    for part in body.chunks(step.max(1)) {
        let mut part = Bytes::copy_from_slice(part);
        while let Some(data) = decoder.next(&mut part)? {
            out.extend_from_slice(&data);
        }
    }
    Ok((out, decoder.finish()?))
}

fn signed() -> Decoder {
    Decoder::new(Payload::SignedChunks { trailer: false }, documented_seed()).unwrap()
}

fn unsigned() -> Decoder {
    Decoder::new(Payload::UnsignedChunks, documented_seed()).unwrap()
}

#[test]
fn documented_chunks_are_verified_however_they_arrive() {
    for step in [1, 7, 4096, 100_000] {
        let (data, trailers) = decode(signed(), &documented_body(), step).unwrap();
        assert_eq!((data.len(), trailers.len()), (66560, 0));
    }
}

#[test]
fn a_changed_byte_or_a_missing_end_is_refused() {
    let mut body = documented_body();
    body[100] = b'b';
    assert_eq!(decode(signed(), &body, 1000), Err(ChunkError::Signature));
    let body = documented_body();
    assert_eq!(decode(signed(), &body[..body.len() - 200], 1000), Err(ChunkError::Incomplete));
}

#[test]
fn unsigned_chunks_end_with_their_trailer() {
    let body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let trailers = vec![("x-amz-checksum-crc32".to_owned(), "NhCmhg==".to_owned())];
    assert_eq!(decode(unsigned(), body, 3), Ok((b"hello".to_vec(), trailers.clone())));
    assert_eq!(decode(unsigned(), &body[..body.len() - 4], 3), Ok((b"hello".to_vec(), trailers)));
}

#[test]
fn a_signed_trailer_is_verified() {
    let seed = seed("seed");
    let chunk = |previous: &str, data: &[u8]| {
        seed.key.sign(
            format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{EMPTY}\n{}",
                seed.timestamp,
                seed.scope,
                hex_sha256(data)
            )
            .as_bytes(),
        )
    };
    let first = chunk("seed", b"hello");
    let last = chunk(&first, b"");
    let line = "x-amz-checksum-crc32:NhCmhg==";
    let trailer = seed.key.sign(
        format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{last}\n{}",
            seed.timestamp,
            seed.scope,
            hex_sha256(format!("{line}\n").as_bytes())
        )
        .as_bytes(),
    );
    let body = |line: &str, trailer: &str| {
        format!(
            "5;chunk-signature={first}\r\nhello\r\n0;chunk-signature={last}\r\n{line}\r\nx-amz-trailer-signature:{trailer}\r\n\r\n"
        )
    };
    let decoder = || Decoder::new(Payload::SignedChunks { trailer: true }, seed.clone()).unwrap();
    assert_eq!(decode(decoder(), body(line, &trailer).as_bytes(), 9).unwrap().1.len(), 1);
    let changed = body("x-amz-checksum-crc32:AAAAAA==", &trailer);
    assert_eq!(decode(decoder(), changed.as_bytes(), 9), Err(ChunkError::Signature));
    let without = body(line, &trailer).replace(&format!("x-amz-trailer-signature:{trailer}\r\n"), "");
    assert_eq!(decode(decoder(), without.as_bytes(), 9), Err(ChunkError::Signature));
}

#[test]
fn sizes_beyond_the_limit_are_refused() {
    let malformed = |body: &[u8]| matches!(decode(unsigned(), body, 64), Err(ChunkError::Malformed(_)));
    assert!(malformed(b"1000001\r\n"));
    assert!(malformed(b"fffffffffffffffff\r\n"));
    assert!(malformed(b"-1\r\n"));
    assert!(malformed(b"\r\n"));
    assert!(malformed(b"1\r\nab\r\n"));
    assert!(malformed(&[b'0'; 2000]));
}

proptest! {
    #[test]
    fn what_is_framed_is_decoded(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..5), step in 1usize..40) {
        let mut body = Vec::new();
        for chunk in &chunks {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(decode(unsigned(), &body, step).unwrap().0, chunks.concat());
    }

    #[test]
    fn strangers_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300), step in 1usize..40) {
        let _ = decode(unsigned(), &body, step);
        let _ = decode(signed(), &body, step);
    }
}
