//! `GET /reauthenticate`: a nonce for a password change.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;

use crate::State;
use crate::audit::{self, Action};
use crate::error::{Error, ErrorCode, Result};
use crate::http::{Caller, Context};
use crate::json::{self, Object};
use crate::one_time::{self, TextPurpose};

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
) -> Result<Response> {
    let mut user = caller.user;
    match (user.email.is_empty(), user.phone.is_empty()) {
        (true, true) => {
            return Err(Error::invalid(
                "Reauthentication requires the user to have an email or a phone number",
            ));
        }
        (false, _) if !user.is_confirmed() => {
            return Err(Error::unprocessable(
                ErrorCode::EmailNotConfirmed,
                "Please verify your email first.",
            ));
        }
        (true, false) if !user.is_phone_confirmed() => {
            return Err(Error::unprocessable(
                ErrorCode::PhoneNotConfirmed,
                "Please verify your phone first.",
            ));
        }
        _ => {}
    }
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    audit::record(db, &state, &request, &user, Action::UserReauthenticateRequested, None).await?;
    let mut answer = Object::new();
    if user.email.is_empty() {
        let number = user.phone.clone();
        let purpose = TextPurpose::Reauthentication;
        let message_id = one_time::send_text(db, &state, &mut user, &number, purpose, "sms").await?;
        if !message_id.is_empty() {
            answer.insert("message_id".into(), message_id.into());
        }
    } else {
        one_time::send_reauthentication(db, &state, &request, &mut user).await?;
    }
    transaction.commit().await?;
    Ok(json::ok(&answer))
}
