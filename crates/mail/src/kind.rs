//! The kinds of mail that GoTrue has, with the texts used when a project has none of its own.

/// A kind of mail; the names are those of GoTrue's templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub enum Kind {
    Invite,
    Confirmation,
    Recovery,
    MagicLink,
    EmailChange,
    Reauthentication,
    PasswordChanged,
    EmailChanged,
    PhoneChanged,
    IdentityLinked,
    IdentityUnlinked,
    FactorEnrolled,
    FactorUnenrolled,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Invite,
        Self::Confirmation,
        Self::Recovery,
        Self::MagicLink,
        Self::EmailChange,
        Self::Reauthentication,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::PhoneChanged,
        Self::IdentityLinked,
        Self::IdentityUnlinked,
        Self::FactorEnrolled,
        Self::FactorUnenrolled,
    ];

    /// The name of the template, as in `GOTRUE_MAILER_TEMPLATES_<NAME>`, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Confirmation => "confirmation",
            Self::Recovery => "recovery",
            Self::MagicLink => "magic_link",
            Self::EmailChange => "email_change",
            Self::Reauthentication => "reauthentication",
            Self::PasswordChanged => "password_changed_notification",
            Self::EmailChanged => "email_changed_notification",
            Self::PhoneChanged => "phone_changed_notification",
            Self::IdentityLinked => "identity_linked_notification",
            Self::IdentityUnlinked => "identity_unlinked_notification",
            Self::FactorEnrolled => "mfa_factor_enrolled_notification",
            Self::FactorUnenrolled => "mfa_factor_unenrolled_notification",
        }
    }

    /// Whether it is news alone, with nothing to follow or to enter. GoTrue has all but the first since 2.181.
    #[must_use]
    pub const fn is_notification(self) -> bool {
        matches!(
            self,
            Self::PasswordChanged
                | Self::EmailChanged
                | Self::PhoneChanged
                | Self::IdentityLinked
                | Self::IdentityUnlinked
                | Self::FactorEnrolled
                | Self::FactorUnenrolled
        )
    }

    /// The kind of a template's name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What `$messageType` in a configured header becomes: one name is older than its template's.
    #[must_use]
    pub const fn header_name(self) -> &'static str {
        match self {
            Self::Reauthentication => "reauthenticate",
            other => other.as_str(),
        }
    }

    /// The subject when none is configured; GoTrue's.
    #[must_use]
    pub const fn default_subject(self) -> &'static str {
        match self {
            Self::Invite => "You have been invited",
            Self::Confirmation => "Confirm Your Email",
            Self::Recovery => "Reset Your Password",
            Self::MagicLink => "Your Magic Link",
            Self::EmailChange => "Confirm Email Change",
            Self::Reauthentication => "Confirm reauthentication",
            Self::PasswordChanged => "Your password has been changed",
            Self::EmailChanged => "Your email address was changed",
            Self::PhoneChanged => "Your phone number was changed",
            Self::IdentityLinked => "A new sign-in method was linked to your account",
            Self::IdentityUnlinked => "A sign-in method was removed from your account",
            Self::FactorEnrolled => "A new verification method was added to your account",
            Self::FactorUnenrolled => "A verification method was removed from your account",
        }
    }

    /// The body when none is configured: a heading, the link and the code, as GoTrue's has them.
    #[must_use]
    pub const fn default_body(self) -> &'static str {
        match self {
            Self::Invite => {
                "<h2>You are invited</h2>\n\
                 <p>Somebody has invited you to {{ .SiteURL }}. This link accepts the invitation:</p>\n\
                 <p><a href=\"{{ .ConfirmationURL }}\">Accept the invitation</a></p>\n\
                 <p>Or enter this code: {{ .Token }}</p>\n"
            }
            Self::Confirmation => {
                "<h2>Confirm your address</h2>\n\
                 <p>This link confirms your address:</p>\n\
                 <p><a href=\"{{ .ConfirmationURL }}\">Confirm the address</a></p>\n\
                 <p>Or enter this code: {{ .Token }}</p>\n"
            }
            Self::Recovery => {
                "<h2>Choose a new password</h2>\n\
                 <p>This link lets you choose a new password:</p>\n\
                 <p><a href=\"{{ .ConfirmationURL }}\">Choose a new password</a></p>\n\
                 <p>Or enter this code: {{ .Token }}</p>\n"
            }
            Self::MagicLink => {
                "<h2>Sign in</h2>\n\
                 <p>This link signs you in:</p>\n\
                 <p><a href=\"{{ .ConfirmationURL }}\">Sign in</a></p>\n\
                 <p>Or enter this code: {{ .Token }}</p>\n"
            }
            Self::EmailChange => {
                "<h2>Confirm your new address</h2>\n\
                 <p>This link confirms the change of your address from {{ .Email }} to {{ .NewEmail }}:</p>\n\
                 <p><a href=\"{{ .ConfirmationURL }}\">Change the address</a></p>\n\
                 <p>Or enter this code: {{ .Token }}</p>\n"
            }
            Self::Reauthentication => {
                "<h2>Confirm that it is you</h2>\n\
                 <p>Enter this code: {{ .Token }}</p>\n"
            }
            Self::PasswordChanged => {
                "<h2>Your password was changed</h2>\n\
                 <p>The password of your account {{ .Email }} was just changed. If this was not you, get in touch with us at \
                 once.</p>\n"
            }
            Self::EmailChanged => {
                "<h2>Your address was changed</h2>\n\
                 <p>Your account no longer belongs to {{ .OldEmail }} but to {{ .Email }}. If this was not you, get in touch \
                 with us at once.</p>\n"
            }
            Self::PhoneChanged => {
                "<h2>Your phone number was changed</h2>\n\
                 <p>The number of your account {{ .Email }} is no longer {{ .OldPhone }} but {{ .Phone }}. If this was not you, \
                 get in touch with us at once.</p>\n"
            }
            Self::IdentityLinked => {
                "<h2>There is a new way to sign in</h2>\n\
                 <p>Your account {{ .Email }} can now be signed in to with {{ .Provider }}. If this was not you, get in touch \
                 with us at once.</p>\n"
            }
            Self::IdentityUnlinked => {
                "<h2>A way to sign in was removed</h2>\n\
                 <p>Your account {{ .Email }} can no longer be signed in to with {{ .Provider }}. If this was not you, get in \
                 touch with us at once.</p>\n"
            }
            Self::FactorEnrolled => {
                "<h2>There is a new second factor</h2>\n\
                 <p>A second factor ({{ .FactorType }}) was added to your account {{ .Email }}. If this was not you, get in \
                 touch with us at once.</p>\n"
            }
            Self::FactorUnenrolled => {
                "<h2>A second factor was removed</h2>\n\
                 <p>A second factor ({{ .FactorType }}) was removed from your account {{ .Email }}. If this was not you, get in \
                 touch with us at once.</p>\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Template;

    #[test]
    fn every_default_is_a_template_that_shows_what_it_is_for() {
        let data = serde_json::json!({
            "SiteURL": "https://site.test", "ConfirmationURL": "https://api.test/verify?token=t&type=x", "Token": "123456",
            "Email": "old@b.c", "NewEmail": "new@b.c",
        });
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            let body = Template::parse(kind.default_body()).unwrap().html(&data).unwrap();
            let code = !kind.is_notification();
            let link = code && kind != Kind::Reauthentication;
            assert_eq!(body.contains("123456"), code, "{body}");
            assert_eq!(body.contains("href=\"https://api.test/verify?token=t&amp;type=x\""), link, "{body}");
        }
    }
}
