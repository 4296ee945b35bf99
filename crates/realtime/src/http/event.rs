//! `POST /api/broadcast/:topic/events/:event`: one message, its body the payload itself.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use serde_json::value::RawValue;

use super::{active, invalid, limited, message, rate_headers, token};
use crate::authorization::Failure;
use crate::hub::Body;
use crate::protocol::{Encoding, UserBroadcast};
use crate::service::Inner;

pub(super) async fn broadcast(
    State(service): State<Arc<Inner>>,
    Path((topic, event)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(encoding) = encoding(&headers) else {
        let text = "Unsupported Media Type. Use application/json or application/octet-stream";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, axum::Json(json!({ "error": text }))).into_response();
    };
    if service.hub.events.triggered() {
        return limited(&service, || StatusCode::ACCEPTED.into_response());
    }
    let private = query.is_some_and(|query| query.split('&').any(|pair| pair == "private=true"));
    // Nothing is an empty object, or no bytes.
    let payload =
        if body.is_empty() && encoding == Encoding::Json { Bytes::from_static(b"{}") } else { body };
    let user = UserBroadcast { event: event.into(), metadata: "".into(), encoding, payload };
    let mut response = match accept(&service, &headers, &topic, private, user).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => refusal,
    };
    rate_headers(&service, response.headers_mut());
    response
}

/// What the body is; without a word about it, JSON.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Some(Encoding::Json) };
    match value.to_str().ok()?.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Encoding::Json),
        "application/octet-stream" => Some(Encoding::Opaque),
        _ => None,
    }
}

async fn accept(
    service: &Inner,
    headers: &HeaderMap,
    topic: &str,
    private: bool,
    user: UserBroadcast,
) -> Result<(), Response> {
    let token = token::authenticate(service, headers)?;
    active(service)?;
    if user.payload.len() > service.hub.limits.payload() {
        return Err(invalid(json!({ "payload": ["Payload size exceeds tenant limit"] })));
    }
    if user.encoding == Encoding::Json && serde_json::from_slice::<&RawValue>(&user.payload).is_err() {
        return Err(StatusCode::BAD_REQUEST.into_response());
    }
    if private {
        let subject = token::subject(&token, headers, topic);
        let allowed = service.may_write(&subject).await;
        match allowed {
            Ok(allowed) if allowed.broadcast => {}
            Ok(_) => return Err(message(StatusCode::FORBIDDEN, "Unauthorized")),
            Err(failure) => return Err(refusal(failure)),
        }
    }
    let hub = &service.hub;
    hub.events.add(1);
    hub.send(topic, private, Body::User(user), None, None);
    Ok(())
}

fn refusal(failure: Failure) -> Response {
    let unprocessable = |text| message(StatusCode::UNPROCESSABLE_ENTITY, text);
    match failure {
        Failure::Policy => unprocessable("RLS policy error"),
        Failure::TooLong => unprocessable("Query canceled"),
        Failure::MissingPartition => unprocessable("Missing messages partition"),
        Failure::Unavailable => unprocessable("Tenant database unavailable"),
        Failure::Crowded => unprocessable("Tenant database has too many connections"),
        Failure::Settings => message(StatusCode::INTERNAL_SERVER_ERROR, "Unable to authorize broadcast"),
        Failure::NoConnection => message(StatusCode::TOO_MANY_REQUESTS, "Connection pool exhausted"),
    }
}
