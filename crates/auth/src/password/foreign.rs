//! Password hashes that were made elsewhere: argon2 and Firebase's scrypt.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use subtle::ConstantTimeEq as _;

/// Most memory that one hash may ask for, in KiB: whoever can import a hash must not be able to exhaust the server.
const MAX_MEMORY: u64 = 1024 * 1024;
/// Firebase encrypts with AES-256.
const FIREBASE_KEY: usize = 32;

/// A parsed hash.
pub(super) enum Foreign {
    Argon2(Argon2Hash),
    Firebase(FirebaseHash),
}

pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

pub(super) struct FirebaseHash {
    params: scrypt::Params,
    /// With the separator behind it.
    salt: Vec<u8>,
    signer_key: Vec<u8>,
    hash: Vec<u8>,
}

impl Foreign {
    /// Reads a hash of a foreign kind; none if it does not claim to be one.
    pub(super) fn parse(hash: &str) -> Option<Result<Self, String>> {
        if hash.starts_with("$argon2") {
            Some(Argon2Hash::parse(hash).map(Self::Argon2))
        } else if hash.starts_with("$fbscrypt") {
            Some(FirebaseHash::parse(hash).map(Self::Firebase))
        } else {
            None
        }
    }

    pub(super) fn verify(&self, password: &str) -> Result<bool, String> {
        match self {
            Self::Argon2(hash) => hash.verify(password),
            Self::Firebase(hash) => hash.verify(password),
        }
    }
}

/// `name=number`, as a number.
fn parameter(text: &str, name: &str, kind: &str) -> Result<u64, String> {
    let value = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    let value = value.ok_or_else(|| format!("crypto: incorrect {kind} hash format"))?;
    value.parse().map_err(|_| format!("crypto: {kind} hash has invalid {name} parameter {value:?}"))
}

impl Argon2Hash {
    /// `$argon2id$v=19$m=65536,t=3,p=4$<salt>$<hash>`
    fn parse(hash: &str) -> Result<Self, String> {
        let wrong = || "crypto: incorrect argon2 hash format".to_owned();
        let mut parts = hash.split('$').skip(1);
        let mut next = || parts.next().ok_or_else(wrong);
        let (name, version, parameters, salt, key) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(wrong());
        }
        let algorithm = match name {
            "argon2i" => Algorithm::Argon2i,
            "argon2id" => Algorithm::Argon2id,
            "argon2d" => {
                return Err("crypto: argon2 hash uses unsupported algorithm \"argon2d\" only argon2i and argon2id supported".into());
            }
            _ => return Err(wrong()),
        };
        match version {
            "v=19" => {}
            "v=16" => {
                return Err("crypto: argon2 hash uses unsupported version \"16\" only 19 is supported".into());
            }
            _ => return Err(wrong()),
        }
        let mut parameters = parameters.split(',');
        let mut number = |name| parameter(parameters.next().unwrap_or_default(), name, "argon2");
        let (memory, time, lanes) = (number("m")?, number("t")?, number("p")?);
        if let Some(other) = parameters.next() {
            let name = other.split('=').next().unwrap_or_default();
            return Err(format!("crypto: argon2 hashes with the {name} parameter not supported"));
        }
        if memory > MAX_MEMORY {
            return Err(format!("crypto: argon2 hash asks for more than {MAX_MEMORY} KiB"));
        }
        let decode = |text: &str, what: &str| match BASE64_STANDARD_NO_PAD.decode(text) {
            Ok(bytes) if bytes.is_empty() => Err(format!("crypto: argon2 {what} is empty")),
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                Err(format!("crypto: argon2 hash has invalid base64 in the {what} section {error}"))
            }
        };
        let (hash, salt) = (decode(key, "hash")?, decode(salt, "salt")?);
        let narrow = |value: u64| u32::try_from(value).map_err(|_| wrong());
        let params = Params::new(narrow(memory)?, narrow(time)?, narrow(lanes)?, Some(hash.len()))
            .map_err(|error| format!("crypto: argon2 hash has invalid parameters: {error}"))?;
        Ok(Self { algorithm, params, salt, hash })
    }

    fn verify(&self, password: &str) -> Result<bool, String> {
        let mut derived = vec![0; self.hash.len()];
        Argon2::new(self.algorithm, Version::V0x13, self.params.clone())
            .hash_password_into(password.as_bytes(), &self.salt, &mut derived)
            .map_err(|error| format!("crypto: argon2: {error}"))?;
        Ok(derived.ct_eq(&self.hash).into())
    }
}

impl FirebaseHash {
    /// `$fbscrypt$v=1,n=14,r=8,p=1,ss=<separator>,sk=<signer key>$<salt>$<hash>`
    fn parse(hash: &str) -> Result<Self, String> {
        let wrong = || "crypto: incorrect scrypt hash format".to_owned();
        let mut parts = hash.split('$').skip(2);
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(wrong);
        let (parameters, salt, hash) = (next()?, next()?, next()?);
        let mut parameters = parameters.split(',');
        let mut number = |name| parameter(parameters.next().unwrap_or_default(), name, "Firebase scrypt");
        let version = number("v")?;
        if version != 1 {
            return Err(format!(
                "crypto: Firebase scrypt hash uses unsupported version \"{version}\" only version 1 is supported"
            ));
        }
        let (power, rounds, threads) = (number("n")?, number("r")?, number("p")?);
        let (mut separator, mut signer_key) = ("", "");
        for parameter in parameters {
            match parameter.split_once('=') {
                Some(("ss", value)) => separator = value,
                Some(("sk", value)) => signer_key = value,
                _ => return Err(wrong()),
            }
        }
        let memory = 1_u64.checked_shl(u32::try_from(power).map_err(|_| wrong())?).ok_or_else(wrong)?;
        if memory.saturating_mul(rounds).saturating_mul(128) > MAX_MEMORY * 1024 {
            return Err(format!("crypto: Firebase scrypt hash asks for more than {MAX_MEMORY} KiB"));
        }
        let narrow = |value: u64| u32::try_from(value).map_err(|_| wrong());
        let log_n = u8::try_from(power).map_err(|_| wrong())?;
        let params = scrypt::Params::new(log_n, narrow(rounds)?, narrow(threads)?)
            .map_err(|error| format!("crypto: Firebase scrypt hash has invalid parameters: {error}"))?;
        let decode = |text: &str| {
            BASE64_STANDARD
                .decode(text)
                .map_err(|error| format!("crypto: Firebase scrypt hash has invalid base64 {error}"))
        };
        let mut salt = decode(salt)?;
        salt.extend(decode(separator)?);
        let (signer_key, hash) = (decode(signer_key)?, decode(hash)?);
        if signer_key.is_empty() || hash.is_empty() {
            return Err(wrong());
        }
        Ok(Self { params, salt, signer_key, hash })
    }

    fn verify(&self, password: &str) -> Result<bool, String> {
        let failed = |error: &dyn std::fmt::Display| format!("crypto: Firebase scrypt: {error}");
        let mut key = [0; FIREBASE_KEY];
        scrypt::scrypt(password.as_bytes(), &self.salt, &self.params, &mut key)
            .map_err(|error| failed(&error))?;
        let key = UnboundCipherKey::new(&AES_256, &key).map_err(|error| failed(&error))?;
        let key = EncryptingKey::ctr(key).map_err(|error| failed(&error))?;
        let mut derived = self.signer_key.clone();
        // Firebase has no nonce: the signer key is the same text for everybody, and the key differs.
        let start = EncryptionContext::Iv128([0; 16].into());
        key.less_safe_encrypt(&mut derived, start).map_err(|error| failed(&error))?;
        Ok(derived.ct_eq(&self.hash).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fits(hash: &str, password: &str) -> Result<bool, String> {
        Foreign::parse(hash).unwrap()?.verify(password)
    }

    #[test]
    fn argon2_hashes_verify() {
        // Vectors of the reference implementation.
        for hash in [
            "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert_eq!(fits(hash, "password"), Ok(true), "{hash}");
            assert_eq!(fits(hash, "passwort"), Ok(false), "{hash}");
        }
    }

    #[test]
    fn firebase_hashes_verify() {
        // The example of Firebase's own scrypt repository.
        let hash = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
        assert_eq!(fits(hash, "user1password"), Ok(true));
        assert_eq!(fits(hash, "user2password"), Ok(false));
    }

    #[test]
    fn what_cannot_be_verified_is_refused() {
        for (hash, reason) in [
            ("$argon2d$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$aGFzaA", "unsupported algorithm"),
            ("$argon2i$v=16$m=16,t=2,p=1$c2FsdHNhbHQ$aGFzaA", "unsupported version"),
            ("$argon2i$v=19$m=16,t=2,p=1,keyid=x$c2FsdHNhbHQ$aGFzaA", "keyid parameter not supported"),
            ("$argon2i$v=19$m=16,t=2,p=1$$aGFzaA", "salt is empty"),
            ("$argon2i$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHQ$aGFzaA", "asks for more"),
            ("$argon2", "incorrect argon2 hash format"),
            ("$fbscrypt$v=2,n=14,r=8,p=1$c2FsdA==$aGFzaA==", "unsupported version"),
            ("$fbscrypt$v=1,n=60,r=8,p=1,ss=Bw==,sk=Bw==$c2FsdA==$aGFzaA==", "asks for more"),
            ("$fbscrypt$v=1,n=14", "incorrect scrypt hash format"),
        ] {
            let refused = Foreign::parse(hash).unwrap().err().unwrap();
            assert!(refused.contains(reason), "{hash}: {refused}");
        }
        assert!(Foreign::parse("$2a$10$x").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\$(argon2id?|fbscrypt)[$=,a-z0-9+/]{0,60}") {
            let _ = Foreign::parse(&text);
        }
    }
}
