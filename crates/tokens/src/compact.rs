//! The compact form of a signed token: `header.payload.signature`, each base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::{Algorithm, Part, VerifyError};

/// A token taken apart; nothing of it is trusted yet.
pub(crate) struct Compact<'a> {
    /// `header.payload`, the bytes that are signed.
    pub(crate) signed: &'a str,
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<Box<str>>,
    pub(crate) payload: &'a str,
    pub(crate) signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    // GoTrue ignores a `kid` that is not a string, so its type is not enforced here.
    #[serde(default)]
    kid: serde_json::Value,
}

impl<'a> Compact<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, VerifyError> {
        if token.is_empty() {
            return Err(VerifyError::Empty);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VerifyError::Parts(token.split('.').count()));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let header: Header =
            serde_json::from_slice(&decode(header, Part::Header)?).map_err(|_| VerifyError::Header)?;
        if header.alg == "none" {
            return Err(VerifyError::Unsigned);
        }
        let algorithm = header.alg.parse().map_err(|_| VerifyError::Algorithm(header.alg.as_str().into()))?;
        Ok(Compact {
            signed,
            algorithm,
            kid: header.kid.as_str().map(Into::into),
            payload,
            signature: decode(signature, Part::Signature)?,
        })
    }

    pub(crate) fn decode_payload(&self) -> Result<Vec<u8>, VerifyError> {
        decode(self.payload, Part::Payload)
    }
}

fn decode(segment: &str, part: Part) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| VerifyError::Encoding(part))
}

/// `header.payload` of a new token, ready to be signed. The header's members come in the order
/// `alg`, `kid`, `typ`, as GoTrue's library writes them.
pub(crate) fn signing_input(algorithm: Algorithm, kid: Option<&str>, payload: &[u8]) -> String {
    let header = match kid {
        None => format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#),
        Some(kid) => {
            format!(r#"{{"alg":"{algorithm}","kid":{},"typ":"JWT"}}"#, serde_json::Value::from(kid))
        }
    };
    let mut input = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 96);
    URL_SAFE_NO_PAD.encode_string(header, &mut input);
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut input);
    input
}

/// Completes `header.payload` with the signature.
pub(crate) fn finish(mut input: String, signature: &[u8]) -> String {
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut input);
    input
}
