//! Who asks.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use tokens::{Policy, Verified};

use crate::context::Caller;
use crate::domain::{Domain, refused};
use crate::error::{Error, Result};

/// The token of a request: `Authorization` with or without `Bearer` before it; empty when the header is.
pub(crate) fn token(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    Some(scheme.map_or(value, |scheme| value[scheme.len()..].trim()))
}

/// Whoever the token names. A missing header is a mistake of form, which clients of the original know by its words.
pub(crate) fn required(domain: &Domain, parts: &Parts) -> Result<Caller> {
    if !parts.headers.contains_key(AUTHORIZATION) && !domain.config().behind_gateway {
        return Err(Error::validation("headers must have required property 'authorization'"));
    }
    verified(domain, parts)
}

/// Whoever the token names, on routes that do not ask for the header first.
pub(crate) fn verified(domain: &Domain, parts: &Parts) -> Result<Caller> {
    let token = token(parts).unwrap_or_default();
    let anon = &domain.config().anon_role;
    // The front door has checked the signature already.
    if let Some(verified) = parts.extensions.get::<Arc<Verified>>() {
        return match verified.check_now(&Policy::EXACT) {
            Ok(()) => Ok(Caller::of_token(verified, token, anon)),
            Err(error) => Err(Error::access_denied(refused(&error.into()).message)),
        };
    }
    match domain.keys().verify_with(token, &Policy::EXACT) {
        Ok(verified) => Ok(Caller::of_token(&verified, token, anon)),
        Err(error) => Err(Error::access_denied(refused(&error).message)),
    }
}

/// Whoever the token names, or nobody.
pub(crate) fn optional(domain: &Domain, parts: &Parts) -> Option<Caller> {
    verified(domain, parts).ok()
}

/// The service role, or a refusal with a real 403.
pub(crate) fn service_role(domain: &Domain, parts: &Parts) -> Result<Caller> {
    match verified(domain, parts) {
        Ok(caller) if *caller.role == *domain.config().service_role => Ok(caller),
        Ok(_) => Err(Error::wrong_role("Access denied: Invalid role")),
        Err(_) => Err(Error::wrong_role("Access denied: JWT is not authenticated")),
    }
}
