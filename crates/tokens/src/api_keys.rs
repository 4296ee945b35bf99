//! The keys that clients present at the front door.

use std::fmt;

use serde::Serialize;
use subtle::{Choice, ConstantTimeEq};

use crate::{KeySet, SignError};

/// What a presented key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiKeyRole {
    /// The public key of a client application.
    Anon,
    /// The key of a trusted back end.
    ServiceRole,
}

impl ApiKeyRole {
    /// The database role of that name.
    pub fn as_str(self) -> &'static str {
        match self {
            ApiKeyRole::Anon => "anon",
            ApiKeyRole::ServiceRole => "service_role",
        }
    }
}

/// The configured API keys: two tokens and their opaque counterparts.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeys {
    /// A token of role `anon`.
    pub anon_jwt: Box<str>,
    /// A token of role `service_role`.
    pub service_role_jwt: Box<str>,
    /// `sb_publishable_…`, stands for `anon`. Empty: not configured.
    pub publishable: Box<str>,
    /// `sb_secret_…`, stands for `service_role`. Empty: not configured.
    pub secret: Box<str>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeys { .. }")
    }
}

/// The payload of an API key that is a token, in the published order of its members.
#[derive(Serialize)]
struct ApiKeyClaims<'a> {
    iss: &'a str,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    exp: u64,
}

impl ApiKeys {
    /// Which configured key this is. Takes the same time for every wrong key of one length.
    pub fn role_of(&self, presented: &str) -> Option<ApiKeyRole> {
        let is =
            |key: &str| Choice::from(u8::from(!key.is_empty())) & key.as_bytes().ct_eq(presented.as_bytes());
        let service = is(&self.service_role_jwt) | is(&self.secret);
        let anon = is(&self.anon_jwt) | is(&self.publishable);
        if service.into() {
            Some(ApiKeyRole::ServiceRole)
        } else if anon.into() {
            Some(ApiKeyRole::Anon)
        } else {
            None
        }
    }

    /// The token that stands for an opaque key (`sb_…`); none for anything else.
    pub fn jwt_for_opaque(&self, presented: &str) -> Option<&str> {
        if !presented.starts_with("sb_") {
            return None;
        }
        self.role_of(presented).map(|role| self.jwt(role))
    }

    /// The token of a role.
    pub fn jwt(&self, role: ApiKeyRole) -> &str {
        match role {
            ApiKeyRole::Anon => &self.anon_jwt,
            ApiKeyRole::ServiceRole => &self.service_role_jwt,
        }
    }
}

/// Signs an API key with the set's shared secret or signing key.
pub(crate) fn sign_api_key(
    keys: &KeySet,
    issuer: &str,
    role: ApiKeyRole,
    issued_at: Option<u64>,
    expires_at: u64,
) -> Result<String, SignError> {
    let claims = ApiKeyClaims { iss: issuer, role: role.as_str(), iat: issued_at, exp: expires_at };
    keys.sign_payload(&serde_json::to_vec(&claims)?).ok_or(SignError::NoKey)
}
