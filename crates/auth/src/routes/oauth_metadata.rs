//! `GET /.well-known/oauth-authorization-server`: what applications must know to ask.

use axum::extract;
use axum::response::Response;
use serde::Serialize;

use crate::State;
use crate::error::{Error, Result};
use crate::json;
use crate::oauth_server::require_enabled;

#[derive(Serialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    registration_endpoint: String,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    code_challenge_methods_supported: [&'static str; 2],
}

pub(super) async fn get(extract::State(state): extract::State<State>) -> Result<Response> {
    require_enabled(&state)?;
    let config = state.config();
    if config.jwt.issuer.is_empty() {
        return Err(Error::internal("Issuer is not set"));
    }
    let issuer = config.jwt.issuer.strip_suffix('/').unwrap_or(&config.jwt.issuer);
    let registration_endpoint = match config.oauth_server.allow_dynamic_registration {
        true => format!("{issuer}/oauth/clients/register"),
        false => String::new(),
    };
    Ok(json::ok(&Metadata {
        issuer: issuer.to_owned(),
        authorization_endpoint: format!("{issuer}/oauth/authorize"),
        token_endpoint: format!("{issuer}/oauth/token"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        registration_endpoint,
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
        code_challenge_methods_supported: ["S256", "plain"],
    }))
}
