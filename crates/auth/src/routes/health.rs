//! `GET /health`

use axum::extract;
use axum::response::Response;
use serde::Serialize;

use crate::{State, json};

#[derive(Serialize)]
struct Health<'a> {
    version: &'a str,
    name: &'static str,
    description: &'static str,
}

pub(super) async fn get(extract::State(state): extract::State<State>) -> Response {
    json::ok(&Health {
        version: &state.config().version,
        name: "GoTrue",
        description: "GoTrue is a user registration and authentication API",
    })
}
