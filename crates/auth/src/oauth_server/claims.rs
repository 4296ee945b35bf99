//! What an application is told of a person, by the scopes that were agreed to.

use serde_json::Value;

use super::scopes;
use crate::user::User;

/// The scopes that applications may ask for. (`offline_access` adds nothing: every application gets a refresh token.)
pub(crate) const SUPPORTED_SCOPES: [&str; 5] = ["openid", "profile", "email", "phone", "offline_access"];

/// Claims about a person. What a scope does not cover, or nobody said, is none.
#[derive(Default)]
pub(crate) struct Claims<'a> {
    pub(crate) email: Option<&'a str>,
    pub(crate) email_verified: Option<bool>,
    pub(crate) phone: Option<&'a str>,
    pub(crate) phone_verified: Option<bool>,
    pub(crate) profile: Option<Profile<'a>>,
}

/// What the scope `profile` covers.
pub(crate) struct Profile<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) picture: Option<&'a str>,
    pub(crate) preferred_username: Option<&'a str>,
    pub(crate) updated_at: i64,
}

impl<'a> Claims<'a> {
    /// Of a user, for scopes that are separated by spaces.
    pub(crate) fn of(user: &'a User, granted: &str) -> Self {
        let granted = scopes(granted);
        let mut claims = Self::default();
        let filled = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        if granted.contains(&"email") {
            claims.email = filled(&user.email);
            claims.email_verified = Some(user.is_confirmed());
        }
        if granted.contains(&"phone") {
            claims.phone = filled(&user.phone);
            claims.phone_verified = Some(user.is_phone_confirmed());
        }
        if granted.contains(&"profile") {
            let said = |names: &[&str]| {
                let value = |name: &&str| user.user_metadata.get(*name).and_then(Value::as_str);
                names.iter().filter_map(value).find(|text| !text.is_empty())
            };
            claims.profile = Some(Profile {
                name: said(&["name"]).or_else(|| filled(&user.email)),
                picture: said(&["picture", "avatar_url"]),
                preferred_username: said(&["preferred_username", "username"]),
                updated_at: user.updated_at.unix(),
            });
        }
        claims
    }
}
