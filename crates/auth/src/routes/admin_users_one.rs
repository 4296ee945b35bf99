//! `GET /admin/users/{user_id}`, and how the other routes of one user find it.

use axum::extract::{self, Path};
use axum::response::Response;
use database::Connection;
use uuid::Uuid;

use crate::State;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::Admin;
use crate::json;
use crate::store::users;
use crate::user::User;

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Result<Response> {
    let mut db = state.database().await?;
    Ok(json::ok(&find(&mut db, &user_id).await?))
}

/// Another method: whether there is such a user is looked at first, as in the original.
pub(super) async fn method_not_allowed(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Error {
    let found = async { find(&mut *state.database().await?, &user_id).await };
    found.await.err().unwrap_or(Error::MethodNotAllowed)
}

/// The user of an id in a path.
pub(super) async fn find(db: &mut Connection, user_id: &str) -> Result<User> {
    let id: Uuid = user_id
        .parse()
        .map_err(|_| Error::not_found(ErrorCode::ValidationFailed, "user_id must be an UUID"))?;
    users::by_id(db, id)
        .await
        .step("Database error loading user")?
        .ok_or_else(|| Error::not_found(ErrorCode::UserNotFound, "User not found"))
}
