//! What follows when somebody proves to have received a code or a link.

use database::Connection;
use uuid::Uuid;

use crate::State;
use crate::account;
use crate::audit::{self, Action, traits};
use crate::config::SmsProvider;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::guesses::Secret;
use crate::http::RequestContext;
use crate::identity::Contact;
use crate::mail::MessageKind;
use crate::news;
use crate::one_time::{is_expired, is_valid};
use crate::random;
use crate::sms;
use crate::store::one_time_tokens::{self, Kind};
use crate::store::users::{self, Column};
use crate::store::{self, identities};
use crate::user::User;

/// What a code or link is for, as requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Signup,
    Invite,
    Recovery,
    MagicLink,
    EmailChange,
    Sms,
    PhoneChange,
}

impl Purpose {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::Invite => "invite",
            Self::Recovery => "recovery",
            Self::MagicLink => "magiclink",
            Self::EmailChange => "email_change",
            Self::Sms => "sms",
            Self::PhoneChange => "phone_change",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "signup" => Self::Signup,
            "invite" => Self::Invite,
            "recovery" => Self::Recovery,
            "magiclink" => Self::MagicLink,
            "email_change" => Self::EmailChange,
            "sms" => Self::Sms,
            "phone_change" => Self::PhoneChange,
            _ => return None,
        })
    }
}

/// Somebody who proved something, and what.
pub(crate) struct Proven {
    pub(crate) user: User,
    pub(crate) purpose: Purpose,
}

/// Finds the user of a link.
pub(crate) async fn by_hash(db: &mut Connection, state: &State, kind: &str, hash: &str) -> Result<Proven> {
    let invalid = || Error::forbidden(ErrorCode::OtpExpired, "Email link is invalid or has expired");
    let kinds: &[Kind] = match kind {
        "email" => &[Kind::Confirmation, Kind::Recovery],
        "signup" | "invite" => &[Kind::Confirmation],
        "recovery" | "magiclink" => &[Kind::Recovery],
        "email_change" => &[Kind::EmailChangeCurrent, Kind::EmailChangeNew],
        _ => return Err(Error::invalid("Invalid email verification type")),
    };
    let user = find_by_hash(db, hash, kinds).await.step("Database error finding user from email link")?;
    let user = user.ok_or_else(invalid)?;
    if user.is_banned() {
        return Err(Error::forbidden(ErrorCode::UserBanned, "User is banned"));
    }
    let purpose = match Purpose::parse(kind) {
        Some(purpose) => purpose,
        None if user.tokens.recovery == hash => Purpose::MagicLink,
        None => Purpose::Signup,
    };
    let sent_at = match purpose {
        Purpose::Recovery | Purpose::MagicLink => user.recovery_sent_at,
        Purpose::EmailChange => user.email_change_sent_at,
        _ => user.confirmation_sent_at,
    };
    if is_expired(sent_at, state.config().mailer.otp_exp) {
        return Err(invalid());
    }
    Ok(Proven { user, purpose })
}

async fn find_by_hash(db: &mut Connection, hash: &str, kinds: &[Kind]) -> store::Result<Option<User>> {
    match one_time_tokens::owner(db, hash, kinds).await? {
        Some(id) => users::by_id(db, id).await,
        None => Ok(None),
    }
}

/// A code that was typed in, with the contact it was sent to.
pub(crate) struct Typed<'a> {
    pub(crate) kind: &'a str,
    pub(crate) email: &'a str,
    pub(crate) phone: &'a str,
    pub(crate) code: &'a str,
    pub(crate) hash: &'a str,
    /// The provider that made up the code has accepted it.
    pub(crate) checked_elsewhere: bool,
}

/// Asks the provider about a code that it has made up itself. Called while no connection is held.
pub(crate) async fn check_elsewhere(state: &State, kind: &str, phone: &str, code: &str) -> Result<bool> {
    let config = state.config();
    let asked = matches!(kind, "sms" | "phone_change")
        && matches!(config.sms.provider, SmsProvider::TwilioVerify(_))
        && !config.hooks.send_sms.enabled
        && config.sms.test_code(phone, chrono::Utc::now()) != Some(code);
    if !asked {
        return Ok(false);
    }
    let provider = sms::of(state)?;
    let Some(answer) = provider.verify(phone, code) else { return Ok(false) };
    answer.await.map(|()| true).map_err(|error| {
        Error::forbidden(ErrorCode::OtpExpired, "Token has expired or is invalid")
            .because(Cause::Other(error.into()))
    })
}

/// Finds the user of a contact and checks the code.
pub(crate) async fn by_code(
    db: &mut Connection,
    state: &State,
    typed: &Typed<'_>,
    aud: &str,
) -> Result<Proven> {
    let invalid = || Error::forbidden(ErrorCode::OtpExpired, "Token has expired or is invalid");
    let user = find_by_contact(db, state, typed, aud).await.step("Database error finding user")?;
    let user = user.ok_or_else(invalid)?;
    if user.is_banned() {
        return Err(Error::forbidden(ErrorCode::UserBanned, "User is banned"));
    }
    let config = state.config();
    let tokens = &user.tokens;
    let mailed = |expected: &str, sent_at| is_valid(typed.hash, expected, sent_at, config.mailer.otp_exp);
    let confirmation = || mailed(&tokens.confirmation, user.confirmation_sent_at);
    let recovery = || mailed(&tokens.recovery, user.recovery_sent_at);
    let purpose = match typed.kind {
        "email" if confirmation() => Some(Purpose::Signup),
        "email" if recovery() => Some(Purpose::MagicLink),
        "signup" | "invite" => Purpose::parse(typed.kind).filter(|_| confirmation()),
        "recovery" | "magiclink" => Purpose::parse(typed.kind).filter(|_| recovery()),
        "email_change" => {
            let current = mailed(&tokens.email_change_current, user.email_change_sent_at);
            let new = mailed(&tokens.email_change_new, user.email_change_sent_at);
            (current || new).then_some(Purpose::EmailChange)
        }
        "sms" | "phone_change" => {
            let (expected, sent_at) = match typed.kind {
                "sms" => (&tokens.confirmation, user.confirmation_sent_at),
                _ => (&tokens.phone_change, user.phone_change_sent_at),
            };
            let test_code = config.sms.test_code(typed.phone, chrono::Utc::now());
            let valid = test_code == Some(typed.code)
                || typed.checked_elsewhere
                || is_valid(typed.hash, expected, sent_at, config.sms.otp_exp);
            Purpose::parse(typed.kind).filter(|_| valid)
        }
        _ => None,
    };
    match purpose {
        Some(purpose) => Ok(Proven { user, purpose }),
        None => Err(invalid()),
    }
}

async fn find_by_contact(
    db: &mut Connection,
    state: &State,
    typed: &Typed<'_>,
    aud: &str,
) -> store::Result<Option<User>> {
    match typed.kind {
        "phone_change" => users::by_phone_change(db, typed.phone, aud).await,
        "sms" => users::by_phone(db, typed.phone, aud).await,
        "email_change" => {
            let prefixed = format!("{}{}", crate::pkce::PREFIX, typed.hash);
            let mut kinds = Vec::new();
            if state.config().mailer.secure_email_change_enabled {
                kinds.push(Kind::EmailChangeCurrent);
            }
            kinds.push(Kind::EmailChangeNew);
            for hash in [typed.hash, &prefixed] {
                if let Some(user) = find_by_hash(db, hash, &kinds).await? {
                    return Ok(Some(user).filter(|user| user.aud == aud));
                }
            }
            Ok(None)
        }
        _ => users::by_email(db, typed.email, aud).await,
    }
}

/// Does what the proof is good for. `None`: the other address has to agree as well.
pub(crate) async fn apply(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    proven: Proven,
    hash: &str,
    phone: &str,
) -> Result<Option<User>> {
    let Proven { mut user, purpose } = proven;
    match purpose {
        Purpose::Signup | Purpose::Invite => confirm_signup(db, state, request, &mut user).await?,
        Purpose::Recovery | Purpose::MagicLink => {
            recover(db, state, request, &mut user).await.step("Database error updating user")?;
        }
        Purpose::EmailChange => {
            let mailer = &state.config().mailer;
            let both_needed = !mailer.autoconfirm
                && mailer.secure_email_change_enabled
                && user.tokens.email_change_status == 0
                && !user.email.is_empty();
            if both_needed {
                agree_to_email_change(db, &mut user, hash).await?;
                return Ok(None);
            }
            apply_email_change(db, state, request, &mut user).await?;
        }
        Purpose::Sms => {
            let provider = traits([("provider", "phone".into())]);
            audit::record(db, state, request, &user, Action::UserSignedUp, provider).await?;
            account::confirm_phone(db, &mut user).await.step("Error confirming user")?;
            account::end_anonymity(db, &mut user).await?;
            users::load_relations(db, &mut user).await.step("Error refetching identities")?;
        }
        Purpose::PhoneChange => apply_phone_change(db, state, request, &mut user, phone).await?,
    }
    account::update_providers(db, &mut user).await?;
    users::reload(db, &mut user).await?;
    Ok(Some(user))
}

/// The address of a sign-up or an invitation is confirmed. Who was invited gets a password nobody
/// knows, so that the application can ask for one of their own.
async fn confirm_signup(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
) -> Result<()> {
    if !user.has_password() && user.invited_at.is_some() {
        let password = random::password(&[], 64);
        user.encrypted_password = Some(state.new_password(user.id, password).await?);
        account::update_password(db, user, None).await.step("Error storing password")?;
    }
    let provider = traits([("provider", "email".into())]);
    audit::record(db, state, request, &*user, Action::UserSignedUp, provider).await?;
    account::confirm_email(db, user).await.step("Error confirming user")?;
    let address = user.email.clone();
    for identity in user.identities.as_mut().into_iter().flatten() {
        if !address.is_empty() && identity.email == address {
            let verified = traits([("email_verified", true.into())]).unwrap_or_default();
            identities::update_data(db, identity, verified)
                .await
                .step("Error setting email_verified to true on identity")?;
        }
    }
    Ok(())
}

async fn recover(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
) -> Result<()> {
    user.tokens.recovery.clear();
    users::update(db, user, &[Column::RecoveryToken]).await?;
    one_time_tokens::delete_all(db, user.id).await?;
    if user.is_confirmed() {
        return audit::record(db, state, request, &*user, Action::Login, None).await;
    }
    let provider = traits([("provider", "email".into())]);
    audit::record(db, state, request, &*user, Action::UserSignedUp, provider).await?;
    Ok(account::confirm_email(db, user).await?)
}

/// One of two addresses agrees.
async fn agree_to_email_change(db: &mut Connection, user: &mut User, hash: &str) -> Result<()> {
    user.tokens.email_change_status = 1;
    let of_link = |kind| [kind];
    let prefixed = format!("{}{hash}", crate::pkce::PREFIX);
    let is = |token: &str| !token.is_empty() && (token == hash || token == prefixed);
    let current = is(&user.tokens.email_change_current)
        || one_time_tokens::owner(db, hash, &of_link(Kind::EmailChangeCurrent)).await? == Some(user.id);
    let new = is(&user.tokens.email_change_new)
        || one_time_tokens::owner(db, hash, &of_link(Kind::EmailChangeNew)).await? == Some(user.id);
    if current {
        user.tokens.email_change_current.clear();
        one_time_tokens::delete(db, user.id, Kind::EmailChangeCurrent).await?;
    } else if new {
        user.tokens.email_change_new.clear();
        one_time_tokens::delete(db, user.id, Kind::EmailChangeNew).await?;
    }
    let columns =
        [Column::EmailChangeConfirmStatus, Column::EmailChangeTokenCurrent, Column::EmailChangeTokenNew];
    Ok(users::update(db, user, &columns).await?)
}

/// The address that a user wants becomes the user's.
pub(crate) async fn apply_email_change(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
) -> Result<()> {
    const FAILURE: &str = "Error confirm email";
    audit::record(db, state, request, &*user, Action::UserModified, None).await?;
    let address = user.email_change.clone();
    let contact = Contact { email: &address, email_verified: true, ..Contact::default() };
    account::put_contact_identity(db, user.id, "email", contact).await?;
    account::end_anonymity(db, user).await?;
    users::load_relations(db, user).await.step("Error refetching identities")?;
    let before = std::mem::replace(&mut user.email, std::mem::take(&mut user.email_change));
    user.tokens.email_change_current.clear();
    user.tokens.email_change_new.clear();
    user.tokens.email_change_status = 0;
    let columns = [
        Column::Email,
        Column::EmailChange,
        Column::EmailChangeTokenCurrent,
        Column::EmailChangeTokenNew,
        Column::EmailChangeConfirmStatus,
    ];
    users::update(db, user, &columns).await.step(FAILURE)?;
    one_time_tokens::delete_all(db, user.id).await.step(FAILURE)?;
    if !user.is_confirmed() {
        account::confirm_email(db, user).await.step(FAILURE)?;
    }
    if before != user.email {
        news::tell(state, request, user, MessageKind::EmailChanged, &before, &[("OldEmail", &before)]);
    }
    Ok(())
}

/// The number that a user wants becomes the user's.
pub(crate) async fn apply_phone_change(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
    phone: &str,
) -> Result<()> {
    const FAILURE: &str = "Error confirming user";
    audit::record(db, state, request, &*user, Action::UserModified, None).await?;
    let contact = Contact { phone, phone_verified: true, ..Contact::default() };
    account::put_contact_identity(db, user.id, "phone", contact).await?;
    let before = std::mem::replace(&mut user.phone, std::mem::take(&mut user.phone_change));
    user.tokens.phone_change.clear();
    user.phone_confirmed_at = Some(crate::json::Timestamp::now());
    let columns = [Column::Phone, Column::PhoneChange, Column::PhoneChangeToken, Column::PhoneConfirmedAt];
    users::update(db, user, &columns).await.step(FAILURE)?;
    one_time_tokens::delete_all(db, user.id).await.step(FAILURE)?;
    account::end_anonymity(db, user).await?;
    if before.is_empty() {
        let provider = [("Provider", "phone")];
        news::tell(state, request, user, MessageKind::IdentityLinked, &user.email, &provider);
    } else if before != user.phone {
        let numbers = [("Phone", user.phone.as_str()), ("OldPhone", &before)];
        news::tell(state, request, user, MessageKind::PhoneChanged, &user.email, &numbers);
    }
    users::load_relations(db, user).await.step("Error refetching identities")
}

/// Checks a nonce of reauthentication and forgets it.
pub(crate) async fn use_nonce(state: &State, user: &mut User, nonce: &str) -> Result<()> {
    let config = state.config();
    let invalid = |message: &'static str| Error::unprocessable(ErrorCode::ReauthenticationNotValid, message);
    let (contact, lifetime) = match (user.email.as_str(), user.phone.as_str()) {
        ("", "") => return Err(invalid("Reauthentication requires an email or a phone number")),
        ("", phone) => (phone, config.sms.otp_exp),
        (email, _) => (email, config.mailer.otp_exp),
    };
    state.guesses().permit(Secret::Code, contact)?;
    let hash = random::token_hash(contact, nonce);
    if !is_valid(&hash, &user.tokens.reauthentication, user.reauthentication_sent_at, lifetime) {
        state.guesses().wrong(Secret::Code, contact);
        return Err(invalid("Nonce has expired or is invalid"));
    }
    let mut db = state.database().await?;
    forget_nonce(&mut db, user).await.step("Error during reauthentication")
}

async fn forget_nonce(db: &mut Connection, user: &mut User) -> store::Result<()> {
    user.tokens.reauthentication.clear();
    users::update(db, user, &[Column::ReauthenticationToken]).await?;
    let id: Uuid = user.id;
    one_time_tokens::delete_all(db, id).await
}
