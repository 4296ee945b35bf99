//! `POST /magiclink`: a mail with a link that signs in, for new users as well.

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
use crate::mail::MessageKind;
use crate::one_time;
use crate::pkce;
use crate::random;
use crate::rate_limit::Limit;
use crate::session::Method;
use crate::signup::{Registration, begin_flow, sign_up};
use crate::store::users;

params! {
    "MagicLinkParams",
    /// What the route accepts.
    struct Params { email: String, data: Option<Object>, code_challenge_method: String, code_challenge: String }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    state.limits().check(Limit::MagicLink, &request, state.config()).await?;
    captcha::check(&state, &request, &body).await?;
    send(&state, &request, &body).await
}

/// Sends a link to the address in the body.
pub(super) async fn send(state: &State, request: &Context, body: &Body) -> Result<Response> {
    let config = state.config();
    if !config.external.email_enabled {
        return Err(Error::unprocessable(ErrorCode::EmailProviderDisabled, "Email logins are disabled"));
    }
    if !config.external.magic_link_enabled {
        return Err(Error::unprocessable(
            ErrorCode::EmailProviderDisabled,
            "Login with magic link is disabled",
        ));
    }
    let params: Params = body.read_stream()?;
    if params.email.is_empty() {
        return Err(Error::unprocessable(ErrorCode::ValidationFailed, "Password recovery requires an email"));
    }
    let email = contact::email(&params.email)?;
    let challenge = pkce::parse(&params.code_challenge_method, &params.code_challenge)?;
    let aud = request_audience(request, state);

    let user = {
        let mut db = state.database().await?;
        users::by_email(&mut db, &email, &aud).await.step("Database error finding user")?
    };
    if user.is_none_or(|user| !user.is_confirmed()) {
        let registration = Registration {
            email: email.clone(),
            password: random::password(&config.password.required_characters, 33),
            data: params.data.unwrap_or_default(),
            code_challenge: params.code_challenge,
            code_challenge_method: params.code_challenge_method,
            ..Registration::default()
        };
        sign_up(state, request, registration, aud.clone()).await?;
        if !config.mailer.autoconfirm {
            // The confirmation mail is the magic link.
            return Ok(json::ok_empty());
        }
    }

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = users::by_email(db, &email, &aud).await.step("Database error finding user")?;
    let Some(mut user) = user else { return Err(Error::internal("Database error finding user")) };
    if let Some(challenge) = &challenge {
        begin_flow(db, user.id, "magiclink", Method::MagicLink, challenge).await?;
    }
    audit::record(db, state, request, &user, Action::UserRecoveryRequested, None).await?;
    one_time::send_recovery(db, state, request, &mut user, MessageKind::MagicLink, challenge.as_ref())
        .await?;
    transaction.commit().await?;
    Ok(json::ok_empty())
}
