//! `POST /token?grant_type=refresh_token`

use axum::response::Response;

use crate::State;
use crate::error::Result;
use crate::http::{Body, RequestContext};
use crate::json::{self, params};
use crate::session::refresh;

params! {
    "RefreshTokenGrantParams",
    /// What the grant accepts.
    struct Params { refresh_token: String }
}

pub(super) async fn grant(state: &State, request: &RequestContext, body: &Body) -> Result<Response> {
    let params: Params = body.read()?;
    let tokens = refresh(state, request, &params.refresh_token, None).await?;
    Ok(json::ok(&tokens))
}
