//! Who makes a request: the token, its role, its claims.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::Value;
use tokens::{ClaimError, KeyRing, Policy, Verified, VerifyError};

use crate::config::Config;
use crate::error::{Error, TokenProblem};
use crate::execute::Caller;

/// Finds out who makes a request. A signature that was verified on the way here is not verified again; whether the
/// token holds now is always judged here.
pub(crate) fn identify(
    headers: &HeaderMap,
    verified: Option<Arc<Verified>>,
    keys: Option<&KeyRing>,
    policy: &Policy,
    config: &Config,
) -> Result<Caller, Error> {
    let verified = match (verified, bearer(headers)) {
        (Some(verified), _) => {
            verified.check_now(policy).map_err(|claim| Error::Token(problem(claim.into())))?;
            Some(verified)
        }
        (None, None) => None,
        (None, Some(token)) => Some(verify(token, keys, policy)?),
    };
    let claimed = verified.as_ref().and_then(|verified| config.role_claim.find(&verified.claims));
    let Some(role) = claimed.or_else(|| config.anon_role.clone()) else {
        return Err(Error::Token(TokenProblem::Required));
    };
    let claims: Arc<str> = match &verified {
        None => format!("{{\"role\":{}}}", Value::from(role.as_str())).into(),
        Some(verified) if verified.role() == Some(&role) => verified.sorted_json(),
        Some(verified) => {
            let mut claims = verified.claims.clone();
            claims.insert("role".to_owned(), Value::from(role.as_str()));
            Value::Object(claims).to_string().into()
        }
    };
    Ok(Caller { role: role.into(), claims })
}

/// The token of `Authorization: Bearer …`. Other schemes are nobody's.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(http::header::AUTHORIZATION)?.as_bytes();
    let space = value.iter().position(|b| b.is_ascii_whitespace()).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(space);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| rest.trim_ascii())
}

fn verify(token: &[u8], keys: Option<&KeyRing>, policy: &Policy) -> Result<Arc<Verified>, Error> {
    let refuse = |problem| Err(Error::Token(problem));
    if token.is_empty() {
        return refuse(undecodable("Empty JWT is sent in Authorization header", None));
    }
    let Some(keys) = keys else { return refuse(TokenProblem::NoSecret) };
    let Ok(token) = std::str::from_utf8(token) else {
        return refuse(undecodable(CRYPTOGRAPHIC, None));
    };
    keys.verify_with(token, policy).or_else(|error| {
        // PostgREST decodes all of a token before it looks for a key.
        let payload = token.split('.').nth(1).unwrap_or_default();
        let decodes = || URL_SAFE_NO_PAD.decode(payload).is_ok();
        let problem = match error {
            VerifyError::NoKey { .. } | VerifyError::Signature if !decodes() => {
                undecodable(CRYPTOGRAPHIC, None)
            }
            error => problem(error),
        };
        refuse(problem)
    })
}

/// What PostgREST says of everything that its library cannot decode, be it for the encoding or for the algorithm.
const CRYPTOGRAPHIC: &str = "JWT cryptographic operation failed";

fn undecodable(message: &str, details: Option<&str>) -> TokenProblem {
    TokenProblem::Undecodable { message: message.to_owned(), details: details.map(str::to_owned) }
}

fn problem(error: VerifyError) -> TokenProblem {
    const KEY: &str = "No suitable key or wrong key type";
    match error {
        VerifyError::Empty => undecodable("Empty JWT is sent in Authorization header", None),
        VerifyError::Parts(parts) => undecodable(&format!("Expected 3 parts in JWT; got {parts}"), None),
        VerifyError::Encoding(_) | VerifyError::Header | VerifyError::Algorithm(_) => {
            undecodable(CRYPTOGRAPHIC, None)
        }
        VerifyError::Unsigned => undecodable(
            "Wrong or unsupported encoding algorithm",
            Some("JWT is unsecured but expected 'alg' was not 'none'"),
        ),
        VerifyError::NoKey { .. } => undecodable(KEY, Some("No suitable key was found to decode the JWT")),
        VerifyError::Signature => undecodable(KEY, Some("None of the keys was able to decode the JWT")),
        VerifyError::Payload => TokenProblem::Claims("Parsing claims failed".to_owned()),
        VerifyError::Claim(claim) => TokenProblem::Claims(match claim {
            ClaimError::Expired => "JWT expired".to_owned(),
            ClaimError::NotYetValid => "JWT not yet valid".to_owned(),
            ClaimError::IssuedInFuture => "JWT issued at future".to_owned(),
            ClaimError::WrongAudience => "JWT not in audience".to_owned(),
            ClaimError::NotANumber(name) => format!("The JWT '{name}' claim must be a number"),
            ClaimError::AudienceShape => {
                "The JWT 'aud' claim must be a string or an array of strings".to_owned()
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokens::KeySet;

    use super::*;

    #[test]
    fn what_cannot_be_decoded_is_told_apart_from_what_nobody_signed() {
        let ring = KeyRing::new(KeySet::from_secret("a secret that is long enough to be one").unwrap());
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let (header, payload) = (encode(r#"{"alg":"HS256"}"#), encode("{}"));
        let ask = |token: String| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
            match identify(&headers, None, Some(&ring), &Policy::default(), &Config::default()) {
                Err(Error::Token(TokenProblem::Undecodable { message, details })) => (message, details),
                other => panic!("{other:?}"),
            }
        };
        let cryptographic = (CRYPTOGRAPHIC.to_owned(), None);
        assert_eq!(ask(format!("{header}.{payload}.!")), cryptographic);
        assert_eq!(ask(format!("{header}.!.{payload}")), cryptographic);
        assert_eq!(ask(format!("{}.{payload}.{payload}", encode("[]"))), cryptographic);
        assert_eq!(ask(format!("{}.{payload}.{payload}", encode(r#"{"alg":"HS255"}"#))), cryptographic);
        let of_key =
            |details: &str| ("No suitable key or wrong key type".to_owned(), Some(details.to_owned()));
        assert_eq!(
            ask(format!("{header}.{payload}.{payload}")),
            of_key("None of the keys was able to decode the JWT")
        );
        let other = encode(r#"{"alg":"RS256"}"#);
        assert_eq!(
            ask(format!("{other}.{payload}.{payload}")),
            of_key("No suitable key was found to decode the JWT")
        );
    }

    #[test]
    fn claims_are_handed_on_sorted() {
        let ring = KeyRing::new(KeySet::from_secret("a secret that is long enough to be one").unwrap());
        let claims = |payload: &str| {
            let token = ring.sign_payload(payload.as_bytes()).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
            let caller = identify(&headers, None, Some(&ring), &Policy::default(), &Config::default());
            caller.unwrap().claims.to_string()
        };
        assert_eq!(
            claims(r#"{"role": "r", "b": {"d": 1, "c": 2.5}}"#),
            r#"{"b":{"c":2.5,"d":1},"role":"r"}"#
        );
        let large = r#"{"role":"r","b":123456789012345678901234567890}"#;
        assert_eq!(claims(large), large);
    }

    #[test]
    fn an_expired_token_is_refused_even_when_its_signature_was_verified_before() {
        let ring = KeyRing::new(KeySet::from_secret("a secret that is long enough to be one").unwrap());
        let token = ring.sign(&serde_json::json!({ "role": "authenticated", "exp": 1 })).unwrap();
        let verified = ring.verify_signature(&token).unwrap();
        let refused =
            identify(&HeaderMap::new(), Some(verified), Some(&ring), &Policy::default(), &Config::default());
        let Err(Error::Token(TokenProblem::Claims(message))) = refused else { panic!("it was accepted") };
        assert_eq!(message, "JWT expired");
    }
}
