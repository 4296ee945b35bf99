//! Accounts of people whom others vouch for: found, created, linked, invited.

use database::Connection;

use super::linking::{Decision, decide};
use crate::State;
use crate::account;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::hooks;
use crate::http::RequestContext;
use crate::identity::Identity;
use crate::json::Object;
use crate::mail::MessageKind;
use crate::metadata;
use crate::news;
use crate::one_time;
use crate::providers::Profile;
use crate::store::identities;
use crate::store::users::{self, Column};
use crate::user::{User, provider_metadata};

/// How it ended. Either way the caller commits.
pub(crate) enum Admitted {
    /// A user who may go on.
    User(Box<User>),
    /// What was written stays, but the user has to do something first.
    NotYet(Error),
}

/// Asks the hook about the user whom [`admit`] would create, if it would. Outside of any transaction, as hooks are.
pub(crate) async fn ask_before_creating(
    state: &State,
    request: &RequestContext,
    profile: &Profile,
    provider: &str,
    aud: &str,
) -> Result<()> {
    if !state.config().hooks.before_user_created.enabled {
        return Ok(());
    }
    let linking = {
        let mut db = state.database().await?;
        decide(&mut db, state, profile, provider, aud).await?
    };
    if !matches!(linking.decision, Decision::Create) {
        return Ok(());
    }
    let user = new_user(state, profile, provider, &linking.email.address, aud, linking.is_own_domain)?;
    hooks::before_user_created(state, request, &user).await
}

/// The user of a profile: signed in, signed up, or linked by a verified address.
pub(crate) async fn admit(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    profile: &Profile,
    provider: &str,
    email_optional: bool,
    aud: &str,
) -> Result<Admitted> {
    let linking = decide(db, state, profile, provider, aud).await?;
    let data = &profile.claims;
    let email = linking.email;
    let (mut user, identity) = match linking.decision {
        Decision::Known(mut user, mut identity) => {
            identity.data.clone_from(data);
            lower_email(&mut identity.data);
            identities::replace_data(db, &identity).await?;
            learn(db, &mut user, data).await?;
            (*user, *identity)
        }
        Decision::Link(mut user) => {
            let identity = add_identity(db, &mut user, provider, profile).await?;
            learn(db, &mut user, data).await?;
            (*user, identity)
        }
        Decision::Create => {
            let mut user = new_user(state, profile, provider, &email.address, aud, linking.is_own_domain)?;
            account::create(db, state, &mut user).await?;
            let identity = add_identity(db, &mut user, provider, profile).await?;
            (user, identity)
        }
        Decision::Ambiguous => {
            return Err(Error::internal(format!(
                "Multiple accounts with the same email address in the same linking domain detected: {}",
                linking.domain
            )));
        }
    };
    if user.is_banned() {
        return Err(Error::forbidden(ErrorCode::UserBanned, "User is banned"));
    }
    let from_provider = || traits([("provider", provider.into())]);
    let has_emails = provider != "web3" && !(email_optional && email.address.is_empty());
    if !has_emails || user.is_confirmed() {
        audit::record(db, state, request, &user, Action::Login, from_provider()).await?;
        return Ok(Admitted::User(Box::new(user)));
    }
    // Whoever claimed the address before may have been somebody else: their ways in go.
    keep_only(db, &mut user, &identity).await.step("Error updating user")?;
    if email.verified || state.config().mailer.autoconfirm {
        audit::record(db, state, request, &user, Action::UserSignedUp, from_provider()).await?;
        account::confirm_email(db, &mut user).await.step("Error updating user")?;
        return Ok(Admitted::User(Box::new(user)));
    }
    let is_sent = !email.address.is_empty();
    if is_sent {
        one_time::send_confirmation(db, state, request, &mut user, None).await?;
    }
    if state.config().external.allow_unverified_email_sign_ins {
        return Ok(Admitted::User(Box::new(user)));
    }
    let message = if is_sent {
        format!(
            "Unverified email with {provider}. A confirmation email has been sent to your {provider} email"
        )
    } else {
        format!("Unverified email with {provider}. Verify the email with {provider} in order to sign in")
    };
    Ok(Admitted::NotYet(Error::unprocessable(ErrorCode::ProviderEmailNeedsVerification, message)))
}

fn new_user(
    state: &State,
    profile: &Profile,
    provider: &str,
    address: &str,
    aud: &str,
    is_own_domain: bool,
) -> Result<User> {
    if state.config().disable_signup {
        return Err(Error::unprocessable(ErrorCode::SignupDisabled, "Signups not allowed for this instance"));
    }
    let mut user = User::new(address, "", String::new(), aud, profile.claims.clone());
    user.app_metadata = provider_metadata(&[provider]);
    // Users of their own domain may share an address with others: the index leaves these out.
    user.is_sso_user = is_own_domain;
    Ok(user)
}

async fn add_identity(
    db: &mut Connection,
    user: &mut User,
    provider: &str,
    profile: &Profile,
) -> Result<Identity> {
    if profile.subject().is_empty() {
        return Err(Error::internal("Error creating identity"));
    }
    let identity = Identity::new(user.id, provider, profile.subject().to_owned(), profile.claims.clone());
    account::add_identity(db, &identity).await?;
    user.identities.get_or_insert_default().push(identity.clone());
    Ok(identity)
}

/// What a provider tells goes over the user's metadata, key by key.
async fn learn(db: &mut Connection, user: &mut User, data: &Object) -> Result<()> {
    metadata::merge(&mut user.user_metadata, data.clone());
    users::update(db, user, &[Column::UserMetadata]).await?;
    account::update_providers(db, user).await
}

/// Leaves an unconfirmed user nothing but one identity: no password, no other identity, no metadata of others.
async fn keep_only(db: &mut Connection, user: &mut User, identity: &Identity) -> Result<()> {
    user.encrypted_password = None;
    users::update(db, user, &[Column::EncryptedPassword]).await?;
    account::keep_only(db, user, identity).await?;
    user.identities = Some(vec![identity.clone()]);
    Ok(())
}

fn lower_email(data: &mut Object) {
    if let Some(email) = data.get("email").and_then(|email| email.as_str()).map(str::to_lowercase) {
        data.insert("email".into(), email.into());
    }
}

/// Gives a signed-in user another identity.
pub(crate) async fn link_to(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    profile: &Profile,
    provider: &str,
    mut user: User,
) -> Result<Admitted> {
    let known = identities::find(db, profile.subject(), provider)
        .await
        .step("Database error finding identity for linking")?;
    if let Some(identity) = known {
        let message = match identity.user_id == user.id {
            true => "Identity is already linked",
            false => "Identity is already linked to another user",
        };
        return Err(Error::unprocessable(ErrorCode::IdentityAlreadyExists, message));
    }
    add_identity(db, &mut user, provider, profile).await?;
    if user.email.is_empty() {
        if !account::keep_an_address(db, &mut user).await? {
            return Err(Error::bad_request(
                ErrorCode::EmailExists,
                "A user with this email address has already been registered",
            ));
        }
        let verified =
            profile.claims.get("email_verified").and_then(|flag| flag.as_bool()).unwrap_or_default();
        if !verified {
            one_time::send_confirmation(db, state, request, &mut user, None).await?;
            let message = format!(
                "Unverified email with {provider}. A confirmation email has been sent to your {provider} email"
            );
            return Ok(Admitted::NotYet(Error::unprocessable(ErrorCode::EmailNotConfirmed, message)));
        }
        account::confirm_email(db, &mut user).await?;
        account::end_anonymity(db, &mut user).await?;
    }
    account::update_providers(db, &mut user).await?;
    news::tell(state, request, &user, MessageKind::IdentityLinked, &user.email, &[("Provider", provider)]);
    Ok(Admitted::User(Box::new(user)))
}

/// Somebody who was invited comes with a provider's identity of the invited address.
pub(crate) async fn accept_invite(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    profile: &Profile,
    provider: &str,
    token: &str,
) -> Result<Admitted> {
    let user = users::by_confirmation_token(db, token).await.step("Database error finding user")?;
    let mut user = user.ok_or_else(|| Error::not_found(ErrorCode::InviteNotFound, "Invite not found"))?;
    if !profile.emails.iter().any(|email| email.address == user.email) {
        return Err(Error::invalid("Invited email does not match emails from external provider"));
    }
    let identity = add_identity(db, &mut user, provider, profile).await?;
    user.app_metadata.insert("provider".into(), provider.into());
    users::update(db, &mut user, &[Column::AppMetadata]).await?;
    learn(db, &mut user, &profile.claims).await.step("Database error updating user")?;
    let accepted = traits([("provider", provider.into())]);
    audit::record(db, state, request, &user, Action::InviteAccepted, accepted).await?;
    keep_only(db, &mut user, &identity).await.step("Error updating user")?;
    account::confirm_email(db, &mut user).await?;
    Ok(Admitted::User(Box::new(user)))
}
