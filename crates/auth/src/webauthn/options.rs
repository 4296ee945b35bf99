//! What browsers are handed: the options of `navigator.credentials.create` and `.get`, in the order
//! and with the defaults of the original's library.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;

use super::cose::ALGORITHMS;

/// How long a browser waits for its user, in milliseconds.
const TIMEOUT: u32 = 300_000;

/// Options to make a credential.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreationOptions {
    rp: Entity,
    user: Person,
    challenge: String,
    pub_key_cred_params: Vec<Parameter>,
    timeout: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exclude_credentials: Vec<Descriptor>,
    authenticator_selection: Selection,
    #[serde(skip_serializing_if = "str::is_empty")]
    attestation: &'static str,
}

/// Options to use one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestOptions {
    challenge: String,
    timeout: u32,
    rp_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow_credentials: Vec<Descriptor>,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_verification: &'static str,
}

#[derive(Debug, Serialize)]
struct Entity {
    name: String,
    id: String,
}

/// Whose credential it is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Person {
    name: String,
    display_name: String,
    id: String,
}

impl Person {
    /// `id` is the user's id as text; authenticators give it back as the user handle.
    pub(crate) fn new(name: &str, display_name: &str, id: &str) -> Self {
        Self { name: name.into(), display_name: display_name.into(), id: BASE64_URL_SAFE_NO_PAD.encode(id) }
    }
}

#[derive(Debug, Serialize)]
struct Parameter {
    r#type: &'static str,
    alg: i64,
}

/// One credential among those that may or must not be used.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Descriptor {
    r#type: &'static str,
    id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transports: Vec<String>,
}

impl Descriptor {
    pub(crate) fn new(id: &[u8], transports: Vec<String>) -> Self {
        Self { r#type: "public-key", id: BASE64_URL_SAFE_NO_PAD.encode(id), transports }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    #[serde(skip_serializing_if = "str::is_empty")]
    resident_key: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_verification: &'static str,
}

impl CreationOptions {
    pub(super) fn new(rp_id: &str, rp_name: &str, user: Person, challenge: &str) -> Self {
        Self {
            rp: Entity { name: rp_name.to_owned(), id: rp_id.to_owned() },
            user,
            challenge: challenge.to_owned(),
            pub_key_cred_params: ALGORITHMS
                .iter()
                .map(|alg| Parameter { r#type: "public-key", alg: *alg })
                .collect(),
            timeout: TIMEOUT,
            exclude_credentials: Vec::new(),
            authenticator_selection: Selection::default(),
            attestation: "",
        }
    }

    pub(super) fn excluding(mut self, credentials: Vec<Descriptor>) -> Self {
        self.exclude_credentials = credentials;
        self
    }

    /// Asks for a credential that can be found without knowing the user: a passkey.
    pub(super) fn discoverable(mut self) -> Self {
        self.authenticator_selection = Selection { resident_key: "required", user_verification: "preferred" };
        self.attestation = "none";
        self
    }
}

impl RequestOptions {
    pub(super) fn new(rp_id: &str, challenge: &str, allowed: Vec<Descriptor>) -> Self {
        Self {
            challenge: challenge.to_owned(),
            timeout: TIMEOUT,
            rp_id: rp_id.to_owned(),
            allow_credentials: allowed,
            user_verification: "",
        }
    }

    pub(super) fn preferring_verification(mut self) -> Self {
        self.user_verification = "preferred";
        self
    }
}
