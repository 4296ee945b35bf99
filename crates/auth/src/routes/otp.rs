//! `POST /otp`: a code by mail or by text message.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;
use serde::Serialize;

use super::magiclink;
use crate::State;
use crate::audit::{self, Action, traits};
use crate::captcha;
use crate::contact;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Body, Context, request_audience};
use crate::json::{self, Object, params};
use crate::one_time::{self, TextPurpose};
use crate::phone;
use crate::pkce;
use crate::random;
use crate::rate_limit::Limit;
use crate::signup::{Registration, sign_up};
use crate::store::users;

params! {
    "OtpParams",
    /// What the route accepts.
    struct Params {
        email: String,
        phone: String,
        create_user: CreateUser,
        data: Option<Object>,
        channel: String,
        code_challenge_method: String,
        code_challenge: String,
    }
}

/// A flag that is true unless the body says otherwise.
#[derive(Debug)]
struct CreateUser(bool);

impl Default for CreateUser {
    fn default() -> Self {
        Self(true)
    }
}

impl json::Field for CreateUser {
    fn store(&mut self, value: serde_json::Value) -> Result<(), json::Mismatch> {
        self.0.store(value)
    }
}

#[derive(Serialize)]
struct Sent {
    #[serde(skip_serializing_if = "String::is_empty")]
    message_id: String,
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    state.limits().check(Limit::Otp, &request, state.config()).await?;
    captcha::check(&state, &request, &body).await?;
    let params: Params = body.read()?;
    if !params.email.is_empty() && !params.phone.is_empty() {
        return Err(Error::invalid("Only an email address or phone number should be provided"));
    }
    if !params.email.is_empty() && !params.channel.is_empty() {
        return Err(Error::invalid("Channel should only be specified with Phone OTP"));
    }
    pkce::parse(&params.code_challenge_method, &params.code_challenge)?;
    if !params.create_user.0 && !is_known(&state, &request, &params).await? {
        return Err(Error::unprocessable(ErrorCode::OtpDisabled, "Signups not allowed for otp"));
    }
    if !params.email.is_empty() {
        return magiclink::send(&state, &request, &body).await;
    }
    if !params.phone.is_empty() {
        return text(&state, &request, params).await;
    }
    Err(Error::invalid("One of email or phone must be set"))
}

/// Whether there is such a user. A contact that is none counts as unknown, as in the original.
async fn is_known(state: &State, request: &Context, params: &Params) -> Result<bool> {
    let aud = request_audience(request, state);
    let mut db = state.database().await?;
    Ok(if !params.email.is_empty() {
        match contact::email(&params.email) {
            Ok(email) => users::by_email(&mut db, &email, &aud).await?.is_some(),
            Err(_) => false,
        }
    } else if !params.phone.is_empty() {
        match phone::parse(&params.phone) {
            Ok(phone) => users::by_phone(&mut db, &phone, &aud).await?.is_some(),
            Err(_) => false,
        }
    } else {
        true
    })
}

async fn text(state: &State, request: &Context, params: Params) -> Result<Response> {
    let config = state.config();
    if !config.external.phone_enabled {
        return Err(Error::bad_request(ErrorCode::PhoneProviderDisabled, "Unsupported phone provider"));
    }
    let phone = phone::parse(&params.phone)?;
    let channel = if params.channel.is_empty() { "sms" } else { &params.channel };
    contact::channel(channel, config)?;
    let aud = request_audience(request, state);
    let known = {
        let mut db = state.database().await?;
        users::by_phone(&mut db, &phone, &aud).await.step("Database error finding user")?
    };
    if known.is_none_or(|user| !user.is_phone_confirmed()) {
        let registration = Registration {
            phone: phone.clone(),
            password: random::password(&config.password.required_characters, 64),
            data: params.data.unwrap_or_default(),
            channel: channel.to_owned(),
            ..Registration::default()
        };
        sign_up(state, request, registration, aud.clone()).await?;
        if !config.sms.autoconfirm {
            return Ok(json::ok_empty());
        }
    }

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = users::by_phone(db, &phone, &aud).await.step("Database error finding user")?;
    let Some(mut user) = user else { return Err(Error::internal("Database error finding user")) };
    let channel_trait = traits([("channel", channel.into())]);
    audit::record(db, state, request, &user, Action::UserRecoveryRequested, channel_trait).await?;
    let message_id =
        one_time::send_text(db, state, &mut user, &phone, TextPurpose::Confirmation, channel).await?;
    transaction.commit().await?;
    Ok(json::ok(&Sent { message_id }))
}
