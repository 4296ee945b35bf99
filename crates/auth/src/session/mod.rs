//! Sessions: how they begin, how long they last, and the tokens they hand out.

mod access_token;
mod refresh;
mod sign_in;
mod step_up;

use std::time::Duration;

use uuid::Uuid;

use crate::config::Sessions;
use crate::json::Timestamp;

pub(crate) use refresh::refresh;
pub(crate) use sign_in::{TokenResponse, sign_in, sign_in_with};
pub(crate) use step_up::step_up;

/// A row of `auth.sessions` with the methods that led to it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) created_at: Timestamp,
    pub(crate) aal: Option<String>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) refreshed_at: Option<Timestamp>,
    pub(crate) tag: Option<String>,
    pub(crate) oauth_client_id: Option<Uuid>,
    /// Most recent first.
    pub(crate) amr: Vec<MethodUsed>,
}

/// A way in which a session was authenticated, and when.
#[derive(Clone, Debug)]
pub(crate) struct MethodUsed {
    pub(crate) method: String,
    pub(crate) at: Timestamp,
}

/// How sure we are of who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aal {
    One,
    Two,
    Three,
}

/// Ways to authenticate that this service records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    OAuth,
    Sso,
    Password,
    Otp,
    Recovery,
    Invite,
    MagicLink,
    EmailSignup,
    EmailChange,
    Anonymous,
    Totp,
    MfaPhone,
    MfaWebAuthn,
    Passkey,
    Web3,
    OAuthServer,
}

/// Why a session cannot be refreshed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Past its end or its longest life.
    Over,
    /// Not refreshed for too long.
    Inactive,
    /// Still below the level its user could reach.
    LowAal,
}

impl Aal {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::One => "aal1",
            Self::Two => "aal2",
            Self::Three => "aal3",
        }
    }

    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("aal2") => Self::Two,
            Some("aal3") => Self::Three,
            _ => Self::One,
        }
    }
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::Sso => "sso/saml",
            Self::Password => "password",
            Self::Otp => "otp",
            Self::Recovery => "recovery",
            Self::Invite => "invite",
            Self::MagicLink => "magiclink",
            Self::EmailSignup => "email/signup",
            Self::EmailChange => "email_change",
            Self::Anonymous => "anonymous",
            Self::Totp => "totp",
            Self::MfaPhone => "mfa/phone",
            Self::MfaWebAuthn => "mfa/webauthn",
            Self::Passkey => "passkey",
            Self::Web3 => "web3",
            Self::OAuthServer => "oauth_provider/authorization_code",
        }
    }

    /// The method of a PKCE flow, by the name of a verification or as stored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            _ if text.ends_with("signup") => Self::EmailSignup,
            "oauth" => Self::OAuth,
            "sso/saml" => Self::Sso,
            "password" => Self::Password,
            "otp" => Self::Otp,
            "recovery" => Self::Recovery,
            "invite" => Self::Invite,
            "magiclink" => Self::MagicLink,
            "email_change" => Self::EmailChange,
            _ => return None,
        })
    }
}

impl MethodUsed {
    /// Whether the method is a second factor.
    fn is_second_factor(&self) -> bool {
        matches!(self.method.as_str(), "totp" | "mfa/phone" | "mfa/webauthn")
    }
}

impl Session {
    /// A session that is not in the database yet.
    pub(crate) fn new(user_id: Uuid) -> Self {
        Self {
            id: Uuid::new_v4(),
            user_id,
            created_at: Timestamp::now(),
            aal: Some(Aal::One.as_str().to_owned()),
            not_after: None,
            refreshed_at: None,
            tag: None,
            oauth_client_id: None,
            amr: Vec::new(),
        }
    }

    /// Whether a second factor was used here, as the row says.
    pub(crate) fn is_aal2(&self) -> bool {
        self.aal.as_deref() == Some("aal2")
    }

    /// The level access tokens state: by the methods, not by the row.
    fn aal_of_methods(&self) -> Aal {
        if self.amr.iter().any(MethodUsed::is_second_factor) { Aal::Two } else { Aal::One }
    }

    /// When the session was last refreshed; before the first time, when its token was written.
    pub(crate) fn last_refreshed_at(&self, token_updated_at: Option<Timestamp>) -> Timestamp {
        self.refreshed_at.unwrap_or_else(|| {
            token_updated_at.filter(|updated| *updated > self.created_at).unwrap_or(self.created_at)
        })
    }

    /// Whether the session may go on.
    pub(crate) fn check(
        &self,
        limits: &Sessions,
        now: Timestamp,
        token_updated_at: Option<Timestamp>,
        highest_aal: Aal,
    ) -> Result<(), Expiry> {
        let past =
            |start: Timestamp, limit: Option<Duration>| limit.is_some_and(|limit| now > start.plus(limit));
        if self.not_after.is_some_and(|end| now > end) || past(self.created_at, limits.timebox) {
            return Err(Expiry::Over);
        }
        if past(self.last_refreshed_at(token_updated_at), limits.inactivity_timeout) {
            return Err(Expiry::Inactive);
        }
        if Aal::parse(self.aal.as_deref()) < highest_aal && past(self.created_at, limits.allow_low_aal) {
            return Err(Expiry::LowAal);
        }
        Ok(())
    }

    /// The session's tag among the configured ones; the first if it has none of them.
    pub(crate) fn tag<'a>(&self, tags: &'a [String]) -> &'a str {
        tags.iter().find(|tag| Some(*tag) == self.tag.as_ref()).or(tags.first()).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session_of(age: i64) -> (Session, Timestamp) {
        let session = Session::new(Uuid::nil());
        let now = session.created_at.plus_seconds(age);
        (session, now)
    }

    #[test]
    fn a_session_without_limits_goes_on() {
        let (session, now) = session_of(1_000_000_000);
        assert_eq!(session.check(&Sessions::default(), now, None, Aal::Two), Ok(()));
    }

    #[test]
    fn the_timebox_ends_a_session_however_active() {
        let limits = Sessions { timebox: Some(Duration::from_secs(60)), ..Sessions::default() };
        let (mut session, now) = session_of(61);
        session.refreshed_at = Some(now);
        assert_eq!(session.check(&limits, now, None, Aal::One), Err(Expiry::Over));
        let (session, now) = session_of(60);
        assert_eq!(session.check(&limits, now, None, Aal::One), Ok(()));
    }

    #[test]
    fn inactivity_counts_from_the_last_refresh_or_the_token() {
        let limits = Sessions { inactivity_timeout: Some(Duration::from_secs(60)), ..Sessions::default() };
        let (mut session, now) = session_of(100);
        assert_eq!(session.check(&limits, now, None, Aal::One), Err(Expiry::Inactive));
        assert_eq!(session.check(&limits, now, Some(now), Aal::One), Ok(()));
        session.refreshed_at = Some(session.created_at.plus_seconds(50));
        assert_eq!(session.check(&limits, now, None, Aal::One), Ok(()));
    }

    #[test]
    fn a_user_with_factors_may_stay_below_aal2_for_a_while() {
        let limits = Sessions { allow_low_aal: Some(Duration::from_secs(60)), ..Sessions::default() };
        let (mut session, now) = session_of(61);
        assert_eq!(session.check(&limits, now, None, Aal::Two), Err(Expiry::LowAal));
        assert_eq!(session.check(&limits, now, None, Aal::One), Ok(()));
        session.aal = Some("aal2".into());
        assert_eq!(session.check(&limits, now, None, Aal::Two), Ok(()));
    }

    #[test]
    fn an_unknown_tag_is_the_first_one() {
        let tags = ["web".to_owned(), "mobile".to_owned()];
        let (mut session, _) = session_of(0);
        assert_eq!(session.tag(&tags), "web");
        session.tag = Some("mobile".into());
        assert_eq!(session.tag(&tags), "mobile");
        assert_eq!(session.tag(&[]), "");
    }
}
