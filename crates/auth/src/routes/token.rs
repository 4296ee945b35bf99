//! `POST /token?grant_type=…`: the grants are told apart here and answered in files of their own.

use axum::extract;
use axum::response::Response;

use super::{token_password, token_pkce, token_refresh};
use crate::State;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{Body, Context};
use crate::rate_limit::Limit;

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    mut body: Body,
) -> Result<Response> {
    // A urlencoded body is consumed by looking for the grant type in it, as in the original.
    let form = body.take_form();
    let grant_type =
        if form.has("grant_type") { form.get("grant_type") } else { request.query.get("grant_type") };
    if grant_type == "web3" {
        return Err(Error::unprocessable(ErrorCode::Web3ProviderDisabled, "Web3 provider is disabled"));
    }
    if !matches!(grant_type, "password" | "refresh_token" | "pkce") {
        return Err(Error::bad_request(ErrorCode::InvalidCredentials, "unsupported_grant_type"));
    }
    state.limits().check(Limit::Token, &request, state.config())?;
    match grant_type {
        "password" => token_password::grant(&state, &request, &body).await,
        "refresh_token" => token_refresh::grant(&state, &request, &body).await,
        _ => token_pkce::grant(&state, &request, &body).await,
    }
}
