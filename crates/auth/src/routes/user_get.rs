//! `GET /user`

use axum::extract;
use axum::response::Response;

use crate::State;
use crate::error::{Error, Result};
use crate::http::{Caller, Context};
use crate::json;

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
) -> Result<Response> {
    if caller.token_audience() != caller.audience(&request, &state) {
        return Err(Error::invalid("Token audience doesn't match request audience"));
    }
    Ok(json::ok(&caller.user))
}
