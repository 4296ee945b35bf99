//! `GET /.well-known/jwks.json`

use axum::extract;
use axum::response::Response;
use http::{HeaderValue, header};

use crate::{State, json};

pub(super) async fn get(extract::State(state): extract::State<State>) -> Response {
    let mut response = json::ok(&state.keys().jwks());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    response
}
