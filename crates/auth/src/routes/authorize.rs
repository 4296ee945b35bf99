//! `GET /authorize`: the way to somebody else's sign-in page.

use axum::extract;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::identity_delete::require_linking;
use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::external::flow::Flow;
use crate::http::{Caller, Context, redirect_target, see};
use crate::json;
use crate::pkce;
use crate::providers::{CUSTOM, Place};
use crate::random;
use crate::session::Method;
use crate::store::{client_states, flow_states, users};
use crate::user::User;

/// Parameters that are for us and not for the provider.
const OWN: [&str; 4] = ["scopes", "provider", "code_challenge", "code_challenge_method"];

/// Characters of our own secrets of sign-ins.
const VERIFIER: usize = 64;

pub(super) async fn get(extract::State(state): extract::State<State>, request: Context) -> Result<Response> {
    let url = begin(&state, &request, None).await?;
    see(StatusCode::FOUND, &url, &request.method)
}

/// `GET /user/identities/authorize`: the same, to add an identity to a user.
pub(super) async fn link(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
) -> Result<Response> {
    require_linking(&state)?;
    let url = begin(&state, &request, Some(&caller.user)).await?;
    if request.query.get("skip_http_redirect") == "true" {
        return Ok(json::ok(&json!({"url": url})));
    }
    see(StatusCode::FOUND, &url, &request.method)
}

async fn begin(state: &State, request: &Context, target: Option<&User>) -> Result<String> {
    let query = &request.query;
    // Names of custom providers have one spelling; the others are kept as they were asked for, as in the original.
    let mut name = query.get("provider").to_owned();
    if name.to_lowercase().starts_with(CUSTOM) {
        name = name.to_lowercase();
    }
    let unsupported = |reason: String| Error::invalid(format!("Unsupported provider: {reason}"));
    let place = Place::find(state, &name).await.map_err(unsupported)?;
    let invite_token = query.get("invite_token");
    if !invite_token.is_empty() {
        let mut db = state.database().await?;
        let invited = users::by_confirmation_token(&mut db, invite_token).await;
        if invited.step("Database error finding user")?.is_none() {
            return Err(Error::not_found(ErrorCode::UserNotFound, "User identified by token not found"));
        }
    }
    let challenge = pkce::parse(query.get("code_challenge_method"), query.get("code_challenge"))?;
    let flow_state_id = match &challenge {
        Some(challenge) => {
            let mut db = state.database().await?;
            let method = challenge.stored_method()?;
            let id = flow_states::insert(&mut db, None, &name, Method::OAuth, &challenge.challenge, method)
                .await?;
            id.to_string()
        }
        None => String::new(),
    };
    let mut client_state_id = None;
    let verifier = place.wants_proof().then(|| random::alphanumeric(VERIFIER));
    if let Some(verifier) = &verifier {
        let mut db = state.database().await?;
        client_state_id = Some(client_states::insert(&mut db, &name, verifier).await?);
    }
    tracing::info!(request_id = %request.id, provider = name, "redirecting to an external provider");
    let flow = Flow {
        provider: name,
        invite_token: invite_token.to_owned(),
        referrer: redirect_target(request, state.config()),
        flow_state_id,
        linking_target_id: target.map(|user| user.id.to_string()).unwrap_or_default(),
        email_optional: place.email_optional(),
        client_state_id,
        ..Flow::default()
    };
    let mut extra = query.clone();
    extra.retain(|name| !OWN.contains(&name));
    place
        .authorize_url(state, query.get("scopes"), &flow.seal(state)?, verifier.as_deref(), &extra)
        .await
        .map_err(|error| unsupported(error.to_string()).because(Cause::Other(error.into())))
}
