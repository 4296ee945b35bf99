//! `POST /token?grant_type=…`: the grants are told apart here and answered in files of their own.

use axum::extract;
use axum::response::Response;

use super::{token_id_token, token_password, token_pkce, token_refresh, token_web3};
use crate::State;
use crate::captcha;
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
    if !matches!(grant_type, "pkce" | "refresh_token" | "id_token") {
        captcha::check(&state, &request, &body).await?;
    }
    if grant_type == "web3" {
        state.limits().check(Limit::Web3, &request, state.config()).await?;
        return token_web3::grant(&state, &request, &body).await;
    }
    if !matches!(grant_type, "password" | "refresh_token" | "pkce" | "id_token") {
        return Err(Error::bad_request(ErrorCode::InvalidCredentials, "unsupported_grant_type"));
    }
    state.limits().check(Limit::Token, &request, state.config()).await?;
    match grant_type {
        "password" => token_password::grant(&state, &request, &body).await,
        "id_token" => token_id_token::grant(&state, &request, &body).await,
        "refresh_token" => token_refresh::grant(&state, &request, &body).await,
        _ => token_pkce::grant(&state, &request, &body).await,
    }
}
