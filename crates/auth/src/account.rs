//! What happens to accounts: creation, confirmation, change of password, removal.
//!
//! Statements follow the original's order, because triggers on `auth.users` see it: a user is
//! inserted with the submitted metadata and without role or confirmation, and updated afterwards.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use database::Connection;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::State;
use crate::error::{Result, Step};
use crate::identity::{Contact, Identity};
use crate::json::{Object, Timestamp};
use crate::metadata;
use crate::store::users::Column;
use crate::store::{factors, identities, one_time_tokens, sessions, users};
use crate::user::User;

/// Inserts a user, gives the default role, and reads back what triggers made of the row.
pub(crate) async fn create(db: &mut Connection, state: &State, user: &mut User) -> Result<()> {
    seal_password(state, user)?;
    users::insert(db, user).await.step("Database error saving new user")?;
    user.role = state.config().jwt.default_group_name.trim().to_owned();
    users::update(db, user, &[Column::Role]).await.step("Database error updating user")?;
    users::reload(db, user).await.step("Database error loading user after sign-up")
}

/// Encrypts the hash of a new user's password, where the configuration has a key for that.
pub(crate) fn seal_password(state: &State, user: &mut User) -> Result<()> {
    if let Some(hash) = user.encrypted_password.as_mut().filter(|hash| !hash.is_empty()) {
        *hash = state.encryption().seal(user.id, hash)?;
    }
    Ok(())
}

/// Adds an identity to a user.
pub(crate) async fn add_identity(db: &mut Connection, identity: &Identity) -> Result<()> {
    identities::insert(db, identity).await.step("Error creating identity")
}

/// Makes one identity the only one of a user whom nobody has confirmed yet, and its claims the
/// user's metadata: whoever added others before may have been somebody else.
pub(crate) async fn keep_only(db: &mut Connection, user: &mut User, identity: &Identity) -> Result<()> {
    user.user_metadata = identity.data.clone();
    users::update(db, user, &[Column::UserMetadata]).await?;
    if user.identities.as_deref().unwrap_or_default().iter().any(|other| other.id != identity.id) {
        identities::delete_others(db, user.id, identity.id).await?;
    }
    update_providers(db, user).await
}

/// Recomputes `provider` and `providers` of the metadata.
pub(crate) async fn update_providers(db: &mut Connection, user: &mut User) -> Result<()> {
    let providers = identities::providers(db, user.id).await?;
    let names: Vec<&str> = providers.iter().map(String::as_str).collect();
    metadata::merge(&mut user.app_metadata, crate::user::provider_metadata(&names));
    users::update(db, user, &[Column::AppMetadata]).await?;
    Ok(())
}

/// The address is the user's: forgets every pending code.
pub(crate) async fn confirm_email(db: &mut Connection, user: &mut User) -> crate::store::Result<()> {
    user.tokens.confirmation.clear();
    user.email_confirmed_at = Some(Timestamp::now());
    users::update(db, user, &[Column::ConfirmationToken, Column::EmailConfirmedAt]).await?;
    user.user_metadata.insert("email_verified".into(), true.into());
    users::update(db, user, &[Column::UserMetadata]).await?;
    one_time_tokens::delete_all(db, user.id).await
}

/// The number is the user's: forgets every pending code.
pub(crate) async fn confirm_phone(db: &mut Connection, user: &mut User) -> crate::store::Result<()> {
    user.tokens.confirmation.clear();
    user.phone_confirmed_at = Some(Timestamp::now());
    users::update(db, user, &[Column::ConfirmationToken, Column::PhoneConfirmedAt]).await?;
    one_time_tokens::delete_all(db, user.id).await
}

/// Stores the password that is set on `user`, forgets every pending code, and ends all other
/// sessions: who changes a password no longer trusts what was done with the old one.
pub(crate) async fn update_password(
    db: &mut Connection,
    user: &mut User,
    keep_session: Option<Uuid>,
) -> crate::store::Result<()> {
    let tokens = &mut user.tokens;
    for token in [
        &mut tokens.confirmation,
        &mut tokens.recovery,
        &mut tokens.email_change_current,
        &mut tokens.email_change_new,
        &mut tokens.phone_change,
        &mut tokens.reauthentication,
    ] {
        token.clear();
    }
    user.confirmation_sent_at = None;
    user.recovery_sent_at = None;
    user.email_change_sent_at = None;
    user.phone_change_sent_at = None;
    user.reauthentication_sent_at = None;
    let columns = [
        Column::EncryptedPassword,
        Column::ConfirmationToken,
        Column::ConfirmationSentAt,
        Column::RecoveryToken,
        Column::RecoverySentAt,
        Column::EmailChangeTokenCurrent,
        Column::EmailChangeTokenNew,
        Column::EmailChangeSentAt,
        Column::PhoneChangeToken,
        Column::PhoneChangeSentAt,
        Column::ReauthenticationToken,
        Column::ReauthenticationSentAt,
    ];
    users::update(db, user, &columns).await?;
    one_time_tokens::delete_all(db, user.id).await?;
    match keep_session {
        Some(session) => sessions::delete_others(db, user.id, session).await,
        None => sessions::delete_of_user(db, user.id).await,
    }
}

/// Turns an anonymous user into one who can be recognised again.
pub(crate) async fn end_anonymity(db: &mut Connection, user: &mut User) -> crate::store::Result<()> {
    if user.is_anonymous {
        user.is_anonymous = false;
        users::update(db, user, &[Column::IsAnonymous]).await?;
    }
    Ok(())
}

/// The identity of a user's own address or number: created if there is none, else updated.
/// Returns it if it is new.
pub(crate) async fn put_contact_identity(
    db: &mut Connection,
    user_id: Uuid,
    provider: &str,
    contact: Contact<'_>,
) -> Result<Option<Identity>> {
    let Some(mut identity) = identities::find(db, &user_id.to_string(), provider).await? else {
        let identity = Identity::of_contact(user_id, provider, contact);
        add_identity(db, &identity).await?;
        return Ok(Some(identity));
    };
    let mut updates = Object::new();
    match provider {
        "phone" => {
            updates.insert("phone".into(), contact.phone.into());
            updates.insert("phone_verified".into(), contact.phone_verified.into());
        }
        _ => {
            updates.insert("email".into(), contact.email.into());
            updates.insert("email_verified".into(), contact.email_verified.into());
        }
    }
    identities::update_data(db, &mut identity, updates).await?;
    Ok(None)
}

/// Makes a user unrecognisable but leaves the row, so that foreign keys to it stay whole.
pub(crate) async fn soft_delete(db: &mut Connection, user: &mut User) -> Result<()> {
    const FAILURE: &str = "Error soft deleting user";
    user.email = obfuscate(user.id, &user.email);
    user.phone = obfuscate(user.id, &user.phone)[..15].to_owned();
    user.email_change = obfuscate(user.id, &user.email_change);
    user.phone_change = obfuscate(user.id, &user.phone_change)[..15].to_owned();
    user.encrypted_password = None;
    let reauthentication = std::mem::take(&mut user.tokens.reauthentication);
    user.tokens = crate::user::PendingTokens { reauthentication, ..Default::default() };
    user.deleted_at = Some(Timestamp::now());
    user.user_metadata = Object::new();
    user.app_metadata = Object::new();
    let columns = [
        Column::Email,
        Column::Phone,
        Column::EncryptedPassword,
        Column::EmailChange,
        Column::PhoneChange,
        Column::ConfirmationToken,
        Column::RecoveryToken,
        Column::EmailChangeTokenCurrent,
        Column::EmailChangeTokenNew,
        Column::PhoneChangeToken,
        Column::DeletedAt,
    ];
    users::update(db, user, &columns).await.step(FAILURE)?;
    one_time_tokens::delete_all(db, user.id).await.step(FAILURE)?;
    users::update(db, user, &[Column::UserMetadata]).await.step(FAILURE)?;
    users::update(db, user, &[Column::AppMetadata]).await.step(FAILURE)?;
    sessions::delete_of_user(db, user.id).await.step(FAILURE)?;
    for identity in identities::of_user(db, user.id).await.step("Error soft deleting user identities")? {
        let name = obfuscate(user.id, &format!("{}:{}", identity.provider, identity.provider_id));
        identities::obfuscate(db, identity.id, &name).await.step("Error soft deleting user identities")?;
    }
    factors::delete_of_user(db, user.id).await.step("Error deleting user's factors")
}

/// Moves a user to the address of a remaining identity, unless one has the present address. False if
/// every one of them belongs to somebody else as well.
pub(crate) async fn keep_an_address(db: &mut Connection, user: &mut User) -> crate::store::Result<bool> {
    let remaining = identities::of_user(db, user.id).await?;
    if remaining.iter().any(|identity| identity.email == user.email) {
        return Ok(true);
    }
    for identity in remaining {
        if users::by_email(db, &identity.email, &user.aud).await?.is_some() {
            continue;
        }
        user.email = identity.email;
        if user.email.is_empty() {
            user.email_confirmed_at = None;
        }
        users::update(db, user, &[Column::Email, Column::EmailConfirmedAt]).await?;
        return Ok(true);
    }
    Ok(false)
}

/// A text that cannot be traced back to a value but is the same each time.
fn obfuscate(id: Uuid, value: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{id}{value}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obfuscation_is_the_url_safe_hash_of_id_and_value() {
        let text = obfuscate(Uuid::nil(), "a@b.c");
        assert_eq!(text.len(), 43);
        assert_eq!(text, obfuscate(Uuid::nil(), "a@b.c"));
        assert_ne!(text, obfuscate(Uuid::nil(), "a@b.d"));
    }
}
