//! An identity: one way in which a user is known.

use serde::Serialize;
use uuid::Uuid;

use crate::json::{Object, Timestamp};

/// A row of `auth.identities`. Fields are in the order of the answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Identity {
    /// The row's id; clients know it as `identity_id` and the provider's as `id`.
    #[serde(rename = "identity_id")]
    pub(crate) id: Uuid,
    #[serde(rename = "id")]
    pub(crate) provider_id: String,
    pub(crate) user_id: Uuid,
    #[serde(rename = "identity_data", skip_serializing_if = "Object::is_empty")]
    pub(crate) data: Object,
    pub(crate) provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_sign_in_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) email: String,
}

impl Identity {
    /// An identity that is not in the database yet; its provider id is the claim `sub`.
    pub(crate) fn new(user_id: Uuid, provider: &str, provider_id: String, mut data: Object) -> Self {
        let email = data.get("email").and_then(|email| email.as_str()).unwrap_or_default().to_owned();
        if data.contains_key("email") {
            data.insert("email".into(), email.to_lowercase().into());
        }
        let now = Timestamp::now_stored();
        Self {
            id: Uuid::new_v4(),
            provider_id,
            user_id,
            data,
            provider: provider.to_owned(),
            last_sign_in_at: Some(Timestamp::now()),
            created_at: now,
            updated_at: now,
            email,
        }
    }

    /// The identity of a user who signed up with an address or a number of their own.
    pub(crate) fn of_contact(user_id: Uuid, provider: &str, contact: Contact<'_>) -> Self {
        Self::new(user_id, provider, user_id.to_string(), contact.claims(user_id))
    }
}

/// What an e-mail or phone identity says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Contact<'a> {
    pub(crate) email: &'a str,
    pub(crate) email_verified: bool,
    pub(crate) phone: &'a str,
    pub(crate) phone_verified: bool,
}

impl Contact<'_> {
    pub(crate) fn claims(self, user_id: Uuid) -> Object {
        let mut claims = Object::new();
        claims.insert("sub".into(), user_id.to_string().into());
        for (name, value) in [("email", self.email), ("phone", self.phone)] {
            if !value.is_empty() {
                claims.insert(name.into(), value.into());
            }
        }
        claims.insert("email_verified".into(), self.email_verified.into());
        claims.insert("phone_verified".into(), self.phone_verified.into());
        claims
    }
}

/// Identities of one linking domain may belong to one user; single sign-on is a domain of its own.
pub(crate) fn is_default_linking_domain(provider: &str, own_domains: &[String]) -> bool {
    !provider.starts_with("sso:") && !own_domains.iter().any(|own| own == provider)
}
