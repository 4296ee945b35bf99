//! `DELETE /factors/{factor_id}`: a user gives up a second factor.

use axum::extract::{self, Path};
use axum::response::Response;
use database::TransactionOptions;
use serde::Serialize;
use uuid::Uuid;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result};
use crate::factors::{FactorType, find_own};
use crate::http::{Caller, Context};
use crate::json;
use crate::mail::MessageKind;
use crate::news;
use crate::store::{factors, sessions};

#[derive(Serialize)]
struct Unenrolled {
    id: Uuid,
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(factor_id): Path<String>,
) -> Result<Response> {
    caller.require_named()?;
    let factor = find_own(&caller, &factor_id)?;
    let Caller { user, session, .. } = caller;
    let session = session
        .ok_or_else(|| Error::internal("A valid session and factor are required to unenroll a factor"))?;
    if factor.is_verified() && !session.is_aal2() {
        return Err(Error::unprocessable(
            ErrorCode::InsufficientAal,
            "AAL2 required to unenroll verified factor",
        ));
    }
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    factors::delete(db, factor.id).await?;
    let removed = traits([
        ("factor_id", factor.id.to_string().into()),
        ("factor_status", factor.status.as_str().into()),
        ("session_id", session.id.to_string().into()),
    ]);
    audit::record_from(db, &state, &request, &user, Action::FactorUnenrolled, removed, &request.ip).await?;
    let method = FactorType::parse(&factor.factor_type)?.method();
    sessions::downgrade(db, user.id, factor.id, method.as_str()).await?;
    transaction.commit().await?;
    let about = [("FactorType", factor.factor_type.as_str())];
    news::tell(&state, &request, &user, MessageKind::FactorUnenrolled, &user.email, &about);
    Ok(json::ok(&Unenrolled { id: factor.id }))
}
