//! `POST /recover`: a mail with a link to set a new password. Unknown addresses get the same answer.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;

use crate::State;
use crate::audit::{self, Action};
use crate::captcha;
use crate::contact;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Body, Context, request_audience};
use crate::json::{self, params};
use crate::mail::MessageKind;
use crate::one_time;
use crate::pkce;
use crate::rate_limit::Limit;
use crate::session::Method;
use crate::signup::begin_flow;
use crate::store::users;

params! {
    "RecoverParams",
    /// What the route accepts.
    struct Params { email: String, code_challenge: String, code_challenge_method: String }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    let config = state.config();
    state.limits().check(Limit::Recover, &request, config).await?;
    captcha::check(&state, &request, &body).await?;
    if !config.external.email_enabled {
        return Err(Error::bad_request(ErrorCode::EmailProviderDisabled, "Email logins are disabled"));
    }
    let params: Params = body.read()?;
    if params.email.is_empty() {
        return Err(Error::invalid("Password recovery requires an email"));
    }
    let email = contact::email(&params.email)?;
    let challenge = pkce::parse(&params.code_challenge_method, &params.code_challenge)?;

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let aud = request_audience(&request, &state);
    let user = users::by_email(db, &email, &aud).await.step("Unable to process request")?;
    let Some(mut user) = user else { return Ok(json::ok_empty()) };
    if let Some(challenge) = &challenge {
        begin_flow(db, user.id, "recovery", Method::Recovery, challenge).await?;
    }
    audit::record(db, &state, &request, &user, Action::UserRecoveryRequested, None).await?;
    one_time::send_recovery(db, &state, &request, &mut user, MessageKind::Recovery, challenge.as_ref())
        .await?;
    transaction.commit().await?;
    Ok(json::ok_empty())
}
