//! The CRC of two pieces of data from the CRCs of each.
//!
//! Appending a zero bit is a linear map of the register, so appending `n` zero bytes is that map's `8n`-th power; the CRC
//! of `a b` is the CRC of `a` moved on by the length of `b`, plus the CRC of `b`. (Initial value and final XOR cancel
//! for these three, which all use all ones.) The method is that of zlib's `crc32_combine`.

use super::Algorithm;

/// Reflected polynomial.
const fn polynomial(algorithm: Algorithm) -> Option<u64> {
    match algorithm {
        Algorithm::Crc32 => Some(0xedb8_8320),
        Algorithm::Crc32c => Some(0x82f6_3b78),
        Algorithm::Crc64Nvme => Some(0x9a6c_9329_ac4b_c9b5),
        Algorithm::Sha1 | Algorithm::Sha256 => None,
    }
}

/// A linear map of 64 bits: the image of each.
type Map = [u64; 64];

fn apply(map: &Map, mut vector: u64) -> u64 {
    let mut sum = 0;
    while vector != 0 {
        sum ^= map[vector.trailing_zeros() as usize];
        vector &= vector - 1;
    }
    sum
}

fn square(map: &Map) -> Map {
    let mut out = [0; 64];
    for (image, &bit) in out.iter_mut().zip(map) {
        *image = apply(map, bit);
    }
    out
}

/// The CRC of two pieces in a row, the second of `size` bytes. Values are big-endian.
pub(super) fn join(algorithm: Algorithm, first: &[u8], second: &[u8], size: u64) -> Option<Vec<u8>> {
    let polynomial = polynomial(algorithm)?;
    let read = |bytes: &[u8]| bytes.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    // One zero bit: shift, and add the polynomial for the bit that falls out.
    let mut map: Map = [0; 64];
    map[0] = polynomial;
    for (at, image) in map.iter_mut().skip(1).enumerate() {
        *image = 1 << at;
    }
    // One zero byte.
    for _ in 0..3 {
        map = square(&map);
    }
    let mut value = read(first);
    let mut left = size;
    while left > 0 {
        if left & 1 == 1 {
            value = apply(&map, value);
        }
        map = square(&map);
        left >>= 1;
    }
    value ^= read(second);
    Some(value.to_be_bytes()[8 - algorithm.size()..].to_vec())
}
