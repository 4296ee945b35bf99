//! `GET /sso/saml/metadata`: what identity providers have to know of us.

use axum::extract;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};

use super::sso::service;
use crate::State;
use crate::error::Result;
use crate::http::Context;

pub(super) async fn get(extract::State(state): extract::State<State>, request: Context) -> Result<Response> {
    let is_file = request.query.get("download") == "true";
    let xml = service(&state)?.metadata(Utc::now(), is_file);
    let headers = [(CONTENT_TYPE, "application/xml"), (CACHE_CONTROL, "public, max-age=600")];
    if is_file {
        let name = [(CONTENT_DISPOSITION, "attachment; filename=\"metadata.xml\"")];
        return Ok((headers, name, xml).into_response());
    }
    Ok((headers, xml).into_response())
}
