//! `/health`: whether the whole is ready for traffic.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// The state of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It answers.
    Up,
    /// It will answer soon.
    Starting,
    /// It died and is being restarted.
    Restarting,
    /// It does not answer.
    Down,
}

/// The state of the parts that decide whether requests can be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The database.
    pub database: State,
    /// The services that run in this process, by name.
    pub services: Vec<(&'static str, State)>,
}

impl Report {
    /// Whether everything is up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.database == State::Up && self.services.iter().all(|(_, state)| *state == State::Up)
    }
}

/// Who knows the state.
pub trait Health: Send + Sync {
    /// The state of this moment. Called for every probe, so it must not ask anyone.
    fn report(&self) -> Report;
}

/// The answer to a probe: 200 when everything is up, 503 otherwise. It names states and nothing else, since it is open.
pub(crate) fn respond(report: &Report) -> Response<Body> {
    let ready = report.is_ready();
    let services: serde_json::Map<String, serde_json::Value> =
        report.services.iter().map(|(name, state)| ((*name).to_owned(), serde_json::json!(state))).collect();
    let body = serde_json::json!({
        "status": if ready { "ok" } else { "unavailable" },
        "database": report.database,
        "services": services,
    });
    let mut response = Response::new(Body::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !ready {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
