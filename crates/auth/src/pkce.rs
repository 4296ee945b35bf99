//! Proof keys: a code that is worth nothing without the secret its asker holds.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Cause, Error, ErrorCode, Result};

/// What a token of a PKCE flow starts with.
pub(crate) const PREFIX: &str = "pkce_";

/// A challenge as a request brings it.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    pub(crate) challenge: String,
    pub(crate) method: String,
}

/// Whether a flow ends with tokens or with a code to exchange.
pub(crate) type Flow<'a> = Option<&'a Challenge>;

/// Reads the two parameters, which come together or not at all.
pub(crate) fn parse(method: &str, challenge: &str) -> Result<Option<Challenge>> {
    if method.is_empty() != challenge.is_empty() {
        return Err(Error::invalid("PKCE flow requires code_challenge_method and code_challenge"));
    }
    if challenge.is_empty() {
        return Ok(None);
    }
    if !(43..=128).contains(&challenge.len()) {
        return Err(Error::invalid("code challenge has to be between 43 and 128 characters"));
    }
    if !challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)) {
        return Err(Error::invalid(
            "code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes",
        ));
    }
    Ok(Some(Challenge { challenge: challenge.to_owned(), method: method.to_owned() }))
}

impl Challenge {
    /// The method as the database spells it. An unknown one is a 500 in the original.
    pub(crate) fn stored_method(&self) -> Result<&'static str> {
        match self.method.to_ascii_lowercase().as_str() {
            "s256" => Ok("s256"),
            "plain" => Ok("plain"),
            _ => Err(Error::Unexpected(Cause::Other(
                format!("unsupported code_challenge method {:?}", self.method).into(),
            ))),
        }
    }
}

/// Marks a token that belongs to a PKCE flow.
pub(crate) fn prefixed(token: String, flow: Flow<'_>) -> String {
    match flow {
        Some(_) => format!("{PREFIX}{token}"),
        None => token,
    }
}

/// Whether a verifier fits a stored challenge.
pub(crate) fn verify(challenge: &str, method: &str, verifier: &str) -> Result<()> {
    let derived = match method {
        "s256" => BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
        "plain" => verifier.to_owned(),
        _ => {
            return Err(Error::bad_request(
                ErrorCode::BadCodeVerifier,
                "code challenge method not supported",
            ));
        }
    };
    if bool::from(challenge.as_bytes().ct_eq(derived.as_bytes())) {
        return Ok(());
    }
    Err(Error::bad_request(
        ErrorCode::BadCodeVerifier,
        "code challenge does not match previously saved code verifier",
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_example_of_the_rfc_verifies() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verify(challenge, "s256", verifier).is_ok());
        assert!(verify(challenge, "s256", "another").is_err());
        assert!(verify("x", "plain", "x").is_ok());
    }

    #[test]
    fn parameters_come_together_and_have_a_form() {
        assert!(parse("", "").unwrap().is_none());
        assert!(parse("s256", "").is_err() && parse("", "x").is_err());
        assert!(parse("s256", &"a".repeat(42)).is_err());
        assert!(parse("s256", &"a".repeat(129)).is_err());
        assert!(parse("s256", &"!".repeat(43)).is_err());
        assert!(parse("s256", &"a".repeat(43)).unwrap().is_some());
    }
}
