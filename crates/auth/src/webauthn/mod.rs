//! Security keys and passkeys: what a relying party does by W3C's Web Authentication, on one crypto
//! library and with the stored forms of the original, whose databases ours are.
//!
//! Attestation is not asked for and not trusted: a self-signed statement is checked, any other is kept
//! beside the credential and decides nothing.

mod authenticator;
mod cbor;
mod ceremony;
mod cose;
mod options;
mod stored;

pub(crate) use ceremony::{AssertionResponse, CreationResponse, RelyingParty, WebAuthnError};
pub(crate) use options::{CreationOptions, Descriptor, Person, RequestOptions};
pub(crate) use stored::{Credential, SessionData};

/// Reads bytes as everything that comes from authenticators and browsers.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_anything(bytes: &[u8]) {
    let _ = cbor::Cbor::read(bytes);
    let _ = authenticator::AuthenticatorData::parse(bytes);
    if let Ok(response) = serde_json::from_slice(bytes) {
        let _ = CreationResponse::parse(&response);
        let _ = AssertionResponse::parse(&response);
    }
}
