//! `DELETE /admin/users/{user_id}`

use axum::extract::{self, Path};
use axum::response::Response;
use database::TransactionOptions;

use super::admin_users_one::find;
use crate::State;
use crate::account;
use crate::audit::{self, Action, Actor, traits};
use crate::error::{Result, Step};
use crate::http::{Admin, Body, Context};
use crate::json::{self, params};
use crate::store::users;

params! {
    "adminUserDeleteParams",
    /// What the route accepts.
    struct Params { should_soft_delete: bool }
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    request: Context,
    admin: Admin,
    Path(user_id): Path<String>,
    body: Body,
) -> Result<Response> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let mut user = find(db, &user_id).await?;
    let params = if body.is_empty() { Params::default() } else { body.read()? };
    let deleted = traits([
        ("user_id", user.id.to_string().into()),
        ("user_email", user.email.as_str().into()),
        ("user_phone", user.phone.as_str().into()),
    ]);
    audit::record(db, &state, &request, Actor::admin(&admin.role), Action::UserDeleted, deleted)
        .await
        .step("Error recording audit log entry")?;
    if !params.should_soft_delete {
        users::delete(db, user.id).await.step("Database error deleting user")?;
    } else if user.deleted_at.is_none() {
        account::soft_delete(db, &mut user).await?;
    }
    transaction.commit().await?;
    Ok(json::ok_empty())
}
