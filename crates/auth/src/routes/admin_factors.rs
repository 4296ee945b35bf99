//! `/admin/users/{user_id}/factors`

use axum::extract::{self, Path};
use axum::response::Response;
use database::{Connection, TransactionOptions};
use uuid::Uuid;

use super::admin_users_one::find;
use crate::State;
use crate::audit::{self, Action, Actor, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::factors::FactorType;
use crate::http::{Admin, Body, Context};
use crate::json::{self, Timestamp, params};
use crate::phone;
use crate::store::{factors, sessions};
use crate::user::{Factor, User};

params! {
    "adminUserUpdateFactorParams",
    /// What `PUT` accepts.
    struct Params { friendly_name: String, phone: String }
}

async fn find_factor(db: &mut Connection, user: &User, factor_id: &str) -> Result<Factor> {
    let id: Uuid = factor_id
        .parse()
        .map_err(|_| Error::not_found(ErrorCode::ValidationFailed, "factor_id must be an UUID"))?;
    factors::find(db, user.id, id)
        .await
        .step("Database error loading factor")?
        .ok_or_else(|| Error::not_found(ErrorCode::MfaFactorNotFound, "Factor not found"))
}

/// Another method: whether there is such a factor is looked at first, as in the original.
pub(super) async fn method_not_allowed(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path((user_id, factor_id)): Path<(String, String)>,
) -> Error {
    let found = async {
        let mut db = state.database().await?;
        let user = find(&mut db, &user_id).await?;
        find_factor(&mut db, &user, &factor_id).await
    };
    found.await.err().unwrap_or(Error::MethodNotAllowed)
}

pub(super) async fn list(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(user_id): Path<String>,
) -> Result<Response> {
    let mut db = state.database().await?;
    Ok(json::ok(&find(&mut db, &user_id).await?.factors))
}

pub(super) async fn update(
    extract::State(state): extract::State<State>,
    request: Context,
    admin: Admin,
    Path((user_id, factor_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = find(db, &user_id).await?;
    let mut factor = find_factor(db, &user, &factor_id).await?;
    let params: Params = body.read()?;
    if !params.friendly_name.is_empty() {
        factor.friendly_name = params.friendly_name;
    }
    if !params.phone.is_empty() && factor.is_phone() {
        factor.phone = phone::parse(&params.phone)?;
    }
    factor.updated_at = Timestamp::now_stored();
    factors::update(db, &factor).await?;
    let updated = traits([
        ("user_id", user.id.to_string().into()),
        ("factor_id", factor.id.to_string().into()),
        ("factor_type", factor.factor_type.as_str().into()),
    ]);
    audit::record(db, &state, &request, Actor::admin(&admin.role), Action::FactorUpdated, updated).await?;
    transaction.commit().await?;
    Ok(json::ok(&factor))
}

pub(super) async fn remove(
    extract::State(state): extract::State<State>,
    request: Context,
    _: Admin,
    Path((user_id, factor_id)): Path<(String, String)>,
) -> Result<Response> {
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = find(db, &user_id).await?;
    let factor = find_factor(db, &user, &factor_id).await?;
    let deleted =
        traits([("user_id", user.id.to_string().into()), ("factor_id", factor.id.to_string().into())]);
    let action = Action::FactorDeleted;
    audit::record_from(db, &state, &request, &user, action, deleted, &request.ip).await?;
    factors::delete(db, factor.id).await.step("Database error deleting factor")?;
    // GoTrue left such sessions at aal2 until 2.193.
    let method = FactorType::parse(&factor.factor_type)?.method();
    sessions::downgrade(db, user.id, factor.id, method.as_str())
        .await
        .step("Database error deleting factor")?;
    transaction.commit().await?;
    Ok(json::ok(&factor))
}
