//! `PUT /admin/users/{user_id}`

use axum::extract::{self, Path};
use axum::response::Response;
use database::{Connection, TransactionOptions};

use super::admin_users_one::find;
use crate::State;
use crate::account;
use crate::audit::{self, Action, Actor, traits};
use crate::config::parse_signed_duration;
use crate::contact;
use crate::error::{Error, Result, Step};
use crate::http::{Admin, Body, Context};
use crate::identity::Contact;
use crate::json::{self, Object, Pointer, Timestamp, params};
use crate::metadata;
use crate::password;
use crate::phone;
use crate::store::users::{self, Column};
use crate::user::User;

params! {
    "AdminUserParams",
    /// What creation and update of users accept.
    pub(super) struct Params {
        id: String,
        aud: String,
        role: String,
        email: String,
        phone: String,
        password: Pointer,
        password_hash: String,
        email_confirm: bool,
        phone_confirm: bool,
        user_metadata: Option<Object>,
        app_metadata: Option<Object>,
        ban_duration: String,
    }
}

pub(super) async fn put(
    extract::State(state): extract::State<State>,
    request: Context,
    admin: Admin,
    Path(user_id): Path<String>,
    body: Body,
) -> Result<Response> {
    let mut user = {
        let mut db = state.database().await?;
        find(&mut db, &user_id).await?
    };
    let mut params: Params = body.read()?;
    if !params.email.is_empty() {
        params.email = contact::email(&params.email)?;
    }
    if !params.phone.is_empty() {
        params.phone = phone::parse(&params.phone)?;
    }
    let ban_for = parse_ban(&params.ban_duration)?;
    if let Some(password) = &params.password {
        password::check_new(&state, password).await?;
        user.encrypted_password = Some(state.new_password(user.id, password.clone()).await?);
    }

    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    // Whatever fails here, an address that somebody else has included, is told in these words.
    write(db, &state, &request, &admin, &mut user, params, ban_for).await.step("Error updating user")?;
    transaction.commit().await.step("Error updating user")?;
    Ok(json::ok(&user))
}

async fn write(
    db: &mut Connection,
    state: &State,
    request: &Context,
    admin: &Admin,
    user: &mut User,
    params: Params,
    ban_for: Option<i64>,
) -> Result<()> {
    if !params.role.is_empty() {
        user.role = params.role.trim().to_owned();
        users::update(db, user, &[Column::Role]).await?;
    }
    if params.email_confirm {
        account::confirm_email(db, user).await?;
    }
    if params.phone_confirm {
        account::confirm_phone(db, user).await?;
    }
    if params.password.is_some() {
        account::update_password(db, user, None).await?;
    }
    let mut new_identities = Vec::new();
    if !params.email.is_empty() {
        let contact =
            Contact { email: &params.email, email_verified: params.email_confirm, ..Contact::default() };
        new_identities.extend(account::put_contact_identity(db, user.id, "email", contact).await?);
        if params.email_confirm {
            account::end_anonymity(db, user).await?;
        }
        user.email.clone_from(&params.email);
        users::update(db, user, &[Column::Email]).await?;
    }
    if !params.phone.is_empty() {
        let contact =
            Contact { phone: &params.phone, phone_verified: params.phone_confirm, ..Contact::default() };
        new_identities.extend(account::put_contact_identity(db, user.id, "phone", contact).await?);
        if params.phone_confirm {
            account::end_anonymity(db, user).await?;
        }
        user.phone.clone_from(&params.phone);
        users::update(db, user, &[Column::Phone]).await?;
    }
    user.identities.get_or_insert_default().extend(new_identities);
    if let Some(app_metadata) = params.app_metadata {
        metadata::merge(&mut user.app_metadata, app_metadata);
        users::update(db, user, &[Column::AppMetadata]).await?;
    }
    if let Some(user_metadata) = params.user_metadata {
        metadata::merge(&mut user.user_metadata, user_metadata);
        users::update(db, user, &[Column::UserMetadata]).await?;
    }
    if let Some(duration) = ban_for {
        ban(db, user, duration).await?;
    }
    let modified = traits([
        ("user_id", user.id.to_string().into()),
        ("user_email", user.email.as_str().into()),
        ("user_phone", user.phone.as_str().into()),
    ]);
    audit::record(db, state, request, Actor::admin(&admin.role), Action::UserModified, modified).await
}

/// A ban in nanoseconds; zero, spelled `none`, lifts it.
pub(super) fn parse_ban(text: &str) -> Result<Option<i64>> {
    match text {
        "" => Ok(None),
        "none" => Ok(Some(0)),
        text => parse_signed_duration(text)
            .map(Some)
            .map_err(|reason| Error::invalid(format!("invalid format for ban duration: {reason}"))),
    }
}

/// Bans a user from now on.
pub(super) async fn ban(db: &mut Connection, user: &mut User, nanoseconds: i64) -> Result<()> {
    let until = Timestamp::now().0 + chrono::Duration::nanoseconds(nanoseconds);
    user.banned_until = (nanoseconds != 0).then_some(Timestamp(until));
    Ok(users::update(db, user, &[Column::BannedUntil]).await?)
}
