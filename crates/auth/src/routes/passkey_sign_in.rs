//! `POST /passkeys/authentication/options` and `…/verify`: signing in with a passkey alone.

use axum::extract;
use axum::response::Response;
use database::{Connection, TransactionOptions};
use serde::Serialize;
use uuid::Uuid;

use super::passkey_register::{
    challenge_expired, challenge_not_found, party, read, refused, require_enabled,
};
use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::http::{Body, Context};
use crate::json::{self, Timestamp};
use crate::rate_limit::Limit;
use crate::session::{Method, sign_in};
use crate::store::passkeys::{self, Passkey};
use crate::store::users;
use crate::user::User;
use crate::webauthn::{AssertionResponse, RequestOptions};

#[derive(Serialize)]
struct Begun {
    challenge_id: Uuid,
    options: RequestOptions,
    expires_at: i64,
}

pub(super) async fn options(
    extract::State(state): extract::State<State>,
    request: Context,
) -> Result<Response> {
    require_enabled(&state)?;
    state.limits().check(Limit::Passkey, &request, state.config()).await?;
    let (options, session) = party(&state)?.begin_sign_in();
    let lifetime = state.config().webauthn.challenge_expiry;
    let mut db = state.database().await?;
    let (challenge_id, expires_at) = passkeys::begin(&mut db, None, "authentication", &session, lifetime)
        .await
        .step("Database error storing challenge")?;
    Ok(json::ok(&Begun { challenge_id, options, expires_at: expires_at.unix() }))
}

pub(super) async fn verify(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    let (challenge_id, answer) = read(&body)?;
    let mut connection = state.database().await?;
    let consumed = passkeys::consume(&mut connection, challenge_id, "authentication", None).await;
    let Some((session, expires_at)) = consumed.step("Database error consuming challenge")? else {
        return Err(challenge_not_found());
    };
    if Timestamp::now() > expires_at {
        return Err(challenge_expired());
    }
    let answer = AssertionResponse::parse(&answer).ok_or_else(|| refused("Invalid credential response"))?;
    let failed = || refused("Credential verification failed");
    let (user, passkeys) = owner(&mut connection, &answer).await?.ok_or_else(failed)?;
    let credentials: Vec<_> = passkeys.iter().map(|passkey| passkey.credential.clone()).collect();
    let credential = party(&state)?
        .finish_use(&session, &user.id.to_string(), &credentials, &answer)
        .map_err(|error| failed().because(Cause::Other(error.into())))?;
    let passkey = passkeys
        .iter()
        .find(|passkey| passkey.credential.id == credential.id)
        .map(|passkey| passkey.id)
        .ok_or_else(failed)?;
    check(&user)?;

    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    passkeys::touch(db, passkey, &credential).await?;
    let used = traits([("passkey_id", passkey.to_string().into())]);
    audit::record_from(db, &state, &request, &user, Action::Login, used, &request.ip).await?;
    let tokens = sign_in(db, &state, &request, user, Method::Passkey).await?;
    transaction.commit().await?;
    Ok(json::ok(&tokens))
}

/// The user that the authenticator names, with the passkeys there are.
async fn owner(db: &mut Connection, answer: &AssertionResponse) -> Result<Option<(User, Vec<Passkey>)>> {
    let handle = std::str::from_utf8(answer.user_handle()).ok();
    let Some(id) = handle.and_then(|text| text.parse::<Uuid>().ok()) else { return Ok(None) };
    let Some(user) = users::by_id(db, id).await? else { return Ok(None) };
    let passkeys = passkeys::of_user(db, id).await?;
    let known = passkeys.iter().any(|passkey| passkey.credential.id.0 == answer.credential_id());
    Ok(known.then_some((user, passkeys)))
}

fn check(user: &User) -> Result<()> {
    if !user.email.is_empty() && !user.is_confirmed() {
        return Err(Error::forbidden(ErrorCode::EmailNotConfirmed, "Email not confirmed"));
    }
    if !user.phone.is_empty() && !user.is_phone_confirmed() {
        return Err(Error::forbidden(ErrorCode::PhoneNotConfirmed, "Phone not confirmed"));
    }
    if user.is_banned() {
        return Err(Error::forbidden(ErrorCode::UserBanned, "User is banned"));
    }
    Ok(())
}
