//! What is sent to people by mail.
//!
//! This decides what to send and when it may; `mail` (the crate) renders and transports, `outbox` keeps what is on its way.

use chrono::{TimeDelta, Utc};
use database::Connection;
use mail::Letter;
use serde_json::json;
use uuid::Uuid;

use crate::State;
use crate::addresses;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::hooks::{self, EmailData};
use crate::http::{GoUrl, RequestContext, action_link_base, escape_query, redirect_target};
use crate::outbox::Written;
use crate::store::outbox::Waiting;
use crate::user::User;

pub(crate) use mail::Kind as MessageKind;

/// The `type` of the link that a mail carries; none for a bare code and for mere news.
const fn link_type(kind: MessageKind) -> Option<&'static str> {
    match kind {
        MessageKind::Invite => Some("invite"),
        MessageKind::Confirmation => Some("signup"),
        MessageKind::Recovery => Some("recovery"),
        MessageKind::MagicLink => Some("magiclink"),
        MessageKind::EmailChange => Some("email_change"),
        _ => None,
    }
}

/// What hooks call a mail.
const fn action(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Reauthentication => "reauthentication",
        other => match link_type(other) {
            Some(name) => name,
            None => other.as_str(),
        },
    }
}

/// One mail of a flow.
pub(crate) struct Outgoing<'a> {
    pub(crate) kind: MessageKind,
    pub(crate) to: &'a str,
    pub(crate) code: &'a str,
    pub(crate) token_hash: &'a str,
    /// What a notification tells besides.
    pub(crate) about: &'a [(&'static str, String)],
}

/// Asks whether an instance may mail to an address at all, and counts the mail.
pub(crate) async fn permit(state: &State, address: &str) -> Result<()> {
    let config = state.config();
    authorized(&config.external.authorized_addresses, address)?;
    let limited = Error::too_many(ErrorCode::OverEmailSendRateLimit, "email rate limit exceeded");
    if config.rate_limits.email_sent.is_zero() {
        return Err(limited);
    }
    // Where addresses confirm themselves few mails are needed, and the original does not count them.
    if !config.mailer.autoconfirm && !state.limits().mail().await {
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

/// Sends a mail of a flow: through the hook if there is one, else by the outbox once the caller's transaction is committed.
/// `failure` is the step that callers are told of if it cannot be sent.
pub(crate) async fn send(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &User,
    mail: Outgoing<'_>,
    failure: &'static str,
) -> Result<()> {
    let config = state.config();
    if config.hooks.send_email.enabled {
        let data = EmailData {
            token: mail.code.to_owned(),
            token_hash: mail.token_hash.to_owned(),
            email_action_type: action(mail.kind),
            ..hook_data(state, request)
        };
        return hooks::send_email(state, db, user, data).await;
    }
    addresses::check(state, mail.to).await?;
    if !state.outbox().is_connected() {
        tracing::debug!(kind = mail.kind.as_str(), "no mail server is configured: the mail is dropped");
        return Ok(());
    }
    let (subject, html) = state
        .templates()
        .render(mail.kind, &template_data(state, request, user, &mail)?)
        .await
        .map_err(|error| Error::internal(failure).because(Cause::Other(error.into())))?;
    let id = Uuid::new_v4();
    let letter = Letter {
        id: id.to_string(),
        to: mail.to.to_owned(),
        subject,
        html,
        headers: headers(state, mail.kind),
    };
    let lifetime = match mail.kind {
        kind if kind.is_notification() => TimeDelta::days(1),
        _ => TimeDelta::seconds(config.mailer.otp_exp.max(60)),
    };
    let waiting = Waiting {
        id,
        user_id: user.id,
        kind: mail.kind.as_str().to_owned(),
        letter,
        attempts: 0,
        expires_at: Utc::now() + lifetime,
    };
    state.outbox().write(db, &waiting).await.step(failure)?;
    let mut written = request.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    written.push(Written { mail: waiting, failure });
    Ok(())
}

/// What every call of the hook says.
pub(crate) fn hook_data(state: &State, request: &RequestContext) -> EmailData {
    let config = state.config();
    EmailData {
        redirect_to: redirect_target(request, config),
        site_url: action_link_base(request, config),
        ..EmailData::default()
    }
}

/// What a template may use.
fn template_data(
    state: &State,
    request: &RequestContext,
    user: &User,
    mail: &Outgoing<'_>,
) -> Result<serde_json::Value> {
    let config = state.config();
    if mail.kind.is_notification() {
        let mut data = json!({
            "SiteURL": config.site_url,
            "Email": user.email,
            "Data": user.user_metadata,
            "SendingTo": mail.to,
        });
        for (name, value) in mail.about {
            data[*name] = value.as_str().into();
        }
        return Ok(data);
    }
    let mut data = json!({
        "SiteURL": config.site_url,
        "Email": user.email,
        "Token": mail.code,
        "Data": user.user_metadata,
    });
    if let Some(link_type) = link_type(mail.kind) {
        let redirect_to = redirect_target(request, config);
        data["ConfirmationURL"] =
            action_link(state, request, mail.kind, link_type, mail.token_hash, &redirect_to)?.into();
        data["TokenHash"] = mail.token_hash.into();
        data["RedirectTo"] = redirect_to.into();
    }
    if mail.kind == MessageKind::EmailChange {
        data["NewEmail"] = user.email_change.as_str().into();
        data["SendingTo"] = mail.to.into();
    }
    Ok(data)
}

/// The configured headers of a kind of mail.
fn headers(state: &State, kind: MessageKind) -> Vec<(String, String)> {
    let configured = state.config().smtp.headers.iter().filter(|(name, _)| !name.is_empty());
    configured
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.clone(), value.replace("$messageType", kind.header_name())))
        .collect()
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
        MessageKind::Recovery | MessageKind::MagicLink => &paths.recovery,
        MessageKind::EmailChange => &paths.email_change,
        _ => &paths.confirmation,
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
