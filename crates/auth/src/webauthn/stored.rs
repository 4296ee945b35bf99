//! What is kept between and after ceremonies, in the JSON that the original's library writes: bytes
//! are standard base64, so that either server goes on where the other stopped.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rand::RngExt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes as Go writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        BASE64_STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A ceremony that began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionData {
    /// Base64url, as it was handed out.
    pub(crate) challenge: String,
    #[serde(rename = "rpId", default)]
    pub(crate) rp_id: String,
    #[serde(default)]
    pub(crate) user_id: Bytes,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed_credentials: Vec<Bytes>,
    #[serde(default = "never")]
    expires: String,
    #[serde(rename = "userVerification", default)]
    pub(crate) user_verification: String,
}

/// Go's zero time: the challenge's own row says when it ends.
fn never() -> String {
    "0001-01-01T00:00:00Z".into()
}

impl SessionData {
    pub(super) fn new(rp_id: &str, user_id: &str, allowed: Vec<Vec<u8>>, user_verification: &str) -> Self {
        let challenge: [u8; 32] = rand::rng().random();
        Self {
            challenge: BASE64_URL_SAFE_NO_PAD.encode(challenge),
            rp_id: rp_id.to_owned(),
            user_id: Bytes(user_id.as_bytes().to_vec()),
            allowed_credentials: allowed.into_iter().map(Bytes).collect(),
            expires: never(),
            user_verification: user_verification.to_owned(),
        }
    }
}

/// A credential.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Credential {
    pub(crate) id: Bytes,
    pub(crate) public_key: Bytes,
    pub(crate) attestation_type: String,
    pub(crate) transport: Option<Vec<String>>,
    pub(crate) flags: Flags,
    pub(crate) authenticator: Authenticator,
    pub(crate) attestation: Attestation,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Flags {
    pub(crate) user_present: bool,
    pub(crate) user_verified: bool,
    pub(crate) backup_eligible: bool,
    pub(crate) backup_state: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Authenticator {
    #[serde(rename = "AAGUID")]
    pub(crate) aaguid: Bytes,
    pub(crate) sign_count: u32,
    pub(crate) clone_warning: bool,
    pub(crate) attachment: String,
}

/// What was said at registration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Attestation {
    #[serde(rename = "clientDataJSON")]
    pub(crate) client_data_json: Bytes,
    pub(crate) client_data_hash: Bytes,
    pub(crate) authenticator_data: Bytes,
    pub(crate) public_key_algorithm: i64,
    pub(crate) object: Bytes,
}

impl Credential {
    pub(crate) fn aaguid(&self) -> Option<uuid::Uuid> {
        uuid::Uuid::from_slice(&self.authenticator.aaguid.0).ok()
    }

    pub(crate) fn transports(&self) -> Vec<String> {
        self.transport.clone().unwrap_or_default()
    }
}
