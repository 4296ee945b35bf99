//! Signature Version 4 as S3 uses it: the server's side (header, presigned query, POST policy, signed chunks) and the
//! client's, for stores that speak S3.
//!
//! Everything here is a pure function of the request's head, the secret and the clock. The signed path is the public one,
//! so callers name every address under which a request may have been signed; a signature that fits one of them is good,
//! because none of them gives a client anything it could not have signed in the first place.

mod authorization;
mod canonical;
mod error;
mod key;
mod payload;
mod policy;
mod sign;
mod verify;

pub use authorization::{Credential, Presented, Scope, Source};
pub use canonical::{decode_path, decode_query, encode};
pub use error::SignatureError;
pub use key::{SigningKey, hex_sha256, same};
pub use payload::Payload;
pub use policy::{FormUpload, PolicyError, verify_form};
pub use sign::{Signer, presign};
pub use verify::{Clock, Seed, SignedRequest, Verified, verify};

/// The only algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far a request's time may be from ours, in seconds.
pub const MAX_SKEW: i64 = 15 * 60;

/// The longest life of a presigned URL, in seconds: a week.
pub const MAX_EXPIRES: i64 = 7 * 24 * 60 * 60;

#[cfg(test)]
mod tests;
