//! Who calls the broadcast endpoints.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::message;
use crate::authorization::Subject;
use crate::claims::{self, Token};
use crate::service::Inner;

/// The token of `Authorization: Bearer`, else of `apikey`.
pub(super) fn authenticate(service: &Inner, headers: &HeaderMap) -> Result<Token, Response> {
    let refused = || message(StatusCode::UNAUTHORIZED, "Unauthorized");
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let bearer = text("authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.contains(' '))
        .map(|(_, token)| token);
    let token = bearer.or_else(|| text("apikey")).ok_or_else(refused)?;
    claims::verify(&service.ring, &service.config.claim_validators, token).map_err(|_| refused())
}

/// For whom the policies of a topic are asked. Policies see every header of such a request.
pub(super) fn subject(token: &Token, headers: &HeaderMap, topic: &str) -> Subject {
    let seen: std::collections::BTreeMap<&str, std::borrow::Cow<'_, str>> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    // Strings are JSON.
    let headers = serde_json::to_string(&seen).unwrap_or_else(|_| "{}".to_owned());
    Subject { token: token.clone(), topic: topic.into(), headers: headers.into() }
}
