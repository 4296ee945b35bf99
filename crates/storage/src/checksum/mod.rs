//! The checksums that S3 clients send beside a body, and get back.

mod combine;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// An algorithm for `x-amz-checksum-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC), what SDKs send by default.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As it is written in `x-amz-checksum-algorithm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries the value.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The element that carries the value.
    #[must_use]
    pub const fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// How many bytes a value has.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The algorithm of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The algorithm whose header this is.
    #[must_use]
    pub fn of_header(header: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(header))
    }
}

/// A value of an algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The bytes, as many as the algorithm has.
    pub value: Vec<u8>,
}

impl Checksum {
    /// Reads the Base64 form; `None` when it is not Base64 or too short or long.
    #[must_use]
    pub fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let value = STANDARD.decode(text.trim()).ok()?;
        (value.len() == algorithm.size()).then_some(Self { algorithm, value })
    }

    /// The Base64 form.
    #[must_use]
    pub fn text(&self) -> String {
        STANDARD.encode(&self.value)
    }

    /// The value of a whole object from those of its parts in order, each with its size: CRCs are linear. `None` for
    /// hashes, and when the parts' algorithms differ.
    #[must_use]
    pub fn join(parts: &[(Self, u64)]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        let algorithm = first.0.algorithm;
        let mut value = first.0.value.clone();
        for (part, size) in rest {
            if part.algorithm != algorithm {
                return None;
            }
            value = combine::join(algorithm, &value, &part.value, *size)?;
        }
        Some(Self { algorithm, value })
    }

    /// The composite value of parts: the algorithm over the parts' values. Written with `-N` after it.
    #[must_use]
    pub fn composite(algorithm: Algorithm, parts: &[&Self]) -> String {
        let mut state = Checksummer::new(algorithm);
        for part in parts {
            state.update(&part.value);
        }
        format!("{}-{}", state.finish().text(), parts.len())
    }
}

/// A checksum in the making.
pub struct Checksummer(State);

enum State {
    Crc32(crc32fast::Hasher),
    Crc32c(u32),
    Crc64Nvme(Box<crc64fast_nvme::Digest>),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl std::fmt::Debug for Checksummer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checksummer")
    }
}

impl Checksummer {
    /// The checksum of nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Crc32 => State::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => State::Crc32c(0),
            Algorithm::Crc64Nvme => State::Crc64Nvme(Box::new(crc64fast_nvme::Digest::new())),
            Algorithm::Sha1 => State::Sha1(Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32(state) => state.update(bytes),
            State::Crc32c(state) => *state = crc32c::crc32c_append(*state, bytes),
            State::Crc64Nvme(state) => state.write(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
        }
    }

    /// The value.
    #[must_use]
    pub fn finish(self) -> Checksum {
        let (algorithm, value) = match self.0 {
            State::Crc32(state) => (Algorithm::Crc32, state.finalize().to_be_bytes().to_vec()),
            State::Crc32c(state) => (Algorithm::Crc32c, state.to_be_bytes().to_vec()),
            State::Crc64Nvme(state) => (Algorithm::Crc64Nvme, state.sum64().to_be_bytes().to_vec()),
            State::Sha1(state) => (Algorithm::Sha1, state.finalize().to_vec()),
            State::Sha256(state) => (Algorithm::Sha256, state.finalize().to_vec()),
        };
        Checksum { algorithm, value }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn of(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let mut state = Checksummer::new(algorithm);
        state.update(bytes);
        state.finish()
    }

    #[test]
    fn check_values_are_the_catalogues() {
        let check = |algorithm| hex::encode(of(algorithm, b"123456789").value);
        assert_eq!(check(Algorithm::Crc32), "cbf43926");
        assert_eq!(check(Algorithm::Crc32c), "e3069283");
        assert_eq!(check(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(check(Algorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    }

    #[test]
    fn a_value_of_the_wrong_length_is_none() {
        assert_eq!(Checksum::parse(Algorithm::Crc32, "AAAA"), None);
        assert_eq!(Checksum::parse(Algorithm::Crc32, "not base64"), None);
        assert!(Checksum::parse(Algorithm::Crc32, "y/Q5Jg==").is_some());
    }

    proptest! {
        #[test]
        fn crcs_of_parts_join_to_that_of_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6)) {
            for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
                let values: Vec<_> = parts.iter().map(|part| (of(algorithm, part), part.len() as u64)).collect();
                prop_assert_eq!(Checksum::join(&values), Some(of(algorithm, &parts.concat())));
            }
        }
    }
}
