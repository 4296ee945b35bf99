//! `/admin/users/{user_id}/passkeys`: an administrator looks at a user's passkeys and takes them away.

use axum::extract::{self, Path};
use axum::response::{IntoResponse, Response};
use database::TransactionOptions;
use http::StatusCode;

use super::admin_users_one::find;
use super::passkey_list::{self, Item};
use crate::State;
use crate::audit::{self, Action, Actor, traits};
use crate::error::{Result, Step};
use crate::http::{Admin, Context};
use crate::json;
use crate::store::passkeys;

pub(super) async fn list(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Result<Response> {
    let mut db = state.database().await?;
    let user = find(&mut db, &user_id).await?;
    let all = passkeys::of_user(&mut db, user.id).await.step("Database error loading passkeys")?;
    Ok(json::ok(&all.into_iter().map(Item::from).collect::<Vec<_>>()))
}

pub(super) async fn remove(
    extract::State(state): extract::State<State>,
    request: Context,
    admin: Admin,
    Path((user_id, passkey_id)): Path<(String, String)>,
) -> Result<Response> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = find(db, &user_id).await?;
    let passkey = passkey_list::find(db, user.id, &passkey_id).await?;
    const FAILURE: &str = "Database error deleting passkey";
    passkeys::delete(db, passkey.id).await.step(FAILURE)?;
    let deleted =
        traits([("user_id", user.id.to_string().into()), ("passkey_id", passkey.id.to_string().into())]);
    let actor = Actor::admin(&admin.role);
    audit::record_from(db, &state, &request, actor, Action::PasskeyDeleted, deleted, &request.ip)
        .await
        .step(FAILURE)?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
