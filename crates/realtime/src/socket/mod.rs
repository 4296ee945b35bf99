//! Websockets: from the upgrade to the last byte.

mod admission;
mod channel;
mod join;
mod session;
mod task;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::claims::{self, Token};
use crate::hub::Outbox;
use crate::protocol::Version;
use crate::service::Inner;

pub(crate) fn router(service: Arc<Inner>) -> Router {
    Router::new().route("/socket/websocket", get(upgrade)).with_state(service)
}

fn refusal(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Why a connection is refused. The original says 403 to all of it, without a word.
const REFUSED: StatusCode = StatusCode::FORBIDDEN;

async fn upgrade(state: State<Arc<Inner>>, request: Request) -> Response {
    let began = Instant::now();
    let response = admit(state, request);
    let result = if response.status() == StatusCode::SWITCHING_PROTOCOLS { "ok" } else { "error" };
    let name = "phoenix_socket_connected_duration_milliseconds";
    metrics::histogram!(name, "result" => result, "transport" => "websocket")
        .record(began.elapsed().as_secs_f64() * 1000.0);
    response
}

fn admit(State(service): State<Arc<Inner>>, mut request: Request) -> Response {
    let headers = request.headers();
    let Some(accept) = accept_key(headers) else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    if headers.values().any(|value| value.len() > service.config.max_header_length) {
        return refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let (token, version) = match credentials(&service, &request) {
        Ok(credentials) => credentials,
        Err(reason) => {
            tracing::info!(reason, "a connection was refused");
            metrics::counter!("realtime_connections_refused").increment(1);
            return refusal(REFUSED);
        }
    };
    // Counted before the check, so that two at once cannot both be the last.
    let guard = SocketCount::new(service.clone());
    if guard.before >= service.config.max_connections || service.stop.is_cancelled() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE);
    }
    let seen = x_headers(headers);
    let upgraded = hyper::upgrade::on(&mut request);
    drop(request);
    let stopping = service.stop.clone();
    let tasks = service.tasks.clone();
    tasks.spawn(async move {
        let io = tokio::select! {
            io = upgraded => io,
            () = stopping.cancelled() => return,
        };
        match io {
            Ok(io) => {
                let outbox = Arc::new(Outbox::new(service.config.queue));
                let session = session::Session::new(service, outbox, version, token, seen);
                task::run(TokioIo::new(io), session).await;
            }
            Err(error) => tracing::debug!(%error, "a connection broke while it changed protocols"),
        }
        drop(guard);
    });
    let mut response = refusal(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// One open socket.
struct SocketCount {
    service: Arc<Inner>,
    before: usize,
}

impl SocketCount {
    fn new(service: Arc<Inner>) -> Self {
        let before = service.sockets.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("realtime_connections_connected").increment(1.0);
        metrics::counter!("phoenix_connections_total").increment(1);
        Self { service, before }
    }
}

impl Drop for SocketCount {
    fn drop(&mut self) {
        self.service.sockets.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("realtime_connections_connected").decrement(1.0);
    }
}

/// The answer to a handshake; none if the request is no handshake.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let names = |name, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted)))
    };
    if !names(CONNECTION, "upgrade")
        || !names(UPGRADE, "websocket")
        || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13")
    {
        return None;
    }
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

fn credentials(service: &Inner, request: &Request) -> Result<(Token, Version), &'static str> {
    let query = request.uri().query().unwrap_or("");
    let parameter = |wanted: &str| {
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == wanted))
            .map(|(_, value)| value)
    };
    if service.hub.limits.suspended() {
        return Err("the tenant is suspended");
    }
    let version = Version::of(parameter("vsn")).ok_or("unknown serializer version")?;
    let header = request.headers().get("x-api-key").map(HeaderValue::to_str).transpose();
    let key = header.map_err(|_| "the key is no text")?.or_else(|| parameter("apikey"));
    let token = claims::verify(&service.ring, &service.config.claim_validators, key.ok_or("no key")?)
        .map_err(|_| "the key is no valid token")?;
    Ok((token, version))
}

/// The headers that policies may see.
fn x_headers(headers: &HeaderMap) -> Arc<str> {
    let seen: std::collections::BTreeMap<&str, std::borrow::Cow<'_, str>> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"))
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    // Strings are JSON.
    serde_json::to_string(&seen).unwrap_or_else(|_| "{}".to_owned()).into()
}

/// Reads the payload of a join.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_join(payload: &str, name: &str) {
    let params = join::JoinParams::parse(payload, name);
    let response = params.response();
    assert!(serde_json::from_str::<serde_json::Value>(&response).is_ok());
    let _ = params.bindings();
}
