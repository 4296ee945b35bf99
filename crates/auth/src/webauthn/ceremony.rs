//! The two ceremonies: making a credential and using one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::authenticator::{AttestationObject, AuthenticatorData};
use super::cose::{ALGORITHMS, CoseKey};
use super::options::{CreationOptions, Descriptor, Person, RequestOptions};
use super::stored::{Attestation, Authenticator, Bytes, Credential, Flags, SessionData};
use crate::http::GoUrl;

/// Why a ceremony failed. It is logged; callers learn only that it did.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WebAuthnError(pub(crate) &'static str);

type Result<T> = std::result::Result<T, WebAuthnError>;

/// Whom credentials are for.
#[derive(Clone, Debug)]
pub(crate) struct RelyingParty {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) origins: Vec<String>,
}

/// Bytes of a browser's answer: base64url, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

fn decoded<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    decode(&text).ok_or_else(|| serde::de::Error::custom("not base64url"))
}

fn decoded_if_there<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    decode(&text).ok_or_else(|| serde::de::Error::custom("not base64url"))
}

/// What `create` gave the browser.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreationResponse {
    #[serde(deserialize_with = "decoded")]
    raw_id: Vec<u8>,
    r#type: String,
    #[serde(default)]
    authenticator_attachment: Option<String>,
    response: Created,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    #[serde(rename = "clientDataJSON", deserialize_with = "decoded")]
    client_data: Vec<u8>,
    #[serde(deserialize_with = "decoded")]
    attestation_object: Vec<u8>,
    #[serde(default)]
    transports: Option<Vec<String>>,
}

/// What `get` gave the browser.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssertionResponse {
    #[serde(deserialize_with = "decoded")]
    raw_id: Vec<u8>,
    r#type: String,
    response: Asserted,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asserted {
    #[serde(rename = "clientDataJSON", deserialize_with = "decoded")]
    client_data: Vec<u8>,
    #[serde(deserialize_with = "decoded")]
    authenticator_data: Vec<u8>,
    #[serde(deserialize_with = "decoded")]
    signature: Vec<u8>,
    #[serde(default, deserialize_with = "decoded_if_there")]
    user_handle: Vec<u8>,
}

impl CreationResponse {
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok().filter(|response| response.r#type == "public-key")
    }
}

impl AssertionResponse {
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        Self::deserialize(value).ok().filter(|response| response.r#type == "public-key")
    }

    /// The user the authenticator names; empty when it names none.
    pub(crate) fn user_handle(&self) -> &[u8] {
        &self.response.user_handle
    }

    pub(crate) fn credential_id(&self) -> &[u8] {
        &self.raw_id
    }
}

#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
}

impl RelyingParty {
    /// A party as a request or the configuration names it; the text says what is wrong with it.
    pub(crate) fn new(id: &str, name: &str, origins: &[String]) -> std::result::Result<Self, String> {
        if id.is_empty() {
            return Err("webAuthn RP ID cannot be empty".into());
        }
        if origins.is_empty() {
            return Err("webAuthn RP Origins cannot be empty".into());
        }
        let invalid: Vec<&str> =
            origins.iter().map(String::as_str).filter(|origin| !is_secure_origin(origin)).collect();
        if !invalid.is_empty() {
            return Err(format!("invalid RP origins: {}", invalid.join(", ")));
        }
        Ok(Self { id: id.to_owned(), name: name.to_owned(), origins: origins.to_vec() })
    }

    /// Begins to make a credential for a user.
    pub(crate) fn begin_creation(
        &self,
        user: Person,
        user_id: &str,
        existing: Vec<Descriptor>,
    ) -> (CreationOptions, SessionData) {
        let session = SessionData::new(&self.id, user_id, Vec::new(), "");
        let options = CreationOptions::new(&self.id, &self.name, user, &session.challenge);
        (options.excluding(existing), session)
    }

    /// Begins to make a credential that finds its user by itself.
    pub(crate) fn begin_passkey(
        &self,
        user: Person,
        user_id: &str,
        existing: Vec<Descriptor>,
    ) -> (CreationOptions, SessionData) {
        let session = SessionData::new(&self.id, user_id, Vec::new(), "preferred");
        let options = CreationOptions::new(&self.id, &self.name, user, &session.challenge);
        (options.excluding(existing).discoverable(), session)
    }

    /// Begins the use of one of a user's credentials.
    pub(crate) fn begin_use(
        &self,
        user_id: &str,
        credentials: &[Credential],
    ) -> (RequestOptions, SessionData) {
        let ids = credentials.iter().map(|credential| credential.id.0.clone()).collect();
        let session = SessionData::new(&self.id, user_id, ids, "");
        let allowed = credentials
            .iter()
            .map(|credential| Descriptor::new(&credential.id.0, credential.transports()))
            .collect();
        (RequestOptions::new(&self.id, &session.challenge, allowed), session)
    }

    /// Begins the use of a passkey of whomever.
    pub(crate) fn begin_sign_in(&self) -> (RequestOptions, SessionData) {
        let session = SessionData::new(&self.id, "", Vec::new(), "preferred");
        let options = RequestOptions::new(&self.id, &session.challenge, Vec::new());
        (options.preferring_verification(), session)
    }

    /// Checks a new credential (WebAuthn, section 7.1).
    pub(crate) fn finish_creation(
        &self,
        session: &SessionData,
        user_id: &str,
        response: &CreationResponse,
    ) -> Result<Credential> {
        belongs_to(session, user_id)?;
        let client_data = &response.response.client_data;
        self.check_client_data(client_data, "webauthn.create", session)?;
        let object = AttestationObject::parse(&response.response.attestation_object)
            .ok_or(WebAuthnError("the attestation object is malformed"))?;
        let data = AuthenticatorData::parse(&object.authenticator_data)
            .ok_or(WebAuthnError("the authenticator data is malformed"))?;
        self.check_data(&data, session)?;
        let made = data.credential.as_ref().ok_or(WebAuthnError("there is no credential"))?;
        if made.id != response.raw_id || made.id.len() > 1023 {
            return Err(WebAuthnError("the credential has another id than the answer"));
        }
        let key = CoseKey::parse(&made.public_key)
            .filter(|key| ALGORITHMS.contains(&key.algorithm))
            .ok_or(WebAuthnError("the public key is malformed or of another kind than asked for"))?;
        let client_data_hash = Sha256::digest(client_data).to_vec();
        check_self_attestation(&object, &key, &client_data_hash)?;
        Ok(Credential {
            id: Bytes(made.id.clone()),
            public_key: Bytes(made.public_key.clone()),
            attestation_type: object.format,
            transport: response.response.transports.clone(),
            flags: flags(&data),
            authenticator: Authenticator {
                aaguid: Bytes(made.aaguid.to_vec()),
                sign_count: data.sign_count,
                clone_warning: false,
                attachment: response.authenticator_attachment.clone().unwrap_or_default(),
            },
            attestation: Attestation {
                client_data_json: Bytes(client_data.clone()),
                client_data_hash: Bytes(client_data_hash),
                authenticator_data: Bytes(object.authenticator_data),
                public_key_algorithm: key.algorithm,
                object: Bytes(response.response.attestation_object.clone()),
            },
        })
    }

    /// Checks the use of one of these credentials (WebAuthn, section 7.2); returns it as it is now.
    pub(crate) fn finish_use(
        &self,
        session: &SessionData,
        user_id: &str,
        credentials: &[Credential],
        response: &AssertionResponse,
    ) -> Result<Credential> {
        // A challenge that named nobody is a passkey's: then the answer has to.
        if !session.user_id.0.is_empty() {
            belongs_to(session, user_id)?;
        } else if response.user_handle().is_empty() {
            return Err(WebAuthnError("the answer names no user"));
        }
        if !response.user_handle().is_empty() && response.user_handle() != user_id.as_bytes() {
            return Err(WebAuthnError("the answer names another user"));
        }
        let allowed = &session.allowed_credentials;
        if !allowed.is_empty() && !allowed.iter().any(|id| id.0 == response.raw_id) {
            return Err(WebAuthnError("the credential was not asked for"));
        }
        let mut credential = credentials
            .iter()
            .find(|credential| credential.id.0 == response.raw_id)
            .cloned()
            .ok_or(WebAuthnError("the user has no such credential"))?;
        let answer = &response.response;
        self.check_client_data(&answer.client_data, "webauthn.get", session)?;
        let data = AuthenticatorData::parse(&answer.authenticator_data)
            .ok_or(WebAuthnError("the authenticator data is malformed"))?;
        self.check_data(&data, session)?;
        if data.is_backup_eligible() != credential.flags.backup_eligible {
            return Err(WebAuthnError("the credential's eligibility for backup has changed"));
        }
        let key = CoseKey::parse(&credential.public_key.0)
            .ok_or(WebAuthnError("the stored public key is malformed"))?;
        let signed =
            [answer.authenticator_data.as_slice(), Sha256::digest(&answer.client_data).as_slice()].concat();
        if !key.verifies(&signed, &answer.signature) {
            return Err(WebAuthnError("the signature is not the credential's"));
        }
        // A counter that does not grow may mean a copied key. As in the original it is remembered, not refused:
        // synchronised passkeys do not count.
        let before = credential.authenticator.sign_count;
        if data.sign_count <= before && (data.sign_count != 0 || before != 0) {
            credential.authenticator.clone_warning = true;
            tracing::warn!(
                before,
                now = data.sign_count,
                "a security key's counter did not grow: it may have been copied"
            );
        } else {
            credential.authenticator.sign_count = data.sign_count;
        }
        credential.flags = flags(&data);
        Ok(credential)
    }

    fn check_client_data(&self, bytes: &[u8], kind: &str, session: &SessionData) -> Result<()> {
        let data: ClientData =
            serde_json::from_slice(bytes).map_err(|_| WebAuthnError("the client data is malformed"))?;
        if data.r#type != kind {
            return Err(WebAuthnError("the client data is of another ceremony"));
        }
        let challenge = data.challenge.trim_end_matches('=');
        if !bool::from(challenge.as_bytes().ct_eq(session.challenge.as_bytes())) {
            return Err(WebAuthnError("the challenge is another"));
        }
        let origin = origin_of(&data.origin);
        if !self.origins.iter().any(|known| origin_of(known) == origin) {
            return Err(WebAuthnError("the origin is not one of the relying party's"));
        }
        Ok(())
    }

    fn check_data(&self, data: &AuthenticatorData, session: &SessionData) -> Result<()> {
        let rp_id = if session.rp_id.is_empty() { &self.id } else { &session.rp_id };
        if *rp_id != self.id || data.rp_id_hash[..] != Sha256::digest(rp_id.as_bytes())[..] {
            return Err(WebAuthnError("the authenticator answered for another relying party"));
        }
        if !data.is_present() {
            return Err(WebAuthnError("no user was present"));
        }
        if session.user_verification == "required" && !data.is_verified() {
            return Err(WebAuthnError("the user was not verified"));
        }
        if data.is_backed_up() && !data.is_backup_eligible() {
            return Err(WebAuthnError("the flags contradict each other"));
        }
        Ok(())
    }
}

fn flags(data: &AuthenticatorData) -> Flags {
    Flags {
        user_present: data.is_present(),
        user_verified: data.is_verified(),
        backup_eligible: data.is_backup_eligible(),
        backup_state: data.is_backed_up(),
    }
}

fn belongs_to(session: &SessionData, user_id: &str) -> Result<()> {
    if session.user_id.0 == user_id.as_bytes() {
        return Ok(());
    }
    Err(WebAuthnError("the challenge was made for another user"))
}

/// `packed` without certificates is signed with the credential's own key.
fn check_self_attestation(object: &AttestationObject, key: &CoseKey, client_data_hash: &[u8]) -> Result<()> {
    if object.format != "packed" || object.statement.member("x5c").is_some() {
        return Ok(());
    }
    let algorithm = object.statement.member("alg").and_then(super::cbor::Cbor::as_int);
    let signed = [object.authenticator_data.as_slice(), client_data_hash].concat();
    let signature = object.statement.member("sig").and_then(super::cbor::Cbor::as_bytes).unwrap_or_default();
    if algorithm == Some(i128::from(key.algorithm)) && key.verifies(&signed, signature) {
        return Ok(());
    }
    Err(WebAuthnError("the attestation is not signed by the credential"))
}

/// `https`, or `http` on this machine.
fn is_secure_origin(origin: &str) -> bool {
    let Some(url) = GoUrl::parse(origin) else { return false };
    let host = url.hostname();
    !host.is_empty() && (url.scheme() == "https" || (url.scheme() == "http" && host == "localhost"))
}

/// Scheme, host and port in lower case.
fn origin_of(url: &str) -> String {
    let url = url.to_ascii_lowercase();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
        }
        None => url,
    }
}
