//! `DELETE /user/identities/{identity_id}`: a user gives up one of several ways to be known.

use axum::extract::{self, Path};
use axum::response::Response;
use database::TransactionOptions;
use uuid::Uuid;

use crate::State;
use crate::account;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Caller, Context};
use crate::json;
use crate::mail::MessageKind;
use crate::news;
use crate::store::identities;
use crate::store::users::{self, Column};

/// Users link and unlink identities only where that is switched on.
pub(super) fn require_linking(state: &State) -> Result<()> {
    if state.config().security.manual_linking_enabled {
        return Ok(());
    }
    Err(Error::not_found(ErrorCode::ManualLinkingDisabled, "Manual linking is disabled"))
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(identity_id): Path<String>,
) -> Result<Response> {
    require_linking(&state)?;
    let id: Uuid = identity_id
        .parse()
        .map_err(|_| Error::not_found(ErrorCode::ValidationFailed, "identity_id must be an UUID"))?;
    if caller.token_audience() != caller.audience(&request, &state) {
        return Err(Error::forbidden(
            ErrorCode::UnexpectedAudience,
            "Token audience doesn't match request audience",
        ));
    }
    let mut user = caller.user;
    let all = user.identities.take().unwrap_or_default();
    if all.len() <= 1 {
        return Err(Error::unprocessable(
            ErrorCode::SingleIdentityNotDeletable,
            "User must have at least 1 identity after unlinking",
        ));
    }
    let identity = all
        .iter()
        .find(|identity| identity.id == id)
        .ok_or_else(|| Error::unprocessable(ErrorCode::IdentityNotFound, "Identity doesn't exist"))?;

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let unlinked = traits([
        ("identity_id", identity.id.to_string().into()),
        ("provider", identity.provider.as_str().into()),
        ("provider_id", identity.provider_id.as_str().into()),
    ]);
    audit::record(db, &state, &request, &user, Action::IdentityUnlinked, unlinked)
        .await
        .step("Error recording audit log entry")?;
    let address = user.email.clone();
    identities::delete(db, identity.id).await.step("Database error deleting identity")?;
    if identity.provider == "phone" {
        user.phone.clear();
        user.phone_confirmed_at = None;
        users::update(db, &mut user, &[Column::Phone, Column::PhoneConfirmedAt])
            .await
            .step("Database error updating user phone")?;
    } else if !account::keep_an_address(db, &mut user).await.step("Database error updating user email")? {
        return Err(Error::unprocessable(
            ErrorCode::EmailConflictIdentityNotDeletable,
            "Unable to unlink identity due to email conflict",
        ));
    }
    account::update_providers(db, &mut user).await.step("Database error updating user providers")?;
    transaction.commit().await?;
    let about = [("Provider", identity.provider.as_str()), ("Email", &address)];
    news::tell(&state, &request, &user, MessageKind::IdentityUnlinked, &address, &about);
    Ok(json::ok_empty())
}
