//! What is sent to people, and the trait of whoever sends it.
//!
//! This crate decides what to send and when it may; rendering and transport belong to the
//! implementation that the composition root provides.

use std::fmt;
use std::pin::Pin;

use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result};
use crate::http::{GoUrl, RequestContext, action_link_base, escape_query, redirect_target};
use crate::json::Object;
use crate::user::User;

/// A future of [`Deliver`].
pub type Delivery<'a, T> = Pin<Box<dyn Future<Output = Result<T, DeliveryError>> + Send + 'a>>;

/// Sends mails and text messages.
pub trait Deliver: Send + Sync {
    /// Sends a mail.
    fn mail(&self, message: Message) -> Delivery<'_, ()>;
    /// Sends a text message and returns the provider's id of it.
    fn text(&self, message: TextMessage) -> Delivery<'_, String>;
}

/// Why something could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeliveryError(pub String);

/// What a mail is about; the names are those of the original's templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MessageKind {
    Invite,
    Confirmation,
    Recovery,
    MagicLink,
    EmailChange,
    Reauthentication,
}

impl MessageKind {
    /// The name of the template.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Confirmation => "confirmation",
            Self::Recovery => "recovery",
            Self::MagicLink => "magic_link",
            Self::EmailChange => "email_change",
            Self::Reauthentication => "reauthentication",
        }
    }

    /// The `type` of the link that the mail carries; none for a bare code.
    const fn link_type(self) -> Option<&'static str> {
        match self {
            Self::Invite => Some("invite"),
            Self::Confirmation => Some("signup"),
            Self::Recovery => Some("recovery"),
            Self::MagicLink => Some("magiclink"),
            Self::EmailChange => Some("email_change"),
            Self::Reauthentication => None,
        }
    }
}

/// A mail with everything its template may use. Codes and links in it are secrets.
#[derive(Clone)]
pub struct Message {
    /// What it is about.
    pub kind: MessageKind,
    /// Who receives it.
    pub to: String,
    /// The user's present address.
    pub email: String,
    /// The address the user wants; empty but for changes.
    pub new_email: String,
    /// The digits to type in.
    pub code: String,
    /// The hash in the link.
    pub token_hash: String,
    /// The link to click; empty for a bare code.
    pub confirmation_url: String,
    /// Where the link leads in the end.
    pub redirect_to: String,
    /// The site's address.
    pub site_url: String,
    /// The user's metadata.
    pub data: Object,
}

/// A text message.
#[derive(Clone)]
pub struct TextMessage {
    /// The number, without `+`.
    pub phone: String,
    /// The digits to type in.
    pub code: String,
    /// `sms` or `whatsapp`.
    pub channel: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for TextMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextMessage").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// One mail of a flow.
pub(crate) struct Outgoing<'a> {
    pub(crate) kind: MessageKind,
    pub(crate) to: &'a str,
    pub(crate) code: &'a str,
    pub(crate) token_hash: &'a str,
}

/// Asks whether an instance may mail to an address at all, and counts the mail.
pub(crate) fn permit(state: &State, address: &str) -> Result<()> {
    let config = state.config();
    authorized(&config.external.authorized_addresses, address)?;
    let limited = Error::too_many(ErrorCode::OverEmailSendRateLimit, "email rate limit exceeded");
    if config.rate_limits.email_sent.is_zero() {
        return Err(limited);
    }
    // Where addresses confirm themselves few mails are needed, and the original does not count them.
    if !config.mailer.autoconfirm && !state.limits().mail() {
        return Err(limited);
    }
    Ok(())
}

/// Only authorised addresses receive mail, if any are named. A label (`+x`) does not matter.
pub(crate) fn authorized(addresses: &[String], address: &str) -> Result<()> {
    if addresses.is_empty() || address.is_empty() {
        return Ok(());
    }
    let plain = match address.split_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or_default()),
        None => address.to_owned(),
    };
    if addresses.iter().any(|allowed| allowed.to_lowercase() == plain.to_lowercase()) {
        return Ok(());
    }
    Err(Error::bad_request(
        ErrorCode::EmailAddressNotAuthorized,
        format!("Email address {address:?} cannot be used as it is not authorized"),
    ))
}

/// Sends a mail of a flow; `failure` is the step that callers are told of if it cannot be sent.
pub(crate) async fn send(
    state: &State,
    request: &RequestContext,
    user: &User,
    mail: Outgoing<'_>,
    failure: &'static str,
) -> Result<()> {
    let config = state.config();
    let Some(delivery) = state.delivery() else {
        if config.smtp.host.is_empty() {
            tracing::debug!(kind = mail.kind.as_str(), "no mail server is configured: the mail is dropped");
            return Ok(());
        }
        let reason = DeliveryError("this build cannot send mail yet".into());
        return Err(Error::internal(failure).because(Cause::Other(reason.into())));
    };
    let redirect_to = redirect_target(request, config);
    let confirmation_url = match mail.kind.link_type() {
        Some(link_type) => action_link(state, request, mail.kind, link_type, mail.token_hash, &redirect_to)?,
        None => String::new(),
    };
    let message = Message {
        kind: mail.kind,
        to: mail.to.to_owned(),
        email: user.email.clone(),
        new_email: user.email_change.clone(),
        code: mail.code.to_owned(),
        token_hash: mail.token_hash.to_owned(),
        confirmation_url,
        redirect_to,
        site_url: config.site_url.clone(),
        data: user.user_metadata.clone(),
    };
    delivery.mail(message).await.map_err(|error| Error::internal(failure).because(Cause::Other(error.into())))
}

/// The link of a mail. An absolute path discards the path of the external URL, as in the original.
pub(crate) fn action_link(
    state: &State,
    request: &RequestContext,
    kind: MessageKind,
    link_type: &str,
    token_hash: &str,
    redirect_to: &str,
) -> Result<String> {
    let config = state.config();
    let paths = &config.mailer.url_paths;
    let path = match kind {
        MessageKind::Invite => &paths.invite,
        MessageKind::Confirmation | MessageKind::Reauthentication => &paths.confirmation,
        MessageKind::Recovery | MessageKind::MagicLink => &paths.recovery,
        MessageKind::EmailChange => &paths.email_change,
    };
    // A target that carries none of these was escaped by its author.
    let redirect_to = if redirect_to.contains(['&', '=', '#']) {
        escape_query(redirect_to)
    } else {
        redirect_to.to_owned()
    };
    let path = path.split('?').next().unwrap_or_default();
    let token = escape_query(token_hash);
    let reference = format!("{path}?token={token}&type={link_type}&redirect_to={redirect_to}");
    let base = action_link_base(request, config);
    GoUrl::parse(&base)
        .and_then(|base| base.join(&reference))
        .map(|url| url.to_string())
        .ok_or_else(|| Error::Unexpected(Cause::Other("the path of links is not a URL".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_matter_to_authorised_addresses() {
        let addresses = ["Team@example.com".to_owned()];
        assert!(authorized(&addresses, "team+ci@example.com").is_ok());
        assert!(authorized(&[], "anyone@example.com").is_ok());
        assert_eq!(
            authorized(&addresses, "x@example.com").err().map(|error| error.to_string()).as_deref(),
            Some("400: Email address \"x@example.com\" cannot be used as it is not authorized")
        );
    }
}
