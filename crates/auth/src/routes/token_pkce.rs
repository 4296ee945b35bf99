//! `POST /token?grant_type=pkce`: a code and the secret behind its challenge for tokens.

use axum::response::Response;
use database::TransactionOptions;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Cause, Error, ErrorCode, Result};
use crate::http::{Body, RequestContext};
use crate::json::{self, Timestamp, params};
use crate::pkce;
use crate::session::{Method, Session, sign_in_with};
use crate::store::{flow_states, relay_states, users};

params! {
    "PKCEGrantParams",
    /// What the grant accepts.
    struct Params { auth_code: String, code_verifier: String }
}

pub(super) async fn grant(state: &State, request: &RequestContext, body: &Body) -> Result<Response> {
    let params: Params = body.read()?;
    if params.auth_code.is_empty() || params.code_verifier.is_empty() {
        return Err(Error::invalid("invalid request: both auth code and code verifier should be non-empty"));
    }
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let flow = flow_states::by_code(db, &params.auth_code).await?;
    let Some((flow, user_id)) = flow.and_then(|flow| flow.user_id.map(|user_id| (flow, user_id))) else {
        return Err(no_flow());
    };
    let began = match flow.code_issued_at {
        Some(issued_at) if flow.method == Method::MagicLink.as_str() => issued_at,
        _ => flow.created_at,
    };
    if Timestamp::now() > began.plus(state.config().external.flow_state_expiry) {
        return Err(Error::unprocessable(
            ErrorCode::FlowStateExpired,
            "invalid flow state, flow state has expired",
        ));
    }
    let unknown =
        |what: &str| Error::Unexpected(Cause::Other(format!("{what} of a flow does not exist").into()));
    let user = users::by_id(db, user_id).await?.ok_or_else(|| unknown("the user"))?;
    pkce::verify(&flow.challenge, &flow.challenge_method, &params.code_verifier)?;
    let method = Method::parse(&flow.method).ok_or_else(|| unknown("the method"))?;
    let session = Session { not_after: relay_states::end_of(db, flow.id).await?, ..Session::new(user.id) };
    // Deleted first: of two exchanges of one code only one finds it.
    if !flow_states::delete(db, flow.id).await? {
        return Err(no_flow());
    }
    let provider_type = traits([("provider_type", flow.provider_type.as_str().into())]);
    audit::record(db, state, request, &user, Action::Login, provider_type).await?;
    let mut tokens = sign_in_with(db, state, request, user, method, session).await?;
    tokens.provider_token = flow.provider_access_token;
    tokens.provider_refresh_token = flow.provider_refresh_token;
    transaction.commit().await?;
    Ok(json::ok(&tokens))
}

fn no_flow() -> Error {
    Error::not_found(ErrorCode::FlowStateNotFound, "invalid flow state, no valid flow state found")
}
