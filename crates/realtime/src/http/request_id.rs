//! `x-request-id`: every answer names its request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::service::Inner;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Puts on what the original's endpoint puts on every answer.
pub(super) async fn answer(State(service): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let id = of(request.headers(), &service.config.request_id_key);
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id);
    let private = HeaderValue::from_static("max-age=0, private, must-revalidate");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(private);
    response
}

/// The name that a trace carries under `key`, else the caller's own, else a new one.
fn of(headers: &HeaderMap, key: &str) -> HeaderValue {
    let traced = headers
        .get_all("baggage")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|entry| entry.split(';').next()?.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .and_then(|(_, value)| percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok())
        .filter(|id| (10..=200).contains(&id.len()) && id.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
        .and_then(|id| HeaderValue::from_str(&id).ok());
    let given = || headers.get(HEADER).filter(|id| (20..=200).contains(&id.len())).cloned();
    traced.or_else(given).unwrap_or_else(new)
}

/// Twenty characters, as many as the original's.
fn new() -> HeaderValue {
    let id = URL_SAFE.encode(&uuid::Uuid::new_v4().as_bytes()[..15]);
    HeaderValue::try_from(id).expect("base64 fits into a header")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of_these(headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        of(&map, "request-id").to_str().unwrap().to_owned()
    }

    #[test]
    fn a_trace_names_the_request_before_the_caller_does() {
        let own = ("x-request-id", "a name of twenty char");
        let traced = ("baggage", "user=1, request-id = 0123%20456789;ttl=1");
        assert_eq!(of_these(&[own, traced]), "0123 456789");
        assert_eq!(of_these(&[own, ("baggage", "request-id=short")]), own.1);
        assert_eq!(of_these(&[own, ("baggage", "request-id=%0a0123456789")]), own.1);
        assert_eq!(of_these(&[own]), own.1);
    }

    #[test]
    fn whatever_is_no_name_gets_a_new_one() {
        for own in ["short", &"x".repeat(201)] {
            let id = of_these(&[("x-request-id", own)]);
            assert_eq!(id.len(), 20, "{id}");
            assert_ne!(id, of_these(&[("x-request-id", own)]));
        }
    }
}
