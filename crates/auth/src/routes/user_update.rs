//! `PUT /user`: a user changes address, number, password or metadata.

use axum::extract;
use axum::response::Response;
use database::{Connection, TransactionOptions};
use http::StatusCode;

use crate::State;
use crate::account;
use crate::audit::{self, Action};
use crate::contact;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::guesses::Secret;
use crate::http::{Body, Caller, Context};
use crate::json::{self, Object, Pointer, Timestamp, params};
use crate::mail::MessageKind;
use crate::metadata;
use crate::one_time::{self, TextPurpose};
use crate::password;
use crate::phone;
use crate::pkce;
use crate::rate_limit::Limit;
use crate::session::{Method, MethodUsed, Session};
use crate::signup::begin_flow;
use crate::store::sessions;
use crate::store::users::{self, Column};
use crate::user::User;
use crate::verification;

params! {
    "UserUpdateParams",
    /// What the route accepts.
    struct Params {
        email: String,
        password: Pointer,
        current_password: String,
        nonce: String,
        data: Option<Object>,
        app_metadata: Option<Object>,
        phone: String,
        channel: String,
        code_challenge: String,
        code_challenge_method: String,
    }
}

pub(super) async fn put(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    body: Body,
) -> Result<Response> {
    let config = state.config();
    state.limits().check(Limit::UserUpdate, &request, config).await?;
    let aud = caller.audience(&request, &state);
    let Caller { mut user, session, .. } = caller;
    let mut params: Params = body.read()?;
    check_form(&state, &mut params).await?;
    check_rights(&state, &user, session.as_ref(), &params)?;
    check_taken(&state, &user, &params, &aud).await?;
    if let Some(password) = &params.password {
        set_password(&state, &request, &mut user, session.as_ref(), password, &params).await?;
    }

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    if params.password.is_some() {
        account::update_password(db, &mut user, session.map(|session| session.id))
            .await
            .step("Error during password storage")?;
        audit::record(db, &state, &request, &user, Action::UserUpdatedPassword, None).await?;
        if config.mailer.notifications.contains(&MessageKind::PasswordChanged) && !user.email.is_empty() {
            one_time::send_password_changed(db, &state, &request, &user).await?;
        }
    }
    if let Some(data) = params.data.take() {
        metadata::merge(&mut user.user_metadata, data);
        users::update(db, &mut user, &[Column::UserMetadata]).await.step("Error updating user")?;
    }
    if let Some(data) = params.app_metadata.take() {
        metadata::merge(&mut user.app_metadata, data);
        users::update(db, &mut user, &[Column::AppMetadata]).await.step("Error updating user")?;
    }
    change_email(db, &state, &request, &mut user, &params).await?;
    change_phone(db, &state, &request, &mut user, &params).await?;
    audit::record(db, &state, &request, &user, Action::UserModified, None)
        .await
        .step("Error recording audit log entry")?;
    transaction.commit().await?;
    Ok(json::ok(&user))
}

async fn check_form(state: &State, params: &mut Params) -> Result<()> {
    let config = state.config();
    if !params.email.is_empty() {
        params.email = contact::email(&params.email)?;
    }
    if !params.phone.is_empty() {
        params.phone = phone::parse(&params.phone)?;
        if params.channel.is_empty() {
            params.channel = "sms".into();
        }
        contact::channel(&params.channel, config)?;
    }
    match &params.password {
        Some(password) => password::check_new(state, password).await,
        None => Ok(()),
    }
}

fn check_rights(state: &State, user: &User, session: Option<&Session>, params: &Params) -> Result<()> {
    let jwt = &state.config().jwt;
    let is_admin = user.aud == jwt.aud && user.role == jwt.admin_group_name;
    if params.app_metadata.is_some() && !is_admin {
        return Err(Error::forbidden(ErrorCode::NotAdmin, "Updating app_metadata requires admin privileges"));
    }
    let new_password = params.password.as_deref().is_some_and(|password| !password.is_empty());
    let new_email = !params.email.is_empty() && params.email != user.email;
    let new_phone = !params.phone.is_empty() && params.phone != user.phone;
    let is_aal2 = session.is_some_and(Session::is_aal2);
    if user.has_verified_factor() && !is_aal2 && (new_password || new_email || new_phone) {
        return Err(Error::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::InsufficientAal,
            "AAL2 session is required to update email or password when MFA is enabled.",
        ));
    }
    if user.is_anonymous && new_password && params.email.is_empty() && params.phone.is_empty() {
        return Err(Error::unprocessable(
            ErrorCode::ValidationFailed,
            "Updating password of an anonymous user without an email or phone is not allowed",
        ));
    }
    if user.is_sso_user && (new_password || new_email || new_phone || !params.nonce.is_empty()) {
        return Err(Error::unprocessable(
            ErrorCode::UserSsoManaged,
            "Updating email, phone, password of a SSO account only possible via SSO",
        ));
    }
    Ok(())
}

async fn check_taken(state: &State, user: &User, params: &Params, aud: &str) -> Result<()> {
    let mut db = state.database().await?;
    if !params.email.is_empty() && params.email != user.email {
        let own_domains = &state.config().external.own_linking_domain;
        let other = users::with_email(&mut db, &params.email, aud, Some(user.id), own_domains)
            .await
            .step("Database error checking email")?;
        if other.is_some() {
            return Err(Error::unprocessable(
                ErrorCode::EmailExists,
                "A user with this email address has already been registered",
            ));
        }
    }
    if !params.phone.is_empty() && params.phone != user.phone {
        let other =
            users::by_phone(&mut db, &params.phone, aud).await.step("Database error checking phone")?;
        if other.is_some() {
            return Err(Error::unprocessable(
                ErrorCode::PhoneExists,
                "A user with this phone number has already been registered",
            ));
        }
    }
    Ok(())
}

/// Puts a new password's hash on the user. Hashing happens here, outside the transaction.
/// Whether a session began with a link or a code, which people also use who have forgotten their password.
async fn is_recovery(state: &State, session: Option<&Session>) -> Result<bool> {
    let Some(session) = session else { return Ok(false) };
    let mut db = state.database().await?;
    let whole = sessions::with_methods(&mut db, session.id).await.step("Database error finding session")?;
    let recovers = |used: &MethodUsed| matches!(used.method.as_str(), "otp" | "magiclink" | "recovery");
    Ok(whole.is_some_and(|session| session.amr.iter().any(recovers)))
}

/// Whoever found an open session does not know the password.
async fn check_current(
    state: &State,
    request: &Context,
    user: &User,
    password: &str,
    hash: String,
) -> Result<()> {
    const REQUIRED: &str = "Current password required when setting new password.";
    if password.is_empty() {
        return Err(Error::bad_request(ErrorCode::CurrentPasswordRequired, REQUIRED));
    }
    let contact = if user.email.is_empty() { &user.phone } else { &user.email };
    let whose = format!("{} {contact}", request.ip);
    state.guesses().permit(Secret::Password, &whose)?;
    if state.hasher().verify(password.to_owned(), hash).await? {
        return Ok(());
    }
    state.guesses().wrong(Secret::Password, &whose);
    Err(Error::bad_request(ErrorCode::CurrentPasswordInvalid, REQUIRED))
}

async fn set_password(
    state: &State,
    request: &Context,
    user: &mut User,
    session: Option<&Session>,
    password: &str,
    params: &Params,
) -> Result<()> {
    const DAY: i64 = 24 * 60 * 60;
    if state.config().security.update_password_require_reauthentication {
        let recent = session.is_some_and(|session| Timestamp::now() <= session.created_at.plus_seconds(DAY));
        if !recent {
            if params.nonce.is_empty() {
                return Err(Error::bad_request(
                    ErrorCode::ReauthenticationNeeded,
                    "Password update requires reauthentication",
                ));
            }
            verification::use_nonce(state, user, &params.nonce).await?;
        }
    }
    if password.is_empty() {
        user.encrypted_password = None;
        return Ok(());
    }
    if let Some(hash) = user.encrypted_password.clone().filter(|hash| !hash.is_empty()) {
        let hash = state.encryption().open(user.id, &hash)?.text;
        if state.config().security.update_password_require_current_password
            && !is_recovery(state, session).await?
        {
            check_current(state, request, user, &params.current_password, hash.clone()).await?;
        }
        if state.hasher().verify(password.to_owned(), hash).await? {
            return Err(Error::unprocessable(
                ErrorCode::SamePassword,
                "New password should be different from the old password.",
            ));
        }
    }
    user.encrypted_password = Some(state.new_password(user.id, password.to_owned()).await?);
    Ok(())
}

async fn change_email(
    db: &mut Connection,
    state: &State,
    request: &Context,
    user: &mut User,
    params: &Params,
) -> Result<()> {
    if params.email.is_empty() || params.email == user.email {
        return Ok(());
    }
    if user.is_anonymous && state.config().mailer.autoconfirm {
        // Like a sign-up. Users who have an address always confirm a new one.
        user.email_change.clone_from(&params.email);
        verification::apply_email_change(db, state, request, user).await?;
        return Ok(());
    }
    // The original checks neither the challenge's form nor that its two parts come together here.
    let challenge = (!params.code_challenge.is_empty()).then(|| pkce::Challenge {
        challenge: params.code_challenge.clone(),
        method: params.code_challenge_method.clone(),
    });
    if let Some(challenge) = &challenge {
        begin_flow(db, user.id, "email_change", Method::EmailChange, challenge).await?;
    }
    one_time::send_email_change(db, state, request, user, &params.email, challenge.as_ref()).await
}

async fn change_phone(
    db: &mut Connection,
    state: &State,
    request: &Context,
    user: &mut User,
    params: &Params,
) -> Result<()> {
    if params.phone.is_empty() || params.phone == user.phone {
        return Ok(());
    }
    if state.config().sms.autoconfirm {
        user.phone_change.clone_from(&params.phone);
        return verification::apply_phone_change(db, state, request, user, &params.phone).await;
    }
    one_time::send_text(db, state, user, &params.phone, TextPurpose::PhoneChange, &params.channel)
        .await
        .map(|_| ())
}
