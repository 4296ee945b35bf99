//! The HTTP endpoints, at the original's paths.

#![expect(clippy::result_large_err, reason = "a refusal is the answer itself, made once a request")]

mod batch;
mod event;
mod figures;
mod management;
mod request_id;
mod tenants;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::service::Inner;

pub use management::{Management, Render, Secrets};

pub(crate) fn router(service: Arc<Inner>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/status", get(status))
        .route("/healthcheck", get(async || "ok"))
        .route("/metrics", get(figures::show))
        .route("/api/ping", get(ping))
        .route("/api/broadcast", post(batch::broadcast))
        .route("/api/broadcast/{topic}/events/{event}", post(event::broadcast))
        .route("/api/tenants", get(tenants::index).post(tenants::create))
        .route(
            "/api/tenants/{tenant}",
            get(tenants::show).put(tenants::update).patch(tenants::update).delete(tenants::delete),
        )
        .route("/api/tenants/{tenant}/reload", post(tenants::reload))
        .route("/api/tenants/{tenant}/shutdown", post(tenants::shutdown))
        .route("/api/tenants/{tenant}/health", get(tenants::health))
        // Of our own, so that the layers are around it, too.
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(DefaultBodyLimit::max(service.config.limits.max_body_size))
        .layer(from_fn_with_state(service.clone(), request_id::answer))
        .with_state(service)
}

async fn status(State(service): State<Arc<Inner>>) -> Response {
    axum::Json(json!({ "service": "realtime", "tenant": service.config.tenant })).into_response()
}

async fn ping(State(service): State<Arc<Inner>>) -> Response {
    limited(&service, || message(StatusCode::OK, "Success"))
}

/// `{"message": …}`
fn message(status: StatusCode, text: &str) -> Response {
    (status, axum::Json(json!({ "message": text }))).into_response()
}

/// `{"errors": …}`
fn invalid(errors: Value) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(json!({ "errors": errors }))).into_response()
}

/// Refuses while the tenant is suspended.
fn active(service: &Inner) -> Result<(), Response> {
    if service.hub.limits.suspended() {
        return Err(message(StatusCode::FORBIDDEN, "Tenant is suspended"));
    }
    Ok(())
}

/// Answers, unless too many events pass already; tells the rate either way.
fn limited(service: &Inner, answer: impl FnOnce() -> Response) -> Response {
    let rate = &service.hub.events;
    let mut response =
        if rate.triggered() { message(StatusCode::TOO_MANY_REQUESTS, "Too many requests") } else { answer() };
    rate_headers(service, response.headers_mut());
    response
}

fn rate_headers(service: &Inner, headers: &mut HeaderMap) {
    let (average, limit) = (service.hub.events.average() as u64, service.hub.events.limit());
    headers.insert("x-rate-rolling", HeaderValue::from(average));
    headers.insert("x-rate-limit", HeaderValue::from(limit));
    let left = i64::try_from(limit).unwrap_or(i64::MAX) - i64::try_from(average).unwrap_or(i64::MAX);
    headers.insert("x-rate-limit-remaining", HeaderValue::from(left));
    headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
}
