//! `GET /.well-known/openid-configuration`: where everything is, for OpenID Connect. Newer than 2.180, and there whether
//! applications can sign people in here or only verify tokens.

use axum::extract;
use axum::response::Response;
use http::{HeaderValue, header};
use serde::Serialize;

use crate::oauth_server::SUPPORTED_SCOPES;
use crate::{State, json};

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    scopes_supported: [&'static str; 5],
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 3],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    claims_supported: [&'static str; 15],
    code_challenge_methods_supported: [&'static str; 2],
}

const CLAIMS: [&str; 15] = [
    "sub",
    "aud",
    "iss",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "email",
    "email_verified",
    "phone_number",
    "phone_number_verified",
    "name",
    "picture",
    "preferred_username",
    "updated_at",
];

pub(super) async fn get(extract::State(state): extract::State<State>) -> Response {
    let config = state.config();
    let issuer = config.jwt.issuer.trim_end_matches('/');
    let at = |path: &str| format!("{issuer}{path}");
    let server = &config.oauth_server;
    let mut response = json::ok(&Metadata {
        issuer: &config.jwt.issuer,
        authorization_endpoint: at("/oauth/authorize"),
        token_endpoint: at("/oauth/token"),
        jwks_uri: at("/.well-known/jwks.json"),
        userinfo_endpoint: at("/oauth/userinfo"),
        registration_endpoint: (server.enabled && server.allow_dynamic_registration)
            .then(|| at("/oauth/clients/register")),
        scopes_supported: SUPPORTED_SCOPES,
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256", "HS256", "ES256"],
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
        claims_supported: CLAIMS,
        code_challenge_methods_supported: ["S256", "plain"],
    });
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    response
}
