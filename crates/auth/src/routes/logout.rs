//! `POST /logout?scope=global|local|others`

use axum::extract;
use axum::response::{IntoResponse, Response};
use database::TransactionOptions;
use http::StatusCode;

use crate::State;
use crate::audit::{self, Action};
use crate::error::{Error, Result, Step};
use crate::http::{Caller, Context};
use crate::store::sessions;

#[derive(Clone, Copy)]
enum Scope {
    Global,
    Local,
    Others,
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
) -> Result<Response> {
    let scope = match request.query.get("scope") {
        "" | "global" => Scope::Global,
        "local" => Scope::Local,
        "others" => Scope::Others,
        other => return Err(Error::invalid(format!("Unsupported logout scope {other:?}"))),
    };
    end(&state, &request, &caller, scope).await.step("Error logging out user")?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn end(state: &State, request: &Context, caller: &Caller, scope: Scope) -> Result<()> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = &caller.user;
    audit::record(db, state, request, user, Action::Logout, None).await?;
    match (scope, &caller.session) {
        (Scope::Local, Some(session)) => sessions::delete(db, session.id).await?,
        (Scope::Others, Some(session)) => sessions::delete_others(db, user.id, session.id).await?,
        // A token without a session cannot mean "this one".
        _ => sessions::delete_of_user(db, user.id).await?,
    }
    Ok(transaction.commit().await?)
}
