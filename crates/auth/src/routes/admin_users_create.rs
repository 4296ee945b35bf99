//! `POST /admin/users`

use axum::extract;
use axum::response::Response;
use database::{Connection, TransactionOptions};
use uuid::Uuid;

use super::admin_users_update::{Params, ban, parse_ban};
use crate::State;
use crate::account;
use crate::audit::{self, Action, Actor, traits};
use crate::contact;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::http::{Admin, Body, Context, request_audience};
use crate::identity::{Contact, Identity};
use crate::json;
use crate::metadata;
use crate::password;
use crate::phone;
use crate::random;
use crate::store::users::{self, Column};
use crate::user::{User, provider_metadata};

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    admin: Admin,
    body: Body,
) -> Result<Response> {
    let mut params: Params = body.read()?;
    let aud = if params.aud.is_empty() { request_audience(&request, &state) } else { params.aud.clone() };
    if params.email.is_empty() && params.phone.is_empty() {
        return Err(Error::invalid("Cannot create a user without either an email or phone"));
    }
    let providers = check_contacts(&state, &mut params, &aud).await?;
    let hash = password_hash(&state, &params).await?;
    let mut user =
        User::new(&params.email, &params.phone, hash, &aud, params.user_metadata.take().unwrap_or_default());
    if !params.id.is_empty() {
        user.id = params.id.parse().map_err(|_| Error::invalid("ID must conform to the uuid v4 format"))?;
        if user.id == Uuid::nil() {
            return Err(Error::invalid("ID cannot be a nil uuid"));
        }
    }
    user.app_metadata = provider_metadata(&providers);
    let ban_for = parse_ban(&params.ban_duration)?;

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    write(db, &state, &request, &admin, &mut user, &params, providers[0], ban_for)
        .await
        .step("Database error creating new user")?;
    transaction.commit().await.step("Database error creating new user")?;
    Ok(json::ok(&user))
}

/// Brings contacts into form, makes sure that nobody has them, and names their providers.
async fn check_contacts(state: &State, params: &mut Params, aud: &str) -> Result<Vec<&'static str>> {
    let mut db = state.database().await?;
    let mut providers = Vec::new();
    if !params.email.is_empty() {
        params.email = contact::email(&params.email)?;
        let own_domains = &state.config().external.own_linking_domain;
        let taken = users::with_email(&mut db, &params.email, aud, None, own_domains).await;
        if taken.step("Database error checking email")?.is_some() {
            return Err(Error::unprocessable(
                ErrorCode::EmailExists,
                "A user with this email address has already been registered",
            ));
        }
        providers.push("email");
    }
    if !params.phone.is_empty() {
        params.phone = phone::parse(&params.phone)?;
        let taken = users::by_phone(&mut db, &params.phone, aud).await;
        if taken.step("Database error checking phone")?.is_some() {
            return Err(Error::unprocessable(
                ErrorCode::PhoneExists,
                "Phone number already registered by another user",
            ));
        }
        providers.push("phone");
    }
    Ok(providers)
}

/// The given hash, or one of the given password, or one of a password nobody knows.
async fn password_hash(state: &State, params: &Params) -> Result<String> {
    if params.password.is_some() && !params.password_hash.is_empty() {
        return Err(Error::invalid("Only a password or a password hash should be provided"));
    }
    if !params.password_hash.is_empty() {
        password::check_foreign_hash(&params.password_hash)
            .map_err(|reason| Error::internal("Error creating user").because(Cause::Other(reason.into())))?;
        return Ok(params.password_hash.clone());
    }
    let password = match params.password.as_deref() {
        None | Some("") => random::password(&[], 64),
        // Strength is the administrator's business, length is bcrypt's.
        Some(password) if password.len() > password::MAX_LENGTH => {
            return Err(Error::invalid("bcrypt: password length exceeds 72 bytes"));
        }
        Some(password) => password.to_owned(),
    };
    state.hasher().hash(password).await
}

#[allow(clippy::too_many_arguments)] // one call, all of it needed
async fn write(
    db: &mut Connection,
    state: &State,
    request: &Context,
    admin: &Admin,
    user: &mut User,
    params: &Params,
    provider: &str,
    ban_for: Option<i64>,
) -> Result<()> {
    account::seal_password(state, user)?;
    users::insert(db, user).await?;
    let mut identities = Vec::new();
    for (provider, contact) in [
        ("email", Contact { email: &user.email, ..Contact::default() }),
        ("phone", Contact { phone: &user.phone, ..Contact::default() }),
    ] {
        if !contact.email.is_empty() || !contact.phone.is_empty() {
            let identity = Identity::of_contact(user.id, provider, contact);
            account::add_identity(db, &identity).await?;
            identities.push(identity);
        }
    }
    user.identities = Some(identities);
    let created = traits([
        ("user_id", user.id.to_string().into()),
        ("user_email", user.email.as_str().into()),
        ("user_phone", user.phone.as_str().into()),
        ("provider", provider.into()),
    ]);
    audit::record(db, state, request, Actor::admin(&admin.role), Action::UserSignedUp, created).await?;
    let role = if params.role.is_empty() { &state.config().jwt.default_group_name } else { &params.role };
    user.role = role.trim().to_owned();
    users::update(db, user, &[Column::Role]).await?;
    if let Some(app_metadata) = &params.app_metadata {
        metadata::merge(&mut user.app_metadata, app_metadata.clone());
        users::update(db, user, &[Column::AppMetadata]).await?;
    }
    if params.email_confirm {
        account::confirm_email(db, user).await?;
    }
    if params.phone_confirm {
        account::confirm_phone(db, user).await?;
    }
    if let Some(duration) = ban_for {
        ban(db, user, duration).await?;
    }
    Ok(())
}
