//! `POST /resend`: a pending confirmation once more. Where nothing is pending nothing happens.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;

use crate::State;
use crate::audit::{self, Action};
use crate::captcha;
use crate::contact;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Body, Context, request_audience};
use crate::json::{self, Object, params};
use crate::one_time::{self, TextPurpose};
use crate::phone;
use crate::rate_limit::Limit;
use crate::store::users;

params! {
    "ResendConfirmationParams",
    /// What the route accepts.
    struct Params { r#type: String, email: String, phone: String }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    state.limits().check(Limit::Resend, &request, state.config()).await?;
    captcha::check(&state, &request, &body).await?;
    let mut params: Params = body.read()?;
    check(&state, &mut params)?;
    let aud = request_audience(&request, &state);

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = if params.email.is_empty() {
        users::by_phone(db, &params.phone, &aud).await
    } else {
        users::by_email(db, &params.email, &aud).await
    };
    let Some(mut user) = user.step("Unable to process request")? else { return Ok(json::ok_empty()) };
    let pending = match params.r#type.as_str() {
        "signup" => !user.is_confirmed(),
        "sms" => !user.is_phone_confirmed(),
        "email_change" => !user.email_change.is_empty(),
        _ => !user.phone_change.is_empty(),
    };
    if !pending {
        return Ok(json::ok_empty());
    }
    let mut message_id = String::new();
    match params.r#type.as_str() {
        "signup" => {
            audit::record(db, &state, &request, &user, Action::UserConfirmationRequested, None).await?;
            one_time::send_confirmation(db, &state, &request, &mut user, None).await?;
        }
        "sms" => {
            audit::record(db, &state, &request, &user, Action::UserRecoveryRequested, None).await?;
            let purpose = TextPurpose::Confirmation;
            message_id = one_time::send_text(db, &state, &mut user, &params.phone, purpose, "sms").await?;
        }
        "email_change" => {
            let address = user.email_change.clone();
            one_time::send_email_change(db, &state, &request, &mut user, &address, None).await?;
        }
        _ => {
            let number = user.phone_change.clone();
            message_id =
                one_time::send_text(db, &state, &mut user, &number, TextPurpose::PhoneChange, "sms").await?;
        }
    }
    transaction.commit().await?;
    let mut answer = Object::new();
    if !message_id.is_empty() {
        answer.insert("message_id".into(), message_id.into());
    }
    Ok(json::ok(&answer))
}

fn check(state: &State, params: &mut Params) -> Result<()> {
    let external = &state.config().external;
    if !matches!(params.r#type.as_str(), "signup" | "email_change" | "sms" | "phone_change") {
        return Err(Error::invalid("Missing one of these types: signup, email_change, sms, phone_change"));
    }
    if params.email.is_empty() && params.r#type == "signup" {
        return Err(Error::invalid("Type provided requires an email address"));
    }
    if params.phone.is_empty() && params.r#type == "sms" {
        return Err(Error::invalid("Type provided requires a phone number"));
    }
    match (params.email.is_empty(), params.phone.is_empty()) {
        (false, false) => Err(Error::invalid("Only an email address or phone number should be provided.")),
        (false, true) if !external.email_enabled => {
            Err(Error::bad_request(ErrorCode::EmailProviderDisabled, "Email logins are disabled"))
        }
        (false, true) => {
            params.email = contact::email(&params.email)?;
            Ok(())
        }
        (true, false) if !external.phone_enabled => {
            Err(Error::bad_request(ErrorCode::PhoneProviderDisabled, "Phone logins are disabled"))
        }
        (true, false) => {
            params.phone = phone::parse(&params.phone)?;
            Ok(())
        }
        (true, true) => Err(Error::invalid("Missing email address or phone number")),
    }
}
