//! `auth.users`: look-ups, insertion, and updates of named columns.
//!
//! Rows whose `instance_id` is not the nil UUID are invisible. NULL in a text column reads as empty:
//! rows that were inserted by hand or imported often have NULL tokens, which break the original.

use database::{Connection, ToSql, TypedRow};
use uuid::Uuid;

use super::batch::{Batch, Param};
use super::rows::Rows;
use super::{Result, factors, identities};
use crate::identity::Identity;
use crate::json::{self, Timestamp};
use crate::metadata::Stored;
use crate::user::{Factor, PendingTokens, User};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select u.id, coalesce(u.aud, '') as aud, coalesce(u.role, '') as role, coalesce(u.email, '') as email, \
             u.is_sso_user, u.encrypted_password, u.email_confirmed_at, u.invited_at, coalesce(u.phone, '') \
             as phone, u.phone_confirmed_at, coalesce(u.confirmation_token, '') as confirmation_token, \
             u.confirmation_sent_at, u.confirmed_at, coalesce(u.recovery_token, '') as recovery_token, \
             u.recovery_sent_at, coalesce(u.email_change_token_current, '') as email_change_token_current, \
             coalesce(u.email_change_token_new, '') as email_change_token_new, coalesce(u.email_change, '') \
             as email_change, u.email_change_sent_at, coalesce(u.email_change_confirm_status, 0::smallint) \
             as email_change_confirm_status, coalesce(u.phone_change_token, '') as phone_change_token, \
             coalesce(u.phone_change, '') as phone_change, u.phone_change_sent_at, \
             coalesce(u.reauthentication_token, '') as reauthentication_token, u.reauthentication_sent_at, \
             u.last_sign_in_at, u.raw_app_meta_data, u.raw_user_meta_data, coalesce(u.created_at, 'epoch') \
             as created_at, coalesce(u.updated_at, 'epoch') as updated_at, u.banned_until, u.deleted_at, \
             u.is_anonymous ",
            $rest
        )
    };
}

/// A row without its identities and factors.
fn read(row: &TypedRow) -> Result<User> {
    Ok(User {
        id: row.get("id")?,
        aud: row.get("aud")?,
        role: row.get("role")?,
        email: row.get("email")?,
        is_sso_user: row.get("is_sso_user")?,
        encrypted_password: row.get("encrypted_password")?,
        email_confirmed_at: row.get("email_confirmed_at")?,
        invited_at: row.get("invited_at")?,
        phone: row.get("phone")?,
        phone_confirmed_at: row.get("phone_confirmed_at")?,
        confirmation_sent_at: row.get("confirmation_sent_at")?,
        confirmed_at: row.get("confirmed_at")?,
        recovery_sent_at: row.get("recovery_sent_at")?,
        email_change: row.get("email_change")?,
        email_change_sent_at: row.get("email_change_sent_at")?,
        phone_change: row.get("phone_change")?,
        phone_change_sent_at: row.get("phone_change_sent_at")?,
        reauthentication_sent_at: row.get("reauthentication_sent_at")?,
        last_sign_in_at: row.get("last_sign_in_at")?,
        app_metadata: row.get::<Stored>("raw_app_meta_data")?.0,
        user_metadata: row.get::<Stored>("raw_user_meta_data")?.0,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        banned_until: row.get("banned_until")?,
        deleted_at: row.get("deleted_at")?,
        is_anonymous: row.get("is_anonymous")?,
        factors: Vec::new(),
        identities: None,
        tokens: PendingTokens {
            confirmation: row.get("confirmation_token")?,
            recovery: row.get("recovery_token")?,
            email_change_current: row.get("email_change_token_current")?,
            email_change_new: row.get("email_change_token_new")?,
            email_change_status: row.get("email_change_confirm_status")?,
            phone_change: row.get("phone_change_token")?,
            reauthentication: row.get("reauthentication_token")?,
        },
    })
}

/// A user with everything that hangs on it, in one round trip.
macro_rules! select_whole {
    ($rest:literal) => {
        concat!(
            select!(""),
            ", (select json_agg(i order by i.created_at, i.id) from auth.identities i where i.user_id = u.id) \
             as identities, \
             (select json_agg(f order by f.created_at, f.id) from ( \
                 select id, created_at, updated_at, status, friendly_name, factor_type, phone, \
                     last_challenged_at, web_authn_aaguid \
                 from auth.mfa_factors where user_id = u.id) f) as factors ",
            $rest
        )
    };
}

async fn one(db: &mut Connection, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<User>> {
    let Some(row) = db.query_opt(sql, params).await? else { return Ok(None) };
    let mut user = read(&row)?;
    user.identities = Some(row.get::<Rows<Identity>>("identities")?.0);
    user.factors = row.get::<Rows<Factor>>("factors")?.0;
    Ok(Some(user))
}

/// Fetches what hangs on a user anew.
pub(crate) async fn load_relations(db: &mut Connection, user: &mut User) -> Result<()> {
    user.identities = Some(identities::of_user(db, user.id).await?);
    user.factors = factors::of_user(db, user.id).await?;
    Ok(())
}

/// The user of an id.
pub(crate) async fn by_id(db: &mut Connection, id: Uuid) -> Result<Option<User>> {
    let sql = select_whole!(
        "from auth.users u where u.instance_id = '00000000-0000-0000-0000-000000000000' and u.id = $1"
    );
    one(db, sql, &[&id]).await
}

/// The user of an address in an audience. Users of single sign-on are not found this way.
pub(crate) async fn by_email(db: &mut Connection, email: &str, aud: &str) -> Result<Option<User>> {
    let sql = select_whole!(
        "from auth.users u
         where u.instance_id = '00000000-0000-0000-0000-000000000000'
             and lower(u.email) = $1 and u.aud = $2 and u.is_sso_user = false
         limit 1"
    );
    one(db, sql, &[&email.to_lowercase(), &aud]).await
}

/// The user of a number in an audience.
pub(crate) async fn by_phone(db: &mut Connection, phone: &str, aud: &str) -> Result<Option<User>> {
    let sql = select_whole!(
        "from auth.users u
         where u.instance_id = '00000000-0000-0000-0000-000000000000'
             and u.phone = $1 and u.aud = $2 and u.is_sso_user = false
         limit 1"
    );
    one(db, sql, &[&phone, &aud]).await
}

/// Users who have one of these addresses, which are lower case. Users of single sign-on are not among them.
pub(crate) async fn with_addresses(db: &mut Connection, emails: &[String]) -> Result<Vec<Uuid>> {
    let sql = "select id from auth.users
         where instance_id = '00000000-0000-0000-0000-000000000000' and email = any ($1::text[])
             and is_sso_user = false";
    db.query(sql, &[&emails]).await?.iter().map(|row| row.get("id")).collect()
}

/// The user whose invitation or sign-up has a token.
pub(crate) async fn by_confirmation_token(db: &mut Connection, token: &str) -> Result<Option<User>> {
    let sql = select_whole!(
        "from auth.users u join auth.one_time_tokens t on t.user_id = u.id
         where u.instance_id = '00000000-0000-0000-0000-000000000000'
             and t.token_type = 'confirmation_token' and t.token_hash = $1
         limit 1"
    );
    one(db, sql, &[&token]).await
}

/// The user who wants to change to a number.
pub(crate) async fn by_phone_change(db: &mut Connection, phone: &str, aud: &str) -> Result<Option<User>> {
    let sql = select_whole!(
        "from auth.users u
         where u.instance_id = '00000000-0000-0000-0000-000000000000'
             and u.phone_change = $1 and u.aud = $2 and u.is_sso_user = false
         limit 1"
    );
    one(db, sql, &[&phone, &aud]).await
}

/// Another user than `current` who has an address in the default linking domain.
pub(crate) async fn with_email(
    db: &mut Connection,
    email: &str,
    aud: &str,
    current: Option<Uuid>,
    own_domains: &[String],
) -> Result<Option<User>> {
    let email = email.to_lowercase();
    for owner in identities::owners_of_email(db, &email, own_domains).await? {
        if Some(owner) == current {
            continue;
        }
        if let Some(user) = by_id(db, owner).await?.filter(|user| user.aud == aud) {
            return Ok(Some(user));
        }
    }
    by_email(db, &email, aud).await
}

/// One page of an audience's users and how many there are. Their identities are not loaded.
pub(crate) async fn page(
    db: &mut Connection,
    aud: &str,
    filter: &str,
    ascending: bool,
    limit: i64,
    offset: i64,
) -> Result<(Vec<User>, u64)> {
    const FROM: &str = "from auth.users u
         where u.instance_id = '00000000-0000-0000-0000-000000000000' and u.aud = $1
             and ($2::text = '' or u.email like '%' || $2 || '%'
                  or u.raw_user_meta_data->>'full_name' ilike '%' || $2 || '%')";
    let total = db.query_one(&format!("select count(*) as total {FROM}"), &[&aud, &filter]).await?;
    let direction = if ascending { "asc" } else { "desc" };
    let select = select!("");
    let sql = format!("{select}{FROM} order by u.created_at {direction} limit $3 offset $4");
    let rows = db.query(&sql, &[&aud, &filter, &limit, &offset]).await?;
    let total: i64 = total.get("total")?;
    Ok((rows.iter().map(read).collect::<Result<_>>()?, total.unsigned_abs()))
}

/// Inserts a user. Triggers see exactly what is in `user`.
pub(crate) async fn insert(db: &mut Connection, user: &mut User) -> Result<()> {
    let now = Timestamp::now_stored();
    user.created_at = now;
    user.updated_at = now;
    let app_metadata = json::to_string(&user.app_metadata);
    let user_metadata = json::to_string(&user.user_metadata);
    db.execute(
        "insert into auth.users (
             instance_id, id, aud, role, email, is_sso_user, encrypted_password, phone,
             confirmation_token, recovery_token, email_change_token_current, email_change_token_new,
             email_change, email_change_confirm_status, phone_change_token, phone_change, reauthentication_token,
             raw_app_meta_data, raw_user_meta_data, created_at, updated_at, is_anonymous
         ) values (
             '00000000-0000-0000-0000-000000000000', $1, $2, $3, nullif($4::text, ''), $5, $6, nullif($7::text, ''),
             '', '', '', '', '', 0, '', '', '',
             $8::text::jsonb, $9::text::jsonb, $10, $10, $11
         )",
        &[
            &user.id,
            &user.aud,
            &user.role,
            &user.email,
            &user.is_sso_user,
            &user.encrypted_password,
            &user.phone,
            &app_metadata,
            &user_metadata,
            &now,
            &user.is_anonymous,
        ],
    )
    .await?;
    Ok(())
}

/// Reads a user again, with whatever triggers and generated columns made of it.
pub(crate) async fn reload(db: &mut Connection, user: &mut User) -> Result<()> {
    let sql = select!("from auth.users u where u.id = $1");
    let mut fresh = read(&db.query_one(sql, &[&user.id]).await?)?;
    fresh.identities = user.identities.take();
    fresh.factors = std::mem::take(&mut user.factors);
    *user = fresh;
    Ok(())
}

/// Removes a user; sessions, identities, factors and tokens go with it.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.users where id = $1", &[&id]).await.map(|_| ())
}

/// Locks a user's row unless somebody else holds it.
pub(crate) async fn try_lock(db: &mut Connection, id: Uuid) -> Result<bool> {
    let sql = "select id from auth.users where id = $1 limit 1 for update skip locked";
    Ok(db.query_opt(sql, &[&id]).await?.is_some())
}

/// A column that changes after insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Role,
    Email,
    EncryptedPassword,
    EmailConfirmedAt,
    InvitedAt,
    Phone,
    PhoneConfirmedAt,
    ConfirmationToken,
    ConfirmationSentAt,
    RecoveryToken,
    RecoverySentAt,
    EmailChangeTokenCurrent,
    EmailChangeTokenNew,
    EmailChange,
    EmailChangeSentAt,
    EmailChangeConfirmStatus,
    PhoneChangeToken,
    PhoneChange,
    PhoneChangeSentAt,
    ReauthenticationToken,
    ReauthenticationSentAt,
    LastSignInAt,
    AppMetadata,
    UserMetadata,
    BannedUntil,
    DeletedAt,
    IsAnonymous,
}

impl Column {
    /// How the column is assigned; `$` stands for its parameter.
    const fn assignment(self) -> &'static str {
        match self {
            Self::Role => "role = $",
            Self::Email => "email = nullif($::text, '')",
            Self::EncryptedPassword => "encrypted_password = $",
            Self::EmailConfirmedAt => "email_confirmed_at = $",
            Self::InvitedAt => "invited_at = $",
            Self::Phone => "phone = nullif($::text, '')",
            Self::PhoneConfirmedAt => "phone_confirmed_at = $",
            Self::ConfirmationToken => "confirmation_token = $",
            Self::ConfirmationSentAt => "confirmation_sent_at = $",
            Self::RecoveryToken => "recovery_token = $",
            Self::RecoverySentAt => "recovery_sent_at = $",
            Self::EmailChangeTokenCurrent => "email_change_token_current = $",
            Self::EmailChangeTokenNew => "email_change_token_new = $",
            Self::EmailChange => "email_change = $",
            Self::EmailChangeSentAt => "email_change_sent_at = $",
            Self::EmailChangeConfirmStatus => "email_change_confirm_status = $",
            Self::PhoneChangeToken => "phone_change_token = $",
            Self::PhoneChange => "phone_change = $",
            Self::PhoneChangeSentAt => "phone_change_sent_at = $",
            Self::ReauthenticationToken => "reauthentication_token = $",
            Self::ReauthenticationSentAt => "reauthentication_sent_at = $",
            Self::LastSignInAt => "last_sign_in_at = $",
            Self::AppMetadata => "raw_app_meta_data = $::text::jsonb",
            Self::UserMetadata => "raw_user_meta_data = $::text::jsonb",
            Self::BannedUntil => "banned_until = $",
            Self::DeletedAt => "deleted_at = $",
            Self::IsAnonymous => "is_anonymous = $",
        }
    }

    fn value(self, user: &User) -> Param {
        match self {
            Self::Role => Box::new(user.role.clone()),
            Self::Email => Box::new(user.email.clone()),
            Self::EncryptedPassword => Box::new(user.encrypted_password.clone()),
            Self::EmailConfirmedAt => Box::new(user.email_confirmed_at),
            Self::InvitedAt => Box::new(user.invited_at),
            Self::Phone => Box::new(user.phone.clone()),
            Self::PhoneConfirmedAt => Box::new(user.phone_confirmed_at),
            Self::ConfirmationToken => Box::new(user.tokens.confirmation.clone()),
            Self::ConfirmationSentAt => Box::new(user.confirmation_sent_at),
            Self::RecoveryToken => Box::new(user.tokens.recovery.clone()),
            Self::RecoverySentAt => Box::new(user.recovery_sent_at),
            Self::EmailChangeTokenCurrent => Box::new(user.tokens.email_change_current.clone()),
            Self::EmailChangeTokenNew => Box::new(user.tokens.email_change_new.clone()),
            Self::EmailChange => Box::new(user.email_change.clone()),
            Self::EmailChangeSentAt => Box::new(user.email_change_sent_at),
            Self::EmailChangeConfirmStatus => Box::new(user.tokens.email_change_status),
            Self::PhoneChangeToken => Box::new(user.tokens.phone_change.clone()),
            Self::PhoneChange => Box::new(user.phone_change.clone()),
            Self::PhoneChangeSentAt => Box::new(user.phone_change_sent_at),
            Self::ReauthenticationToken => Box::new(user.tokens.reauthentication.clone()),
            Self::ReauthenticationSentAt => Box::new(user.reauthentication_sent_at),
            Self::LastSignInAt => Box::new(user.last_sign_in_at),
            Self::AppMetadata => Box::new(json::to_string(&user.app_metadata)),
            Self::UserMetadata => Box::new(json::to_string(&user.user_metadata)),
            Self::BannedUntil => Box::new(user.banned_until),
            Self::DeletedAt => Box::new(user.deleted_at),
            Self::IsAnonymous => Box::new(user.is_anonymous),
        }
    }
}

/// Writes the named columns of a user, and when that was.
pub(crate) async fn update(db: &mut Connection, user: &mut User, columns: &[Column]) -> Result<()> {
    let mut batch = Batch::default();
    update_in(&mut batch, user, columns);
    batch.run(db).await
}

/// As [`update`], among other writes.
pub(crate) fn update_in(batch: &mut Batch, user: &mut User, columns: &[Column]) {
    user.updated_at = Timestamp::now_stored();
    let mut sql = String::from("update auth.users set ");
    for (at, column) in columns.iter().enumerate() {
        sql += &column.assignment().replace('$', &format!("${}", at + 1));
        sql += ", ";
    }
    sql += &format!("updated_at = ${} where id = ${}", columns.len() + 1, columns.len() + 2);
    let mut params: Vec<Param> = columns.iter().map(|column| column.value(user)).collect();
    params.push(Box::new(user.updated_at));
    params.push(Box::new(user.id));
    batch.add_all(sql, params);
}
