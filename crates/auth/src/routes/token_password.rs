//! `POST /token?grant_type=password`

use axum::response::Response;
use database::TransactionOptions;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::guesses::Secret;
use crate::hooks;
use crate::http::{Body, RequestContext, request_audience};
use crate::json::{self, params};
use crate::password;
use crate::phone;
use crate::session::{Method, sign_in};
use crate::store;
use crate::store::users::Column;
use crate::user::User;

params! {
    "PasswordGrantParams",
    /// What the grant accepts.
    struct Params { email: String, phone: String, password: String }
}

pub(super) async fn grant(state: &State, request: &RequestContext, body: &Body) -> Result<Response> {
    let params: Params = body.read()?;
    let external = &state.config().external;
    if !params.email.is_empty() && !params.phone.is_empty() {
        return Err(Error::invalid("Only an email address or phone number should be provided on login."));
    }
    let by_email = !params.email.is_empty();
    if by_email && !external.email_enabled {
        return Err(Error::unprocessable(ErrorCode::EmailProviderDisabled, "Email logins are disabled"));
    }
    if !by_email && params.phone.is_empty() {
        return Err(Error::invalid("missing email or phone"));
    }
    if !by_email && !external.phone_enabled {
        return Err(Error::unprocessable(ErrorCode::PhoneProviderDisabled, "Phone logins are disabled"));
    }
    let user = find(state, request, &params).await.step("Database error querying schema")?;
    let contact = if by_email { &params.email } else { &params.phone };
    let whose = format!("{} {contact}", request.ip);
    state.guesses().permit(Secret::Password, &whose)?;
    let user = authenticate(state, user, &params.password).await.inspect_err(|error| {
        if error.code() == Some(ErrorCode::InvalidCredentials) {
            state.guesses().wrong(Secret::Password, &whose);
        }
    })?;
    if by_email && !user.is_confirmed() {
        return Err(Error::bad_request(ErrorCode::EmailNotConfirmed, "Email not confirmed"));
    }
    if !by_email && !user.is_phone_confirmed() {
        return Err(Error::bad_request(ErrorCode::PhoneNotConfirmed, "Phone not confirmed"));
    }

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let provider = if by_email { "email" } else { "phone" };
    audit::record(db, state, request, &user, Action::Login, traits([("provider", provider.into())])).await?;
    let mut tokens = sign_in(db, state, request, user, Method::Password).await?;
    transaction.commit().await?;

    // A password that no longer meets the rules still signs in; the answer mentions it.
    tokens.weak_password = Some(match password::check_new(state, &params.password).await {
        Err(Error::WeakPassword(weak)) => Some(weak),
        _ => None,
    });
    Ok(json::ok(&tokens))
}

async fn find(state: &State, request: &RequestContext, params: &Params) -> Result<Option<User>> {
    let aud = request_audience(request, state);
    let mut db = state.database().await?;
    Ok(if params.email.is_empty() {
        store::users::by_phone(&mut db, &phone::strip(&params.phone), &aud).await?
    } else {
        store::users::by_email(&mut db, &params.email, &aud).await?
    })
}

/// The user, if the password is right. Without a user or a password it takes just as long.
async fn authenticate(state: &State, user: Option<User>, password: &str) -> Result<User> {
    let wrong = || Error::bad_request(ErrorCode::InvalidCredentials, "Invalid login credentials");
    let known = user.and_then(|user| match user.encrypted_password.clone() {
        Some(hash) if !hash.is_empty() => Some((user, hash)),
        _ => None,
    });
    let Some((mut user, hash)) = known else {
        state.hasher().pretend(password.to_owned()).await?;
        return Err(wrong());
    };
    if user.is_banned() {
        return Err(Error::bad_request(ErrorCode::UserBanned, "User is banned"));
    }
    let hash = state.encryption().open(user.id, &hash)?;
    let valid = state.hasher().verify(password.to_owned(), hash.text.clone()).await?;
    hooks::password_verification(state, &user, valid).await?;
    if !valid {
        return Err(wrong());
    }
    if hash.is_outdated {
        // What was stored before there were keys, or with an older one, is read with the newest from now on.
        user.encrypted_password = Some(state.encryption().seal(user.id, &hash.text)?);
        let mut db = state.database().await?;
        store::users::update(&mut db, &mut user, &[Column::EncryptedPassword]).await?;
    }
    Ok(user)
}
