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
