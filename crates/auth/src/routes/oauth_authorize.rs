//! `GET /oauth/authorize`: an application asks, and people are sent to the site's page to answer.

use axum::extract;
use axum::response::Response;
use http::StatusCode;
use uuid::Uuid;

use crate::State;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Context, Form, GoUrl, see};
use crate::json::Timestamp;
use crate::oauth_server::require_enabled;
use crate::random;
use crate::store::oauth_authorizations::{self, Authorization};
use crate::store::oauth_clients;

/// Seconds that people have to answer.
const LIFETIME: i64 = 600;

pub(super) async fn get(extract::State(state): extract::State<State>, request: Context) -> Result<Response> {
    require_enabled(&state)?;
    let config = state.config();
    let query = &request.query;
    let (client_id, redirect_uri) = (query.get("client_id"), query.get("redirect_uri"));
    if client_id.is_empty() {
        return Err(Error::invalid("client_id is required"));
    }
    if redirect_uri.is_empty() {
        return Err(Error::invalid("redirect_uri is required"));
    }
    let unknown = |message: &'static str| Error::bad_request(ErrorCode::OAuthClientNotFound, message);
    let id: Uuid = client_id.parse().map_err(|_| unknown("invalid client_id format"))?;
    let mut db = state.database().await?;
    let client = oauth_clients::find(&mut db, id).await.step("error validating client")?;
    let client = client.ok_or_else(|| unknown("invalid client_id"))?;
    // Where it may not send people, nobody is sent: this error is for the person who looks at it.
    if !client.redirect_uris.iter().any(|registered| registered == redirect_uri) {
        return Err(Error::invalid("invalid redirect_uri"));
    }
    let asked_state = query.get("state");
    let back = |error: &str, description: &str| {
        see(StatusCode::FOUND, &error_url(redirect_uri, error, description, asked_state)?, &request.method)
    };
    if let Err(reason) = check(query) {
        return back("invalid_request", reason);
    }
    let scope = match query.get("scope") {
        "" => &config.oauth_server.default_scope,
        scope => scope,
    };
    let asked = Authorization {
        id: Uuid::new_v4(),
        public_id: random::alphanumeric(32),
        client_id: client.id,
        user_id: None,
        redirect_uri: redirect_uri.to_owned(),
        scope: scope.to_owned(),
        state: asked_state.to_owned(),
        resource: query.get("resource").to_owned(),
        challenge: query.get("code_challenge").to_owned(),
        challenge_method: query.get("code_challenge_method").to_ascii_lowercase(),
        status: "pending".into(),
        expires_at: Timestamp::now().plus_seconds(LIFETIME),
        nonce: query.get("nonce").to_owned(),
    };
    if let Err(error) = oauth_authorizations::insert(&mut db, &asked).await {
        tracing::error!(request_id = %request.id, %error, "an authorization could not be stored");
        return back("server_error", "error creating authorization");
    }
    let path = config.oauth_server.authorization_path.as_str();
    if path.is_empty() {
        return back("server_error", "oauth authorization path not configured");
    }
    let (site, path) = (config.site_url.trim_end_matches('/'), path.strip_prefix('/').unwrap_or(path));
    let page = format!("{site}/{path}?authorization_id={}", asked.public_id);
    see(StatusCode::FOUND, &page, &request.method)
}

/// What else is wrong with a request.
fn check(query: &Form) -> Result<(), &'static str> {
    if !matches!(query.get("response_type"), "" | "code") {
        return Err("only response_type=code is supported");
    }
    let resource = query.get("resource");
    if !resource.is_empty() {
        let url = GoUrl::parse(resource).ok_or("resource must be a valid URI")?;
        match () {
            () if url.scheme().is_empty() => return Err("resource must be an absolute URI"),
            () if resource.contains('#') => return Err("resource must not include a fragment component"),
            () if resource.contains('?') => return Err("resource must not include a query component"),
            () => {}
        }
    }
    if query.get("nonce").len() > 255 {
        return Err("nonce must not be longer than 255 characters");
    }
    let (challenge, method) = (query.get("code_challenge"), query.get("code_challenge_method"));
    if challenge.is_empty() || method.is_empty() {
        return Err("PKCE flow requires both code_challenge and code_challenge_method");
    }
    if !method.eq_ignore_ascii_case("s256") && !method.eq_ignore_ascii_case("plain") {
        return Err("code_challenge_method must be 'S256' or 'plain'");
    }
    if !(43..=128).contains(&challenge.len()) {
        return Err("code_challenge must be between 43 and 128 characters");
    }
    Ok(())
}

/// An application's address with an error.
pub(super) fn error_url(redirect_uri: &str, error: &str, description: &str, state: &str) -> Result<String> {
    let mut form = Form::default();
    form.set("error", error);
    form.set("error_description", description);
    with(redirect_uri, &form, state)
}

/// An application's address with further parameters and the state it gave.
pub(super) fn with(redirect_uri: &str, form: &Form, state: &str) -> Result<String> {
    let mut url =
        GoUrl::parse(redirect_uri).ok_or_else(|| Error::internal("the redirect URI is not a URL"))?;
    let mut query = url.query();
    for (name, value) in form.first_values() {
        query.set(name, value);
    }
    if !state.is_empty() {
        query.set("state", state);
    }
    url.set_query(&query);
    Ok(url.to_string())
}
