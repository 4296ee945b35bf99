//! The JSON form of a key (RFC 7517).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::KeyError;

/// Keys are written by many hands: padding is accepted though the standard forbids it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The members that must never leave the process.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A JWK as it was read. Deliberately without `Debug`: most members are secret.
#[derive(Clone, Deserialize)]
pub(crate) struct Jwk {
    pub(crate) kty: String,
    #[serde(default)]
    pub(crate) kid: Option<String>,
    #[serde(default)]
    pub(crate) alg: Option<String>,
    #[serde(default, rename = "use")]
    pub(crate) usage: Option<String>,
    #[serde(default)]
    pub(crate) key_ops: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) crv: Option<String>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

impl Jwk {
    /// The decoded bytes of a base64url member that must be there.
    pub(crate) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, KeyError> {
        self.optional_bytes(name)?.ok_or(KeyError::Missing(name))
    }

    /// The decoded bytes of a base64url member.
    pub(crate) fn optional_bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, KeyError> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                BASE64URL.decode(text).map(Some).map_err(|_| KeyError::Encoding(name))
            }
            Some(_) => Err(KeyError::Encoding(name)),
        }
    }

    /// Whether `key_ops` lists an operation.
    pub(crate) fn may(&self, operation: &str) -> bool {
        self.key_ops.as_ref().is_some_and(|ops| ops.iter().any(|op| op == operation))
    }

    /// The public half, as `/.well-known/jwks.json` shows it: every member but the private ones,
    /// for verification only. Symmetric keys have none.
    pub(crate) fn public(&self, alg: &str) -> Option<Value> {
        if self.kty == "oct" {
            return None;
        }
        let mut public = self.members.clone();
        public.retain(|name, _| !PRIVATE.contains(&name.as_str()));
        public.insert("kty".into(), self.kty.clone().into());
        public.insert("alg".into(), alg.into());
        public.insert("use".into(), "sig".into());
        public.insert("key_ops".into(), vec!["verify"].into());
        if let Some(kid) = &self.kid {
            public.insert("kid".into(), kid.clone().into());
        }
        if let Some(crv) = &self.crv {
            public.insert("crv".into(), crv.clone().into());
        }
        Some(Value::Object(public))
    }
}
