//! `/passkeys`: a user's passkeys, their names, their end.

use axum::extract::{self, Path};
use axum::response::{IntoResponse, Response};
use database::{Connection, TransactionOptions};
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::passkey_register::{require_aal2, require_enabled};
use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Body, Caller, Context};
use crate::json::{self, Timestamp, params};
use crate::store::passkeys::{self, Passkey};

params! {
    "PasskeyUpdateParams",
    /// What `PATCH` accepts.
    struct Params { friendly_name: String }
}

/// A passkey as its owner sees it.
#[derive(Serialize)]
pub(super) struct Item {
    id: Uuid,
    #[serde(skip_serializing_if = "String::is_empty")]
    friendly_name: String,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

impl From<Passkey> for Item {
    fn from(passkey: Passkey) -> Self {
        Self {
            id: passkey.id,
            friendly_name: passkey.friendly_name,
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        }
    }
}

/// A passkey of a user, by the id in a path.
pub(super) async fn find(db: &mut Connection, user_id: Uuid, id: &str) -> Result<Passkey> {
    let missing = || Error::not_found(ErrorCode::ValidationFailed, "Passkey not found");
    let id: Uuid = id.parse().map_err(|_| missing())?;
    passkeys::find(db, user_id, id).await.step("Database error loading passkey")?.ok_or_else(missing)
}

pub(super) async fn get(extract::State(state): extract::State<State>, caller: Caller) -> Result<Response> {
    require_enabled(&state)?;
    let mut db = state.database().await?;
    let all = passkeys::of_user(&mut db, caller.user.id).await.step("Database error loading passkeys")?;
    Ok(json::ok(&all.into_iter().map(Item::from).collect::<Vec<_>>()))
}

pub(super) async fn patch(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(passkey_id): Path<String>,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    if passkey_id.parse::<Uuid>().is_err() {
        return Err(Error::not_found(ErrorCode::ValidationFailed, "Passkey not found"));
    }
    let params: Params = body.read()?;
    if params.friendly_name.is_empty() {
        return Err(Error::invalid("friendly_name is required"));
    }
    if params.friendly_name.len() > 120 {
        return Err(Error::invalid("friendly_name must be 120 characters or less"));
    }
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let mut passkey = find(db, caller.user.id, &passkey_id).await?;
    const FAILURE: &str = "Database error updating passkey";
    passkeys::rename(db, passkey.id, &params.friendly_name).await.step(FAILURE)?;
    let renamed = traits([("passkey_id", passkey.id.to_string().into())]);
    audit::record_from(db, &state, &request, &caller.user, Action::PasskeyUpdated, renamed, &request.ip)
        .await
        .step(FAILURE)?;
    transaction.commit().await?;
    passkey.friendly_name = params.friendly_name;
    Ok(json::ok(&Item::from(passkey)))
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(passkey_id): Path<String>,
) -> Result<Response> {
    require_enabled(&state)?;
    require_aal2(&caller.user, caller.session.as_ref())?;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let passkey = find(db, caller.user.id, &passkey_id).await?;
    const FAILURE: &str = "Database error deleting passkey";
    passkeys::delete(db, passkey.id).await.step(FAILURE)?;
    let deleted = traits([("passkey_id", passkey.id.to_string().into())]);
    audit::record_from(db, &state, &request, &caller.user, Action::PasskeyDeleted, deleted, &request.ip)
        .await
        .step(FAILURE)?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
