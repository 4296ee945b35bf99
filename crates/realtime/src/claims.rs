//! Tokens: who a socket or a request speaks for.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use tokens::{KeyRing, TimeClaim, Verified, VerifyError};

/// A verified token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// As the client sent it, to notice when it sends another.
    pub(crate) text: Arc<str>,
    pub(crate) claims: Arc<Verified>,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("Token has expired {0} seconds ago")]
    Expired(u64),
    #[error("Fields `role` and `exp` are required in JWT")]
    MissingClaims,
    #[error("Token expiration time is invalid")]
    InvalidExpiry,
    #[error("The token provided is not a valid JWT")]
    Malformed,
    #[error("Failed to validate JWT signature")]
    Signature,
    /// No key fits, or a claim is not what the configuration asks for.
    #[error("Unknown Error on Channel")]
    Other,
}

impl TokenError {
    /// The reason in the answer to a join.
    pub(crate) fn join_reason(&self) -> String {
        match self {
            Self::Expired(_) | Self::MissingClaims | Self::InvalidExpiry => {
                format!("InvalidJWTToken: {self}")
            }
            Self::Malformed => format!("MalformedJWT: {self}"),
            Self::Signature => format!("JwtSignatureError: {self}"),
            Self::Other => self.to_string(),
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Verifies a token as clients send it: percent-encoded or not, with stray white space.
pub(crate) fn verify(
    ring: &KeyRing,
    validators: &Map<String, Value>,
    sent: &str,
) -> Result<Token, TokenError> {
    let decoded = percent_decode_str(sent).decode_utf8().map_err(|_| TokenError::Malformed)?;
    let clean: String = decoded.chars().filter(|character| !character.is_whitespace()).collect();
    let claims = ring.verify_signature(&clean).map_err(|error| match error {
        VerifyError::Signature => TokenError::Signature,
        VerifyError::NoKey { .. } | VerifyError::Algorithm(_) | VerifyError::Unsigned => TokenError::Other,
        _ => TokenError::Malformed,
    })?;
    check(&claims, now())?;
    if validators.iter().any(|(name, wanted)| claims.claims.get(name) != Some(wanted)) {
        return Err(TokenError::Other);
    }
    Ok(Token { text: sent.into(), claims })
}

/// The expiry is strict: a token is over in the second of its `exp`.
fn check(claims: &Verified, now: u64) -> Result<(), TokenError> {
    let missing = || {
        if claims.claims.contains_key("exp") { TokenError::InvalidExpiry } else { TokenError::MissingClaims }
    };
    let expiry = match claims.expires_at {
        TimeClaim::At(seconds) => seconds,
        _ => return Err(missing()),
    };
    if expiry <= now as f64 {
        return Err(TokenError::Expired(now.saturating_sub(expiry.max(0.0) as u64)));
    }
    if !claims.claims.contains_key("role") {
        return Err(TokenError::MissingClaims);
    }
    Ok(())
}

impl Token {
    /// Whether it may still be used.
    pub(crate) fn check(&self) -> Result<(), TokenError> {
        check(&self.claims, now())
    }

    /// The time left.
    pub(crate) fn lifetime(&self) -> Duration {
        let expiry = self.claims.expires_at.seconds().unwrap_or(0.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Duration::try_from_secs_f64(expiry - now).unwrap_or(Duration::ZERO)
    }

    /// The role, as text even when the claim is something else: setting it then fails.
    pub(crate) fn role(&self) -> String {
        match self.claims.claims.get("role") {
            Some(Value::String(role)) => role.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }
}
