//! JSON web tokens and API keys.
//!
//! A [`KeySet`] holds the keys of an installation: the shared secret, JSON web keys, or both. A
//! [`KeyRing`] is the handle that services share: it verifies with a cache, signs, publishes the
//! public halves, and swaps the whole set at run time. [`ApiKeys`] are what clients send to the
//! front door.
//!
//! The crate knows signatures, key selection and the registered time and audience claims. What a
//! role or a user is, is the caller's business. Framing a compact JWS is three base64url segments,
//! so it is done here on `aws-lc-rs` directly: the callers need the payload bytes exactly as they
//! were signed, ES512, private JSON web keys, and errors finer than a JWT library tells.

mod algorithm;
mod api_keys;
mod compact;
pub mod development;
pub mod generate;
mod issuers;
mod jwk;
mod key;
mod keyset;
mod ring;
#[cfg(test)]
mod tests;
mod verified;

pub use algorithm::Algorithm;
pub use api_keys::{ApiKeyRole, ApiKeys};
pub use issuers::Issuer;
pub use key::{Key, KeyError};
pub use keyset::{KeySet, UnknownKid};
pub use ring::{KeyRing, SignError};
pub use verified::{Audience, ClaimError, Part, Policy, TimeClaim, Verified, VerifyError};
