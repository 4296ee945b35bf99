//! SCRAM verifiers, made and checked here so that no password reaches the server or its log.

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::num::NonZeroU32;

/// What PostgreSQL uses itself.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");
/// More than this is not one of PostgreSQL's verifiers, and would only burn time.
const MAX_ITERATIONS: u32 = 1_000_000;

/// A verifier for `password` with a fresh salt, as `pg_authid.rolpassword` has it.
pub(crate) fn verifier(password: &str) -> Result<String, &'static str> {
    if password.is_empty() {
        return Err("it is empty");
    }
    let mut salt = [0_u8; 16];
    rand::fill(&mut salt).map_err(|_| "the system gives no random numbers")?;
    let keys = Keys::derive(password, &salt, ITERATIONS);
    Ok(format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        BASE64_STANDARD.encode(salt),
        BASE64_STANDARD.encode(keys.stored),
        BASE64_STANDARD.encode(keys.server),
    ))
}

/// Whether `stored`, from `pg_authid`, is a SCRAM verifier for `password`. An md5 hash is not.
pub(crate) fn matches(stored: &str, password: &str) -> bool {
    let Some((iterations, salt, stored_key)) = parse(stored) else { return false };
    let keys = Keys::derive(password, &salt, iterations);
    constant_time::verify_slices_are_equal(&keys.stored, &stored_key).is_ok()
}

fn parse(verifier: &str) -> Option<(NonZeroU32, Vec<u8>, Vec<u8>)> {
    let (head, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored_key, _server_key) = keys.split_once(':')?;
    let iterations = iterations.parse().ok().filter(|count| *count <= MAX_ITERATIONS)?;
    Some((
        NonZeroU32::new(iterations)?,
        BASE64_STANDARD.decode(salt).ok()?,
        BASE64_STANDARD.decode(stored_key).ok()?,
    ))
}

/// RFC 5802's StoredKey and ServerKey.
struct Keys {
    stored: [u8; 32],
    server: [u8; 32],
}

impl Keys {
    fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        // A password that cannot be normalised is used as it is, by PostgreSQL and by libpq.
        let normalised = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = [0_u8; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, normalised.as_bytes(), &mut salted);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client = hmac::sign(&key, b"Client Key");
        let server = hmac::sign(&key, b"Server Key");
        let stored = digest::digest(&digest::SHA256, client.as_ref());
        Self { stored: bytes(stored.as_ref()), server: bytes(server.as_ref()) }
    }
}

fn bytes(digest: &[u8]) -> [u8; 32] {
    digest.try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    // Made by PostgreSQL 15: `set password_encryption = 'scram-sha-256'; create role r password 'pencil'`.
    const FROM_POSTGRES: &str = "SCRAM-SHA-256$4096:EeniGz6goRNfxCHsYM8a9Q==$tyQphMuTOViN4p6xbAYFSxtas3BDsfVHStPq6OgYdY4=:cE06NysNgcp9inLft8i67l0Crblsn023DMy8qUdrBh8=";

    #[test]
    fn a_verifier_matches_its_password_only() {
        let verifier = verifier("pencil").unwrap();
        assert!(matches(&verifier, "pencil"));
        assert!(!matches(&verifier, "pencils"));
    }

    #[test]
    fn a_verifier_made_by_postgresql_is_understood() {
        assert!(matches(FROM_POSTGRES, "pencil"));
        assert!(!matches(FROM_POSTGRES, "Pencil"));
    }

    #[test]
    fn other_hashes_never_match() {
        for stored in [
            "",
            "md5d41d8cd98f00b204e9800998ecf8427e",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
            "SCRAM-SHA-256$99999999999:AAAA$AAAA:AAAA",
            "SCRAM-SHA-256$4096:!$AAAA:AAAA",
            "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
        ] {
            assert!(!matches(stored, ""), "{stored}");
        }
    }

    #[test]
    fn an_empty_password_is_refused() {
        assert_eq!(verifier(""), Err("it is empty"));
    }

    #[test]
    fn a_password_beyond_ascii_is_normalised_like_the_servers() {
        // U+00AA becomes `a` under SASLprep's NFKC
        assert!(matches(&verifier("\u{aa}").unwrap(), "a"));
    }
}
