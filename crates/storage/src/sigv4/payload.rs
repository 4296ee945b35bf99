//! What a request says about its body: `x-amz-content-sha256`.

use super::SignatureError;

/// How a body is protected and framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// As it is, with this SHA-256.
    Hash([u8; 32]),
    /// As it is, not covered by the signature.
    Unsigned,
    /// `aws-chunked`, each chunk signed; with a signed trailer or none.
    SignedChunks {
        /// Whether trailer lines and their signature follow.
        trailer: bool,
    },
    /// `aws-chunked`, unsigned, with a trailer.
    UnsignedChunks,
}

impl Payload {
    /// Reads the header's value.
    pub fn parse(value: &[u8]) -> Result<Self, SignatureError> {
        match value {
            b"UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::SignedChunks { trailer: false }),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::SignedChunks { trailer: true }),
            b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::UnsignedChunks),
            hash => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(hash, &mut bytes).map_err(|_| SignatureError::InvalidPayloadHash)?;
                Ok(Self::Hash(bytes))
            }
        }
    }

    /// Whether the body is framed as `aws-chunked`.
    #[must_use]
    pub fn is_chunked(self) -> bool {
        matches!(self, Self::SignedChunks { .. } | Self::UnsignedChunks)
    }
}
