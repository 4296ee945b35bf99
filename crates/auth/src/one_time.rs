//! Codes and links that are sent out: made, stored as hashes, checked once, forgotten.

use std::time::Duration;

use database::Connection;
use subtle::ConstantTimeEq;

use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::hooks;
use crate::http::RequestContext;
use crate::json::Timestamp;
use crate::mail::{self, MessageKind, Outgoing};
use crate::pkce::{self, Flow};
use crate::random;
use crate::sms::{self, TextMessage};
use crate::store::one_time_tokens::{self, Kind};
use crate::store::users::{self, Column};
use crate::user::User;

/// Whether a code that was typed in is the one that was sent, and still valid.
pub(crate) fn is_valid(actual: &str, expected: &str, sent_at: Option<Timestamp>, lifetime: i64) -> bool {
    let Some(sent_at) = sent_at.filter(|_| !expected.is_empty()) else { return false };
    // A code can be typed in even if its link belongs to a PKCE flow.
    let expected = expected.strip_prefix(pkce::PREFIX).unwrap_or(expected);
    let equal = bool::from(actual.as_bytes().ct_eq(expected.as_bytes()));
    equal && !is_expired(Some(sent_at), lifetime)
}

/// Whether a code sent then is too old now. One that was never sent is.
pub(crate) fn is_expired(sent_at: Option<Timestamp>, lifetime: i64) -> bool {
    sent_at.is_none_or(|sent_at| Timestamp::now() > sent_at.plus_seconds(lifetime))
}

pub(crate) fn frequency(code: ErrorCode, sent_at: Timestamp, pause: Duration) -> Error {
    let left = (sent_at.plus(pause).0 - Timestamp::now().0).num_seconds();
    Error::too_many(code, format!("For security purposes, you can only request this after {left} seconds."))
}

fn not_too_often(state: &State, sent_at: Option<Timestamp>) -> Result<()> {
    let pause = state.config().smtp.max_frequency;
    match sent_at {
        Some(sent_at) if sent_at.plus(pause) > Timestamp::now() => {
            Err(frequency(ErrorCode::OverEmailSendRateLimit, sent_at, pause))
        }
        _ => Ok(()),
    }
}

/// A fresh code for an address and the hash that is stored of it.
fn mint(state: &State, address: &str, flow: Flow<'_>) -> (String, String) {
    let code = random::code(state.config().mailer.otp_length);
    let hash = pkce::prefixed(random::token_hash(address, &code), flow);
    (code, hash)
}

/// Mails a fresh code for the user's own address; returns the hash to store of it.
async fn mail_code(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &User,
    kind: MessageKind,
    flow: Flow<'_>,
    failure: &'static str,
) -> Result<String> {
    let address = &user.email;
    let (code, hash) = mint(state, address, flow);
    mail::permit(state, address).await?;
    let mail = Outgoing { kind, to: address, code: &code, token_hash: &hash, about: &[] };
    mail::send(db, state, request, user, mail, failure).await?;
    Ok(hash)
}

/// Asks a new user to confirm the address.
pub(crate) async fn send_confirmation(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
    flow: Flow<'_>,
) -> Result<()> {
    const FAILURE: &str = "Error sending confirmation email";
    not_too_often(state, user.confirmation_sent_at)?;
    user.tokens.confirmation =
        mail_code(db, state, request, user, MessageKind::Confirmation, flow, FAILURE).await?;
    user.confirmation_sent_at = Some(Timestamp::now());
    users::update(db, user, &[Column::ConfirmationToken, Column::ConfirmationSentAt]).await.step(FAILURE)?;
    store(db, user, &user.email, Kind::Confirmation).await.step(FAILURE)
}

/// Invites somebody. Invitations may follow each other without a pause.
pub(crate) async fn send_invite(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
) -> Result<()> {
    const FAILURE: &str = "Error inviting user";
    user.tokens.confirmation =
        mail_code(db, state, request, user, MessageKind::Invite, None, "Error sending invite email").await?;
    let now = Timestamp::now();
    user.invited_at = Some(now);
    user.confirmation_sent_at = Some(now);
    let columns = [Column::ConfirmationToken, Column::ConfirmationSentAt, Column::InvitedAt];
    users::update(db, user, &columns).await.step(FAILURE)?;
    store(db, user, &user.email, Kind::Confirmation).await.step(FAILURE)
}

/// Sends a link to set a new password, or one that signs in: they share the token and its pause.
pub(crate) async fn send_recovery(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
    kind: MessageKind,
    flow: Flow<'_>,
) -> Result<()> {
    let failure = match kind {
        MessageKind::MagicLink => "Error sending magic link email",
        _ => "Error sending recovery email",
    };
    not_too_often(state, user.recovery_sent_at)?;
    user.tokens.recovery = mail_code(db, state, request, user, kind, flow, failure).await?;
    user.recovery_sent_at = Some(Timestamp::now());
    users::update(db, user, &[Column::RecoveryToken, Column::RecoverySentAt]).await.step(failure)?;
    store(db, user, &user.email, Kind::Recovery).await.step(failure)
}

/// Sends a nonce to somebody who is signed in.
pub(crate) async fn send_reauthentication(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
) -> Result<()> {
    const FAILURE: &str = "Error sending reauthentication email";
    not_too_often(state, user.reauthentication_sent_at)?;
    user.tokens.reauthentication =
        mail_code(db, state, request, user, MessageKind::Reauthentication, None, FAILURE).await?;
    user.reauthentication_sent_at = Some(Timestamp::now());
    let columns = [Column::ReauthenticationToken, Column::ReauthenticationSentAt];
    users::update(db, user, &columns).await.step(FAILURE)?;
    store(db, user, &user.email, Kind::Reauthentication).await.step(FAILURE)
}

/// Asks the new address, and the present one if changes are to be secure, to agree to a change.
pub(crate) async fn send_email_change(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &mut User,
    new_address: &str,
    flow: Flow<'_>,
) -> Result<()> {
    const FAILURE: &str = "Error sending email change email";
    not_too_often(state, user.email_change_sent_at)?;
    let config = state.config();
    let address = user.email.clone();
    let secure = config.mailer.secure_email_change_enabled && !address.is_empty();
    let (new_code, new_hash) = mint(state, new_address, flow);
    mail::permit(state, new_address).await?;
    user.email_change = new_address.to_owned();
    let kind = MessageKind::EmailChange;
    let current = if secure {
        mail::authorized(&config.external.authorized_addresses, &address)?;
        Some(mint(state, &address, flow))
    } else {
        None
    };
    if config.hooks.send_email.enabled {
        // One call for both mails. With two addresses each hash stands beside the other address's code, as in the original.
        let mut data =
            hooks::EmailData { email_action_type: "email_change", ..mail::hook_data(state, request) };
        data.token_hash.clone_from(&new_hash);
        match &current {
            Some((code, hash)) => {
                data.token.clone_from(code);
                data.token_new.clone_from(&new_code);
                data.token_hash_new.clone_from(hash);
            }
            None => data.token.clone_from(&new_code),
        }
        hooks::send_email(state, db, user, data).await?;
    } else {
        if let Some((code, hash)) = &current {
            let mail = Outgoing { kind, to: &address, code, token_hash: hash, about: &[] };
            mail::send(db, state, request, user, mail, FAILURE).await?;
        }
        let mail = Outgoing { kind, to: new_address, code: &new_code, token_hash: &new_hash, about: &[] };
        mail::send(db, state, request, user, mail, FAILURE).await?;
    }
    if let Some((_, hash)) = current {
        user.tokens.email_change_current = hash;
    }
    user.tokens.email_change_new = new_hash;
    user.tokens.email_change_status = 0;
    user.email_change_sent_at = Some(Timestamp::now());
    let columns = [
        Column::EmailChangeTokenCurrent,
        Column::EmailChangeTokenNew,
        Column::EmailChange,
        Column::EmailChangeSentAt,
        Column::EmailChangeConfirmStatus,
    ];
    users::update(db, user, &columns).await.step(FAILURE)?;
    if !user.tokens.email_change_current.is_empty() {
        store(db, user, &address, Kind::EmailChangeCurrent).await.step(FAILURE)?;
    }
    store(db, user, new_address, Kind::EmailChangeNew).await.step(FAILURE)
}

/// Tells somebody that the password was changed.
pub(crate) async fn send_password_changed(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &User,
) -> Result<()> {
    mail::permit(state, &user.email).await?;
    let kind = MessageKind::PasswordChanged;
    let mail = Outgoing { kind, to: &user.email, code: "", token_hash: "", about: &[] };
    mail::send(db, state, request, user, mail, "Error sending password changed notification email").await
}

/// Stores the hash that the user's row holds where links find it.
pub(crate) async fn store(
    db: &mut Connection,
    user: &User,
    relates_to: &str,
    kind: Kind,
) -> crate::store::Result<()> {
    let hash = match kind {
        Kind::Confirmation => &user.tokens.confirmation,
        Kind::Reauthentication => &user.tokens.reauthentication,
        Kind::Recovery => &user.tokens.recovery,
        Kind::EmailChangeNew => &user.tokens.email_change_new,
        Kind::EmailChangeCurrent => &user.tokens.email_change_current,
        Kind::PhoneChange => &user.tokens.phone_change,
    };
    one_time_tokens::replace(db, user.id, relates_to, hash, kind).await
}

/// What a text message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextPurpose {
    Confirmation,
    PhoneChange,
    Reauthentication,
}

/// Sends a code to a number. Returns the provider's id of the message; empty if it gives none.
pub(crate) async fn send_text(
    db: &mut Connection,
    state: &State,
    user: &mut User,
    phone: &str,
    purpose: TextPurpose,
    channel: &str,
) -> Result<String> {
    let config = state.config();
    let sent_at = match purpose {
        TextPurpose::Confirmation => user.confirmation_sent_at,
        TextPurpose::PhoneChange => user.phone_change_sent_at,
        TextPurpose::Reauthentication => user.reauthentication_sent_at,
    };
    let now = Timestamp::now();
    let pause = config.sms.max_frequency;
    if let Some(sent_at) = sent_at.filter(|sent_at| sent_at.plus(pause) >= now) {
        return Err(frequency(ErrorCode::OverSmsSendRateLimit, sent_at, pause));
    }
    let (code, message_id) = match config.sms.test_code(phone, now.0) {
        Some(code) => (code.to_owned(), "test-otp".to_owned()),
        None => {
            if !config.sms.autoconfirm && !state.limits().text().await {
                return Err(Error::too_many(ErrorCode::OverSmsSendRateLimit, "SMS rate limit exceeded"));
            }
            let code = random::code(config.sms.otp_length);
            // The original forgets the provider's id of a message that it really sent.
            transmit(db, state, user, phone, &code, purpose, channel).await?;
            (code, String::new())
        }
    };
    let hash = random::token_hash(phone, &code);
    let (columns, kind, relates_to): (&[Column], Kind, String) = match purpose {
        TextPurpose::Confirmation => {
            user.tokens.confirmation = hash;
            user.confirmation_sent_at = Some(now);
            (&[Column::ConfirmationToken, Column::ConfirmationSentAt], Kind::Confirmation, user.phone.clone())
        }
        TextPurpose::PhoneChange => {
            user.phone_change = phone.to_owned();
            user.tokens.phone_change = hash;
            user.phone_change_sent_at = Some(now);
            (
                &[Column::PhoneChange, Column::PhoneChangeToken, Column::PhoneChangeSentAt],
                Kind::PhoneChange,
                phone.to_owned(),
            )
        }
        TextPurpose::Reauthentication => {
            user.tokens.reauthentication = hash;
            user.reauthentication_sent_at = Some(now);
            (
                &[Column::ReauthenticationToken, Column::ReauthenticationSentAt],
                Kind::Reauthentication,
                user.phone.clone(),
            )
        }
    };
    users::update(db, user, columns).await?;
    store(db, user, &relates_to, kind).await.step("error creating one time token")?;
    Ok(message_id)
}

async fn transmit(
    db: &mut Connection,
    state: &State,
    user: &User,
    phone: &str,
    code: &str,
    purpose: TextPurpose,
    channel: &str,
) -> Result<()> {
    if state.config().hooks.send_sms.enabled {
        return hooks::send_sms(state, Some(db), user, phone, code, "").await;
    }
    let purpose = match purpose {
        TextPurpose::Confirmation => "confirmation",
        TextPurpose::PhoneChange => "phone_change",
        TextPurpose::Reauthentication => "reauthentication",
    };
    let provider = sms::of(state)?;
    let message = text_message(&state.config().sms.template, phone, code, channel)?;
    provider.send(&message).await.map(|_| ()).map_err(|error| {
        let message = format!("Error sending {purpose} OTP to provider: {error}");
        Error::unprocessable(ErrorCode::SmsSendFailed, message)
    })
}

/// Sends the code of a second factor. The original counts these messages by factor only.
pub(crate) async fn send_factor_code(
    state: &State,
    user: &User,
    phone: &str,
    code: &str,
    channel: &str,
) -> Result<()> {
    let config = state.config();
    if config.hooks.send_sms.enabled {
        return hooks::send_sms(state, None, user, phone, code, "mfa")
            .await
            .map_err(|error| Error::internal("error invoking hook").because(error));
    }
    let provider = sms::of(state)?;
    let message = text_message(&config.mfa.phone.template, phone, code, channel)?;
    provider.send(&message).await.map(|_| ()).map_err(|error| {
        tracing::warn!(user_id = %user.id, %error, "the code of a second factor was not sent");
        Error::internal("error sending message").because(Cause::Other(error.into()))
    })
}

/// A message from its template.
pub(crate) fn text_message(template: &str, phone: &str, code: &str, channel: &str) -> Result<TextMessage> {
    let text = ::mail::Template::parse(template)
        .and_then(|template| template.text(&serde_json::json!({"Code": code})))
        .map_err(|error| {
            Error::internal("error generating sms template").because(Cause::Other(error.into()))
        })?;
    Ok(TextMessage { phone: phone.to_owned(), text, code: code.to_owned(), channel: channel.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_valid_while_it_lives() {
        let now = Some(Timestamp::now());
        assert!(is_valid("hash", "hash", now, 60));
        assert!(is_valid("hash", "pkce_hash", now, 60));
        assert!(!is_valid("hash", "other", now, 60));
        assert!(!is_valid("", "", now, 60));
        assert!(!is_valid("hash", "hash", None, 60));
        assert!(!is_valid("hash", "hash", Some(Timestamp::now().plus_seconds(-61)), 60));
    }
}
