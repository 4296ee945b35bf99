//! Columns that only this service can read: hashes of passwords, secrets of authenticator apps, codes on their way.
//!
//! A value is JSON `{"key_id", "alg": "aes-gcm-hkdf", "data", "nonce"}`, as GoTrue writes it: AES-256-GCM under a key that
//! HKDF-SHA256 derives from the named one for the row's id, so that a value cannot be moved to another row. What was written
//! before there were keys is read as it is, and written anew when it is next used.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Secret;
use crate::error::{Cause, Error};
use crate::json;

const ALGORITHM: &str = "aes-gcm-hkdf";

/// The keys of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Encryption {
    /// The id of the key that new values are written with; without one they are written as they are.
    pub write_with: Option<String>,
    /// Keys by id: 32 bytes each, in unpadded base64url.
    pub keys: BTreeMap<String, Secret>,
}

/// A value that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) text: String,
    /// Whether it should be written anew: with a newer key, or with one at all.
    pub(crate) is_outdated: bool,
}

/// Why a value cannot be read or written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum EncryptionError {
    #[error("crypto: decryption key with name {0:?} does not exist")]
    NoKey(String),
    #[error("crypto: key with ID {0:?} is not 256 bits")]
    BadKey(String),
    #[error("crypto: the value was not encrypted with this key for this row")]
    Refused,
}

impl From<EncryptionError> for Error {
    fn from(error: EncryptionError) -> Self {
        Self::Unexpected(Cause::Other(error.into()))
    }
}

/// A value as it is stored.
#[derive(Serialize, Deserialize)]
struct Sealed {
    key_id: String,
    alg: String,
    data: String,
    #[serde(default)]
    nonce: String,
}

impl Encryption {
    /// A value as the row with an id keeps it.
    pub(crate) fn seal(&self, id: Uuid, text: &str) -> Result<String, EncryptionError> {
        let Some(key_id) = &self.write_with else { return Ok(text.to_owned()) };
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut data = text.as_bytes().to_vec();
        self.key(key_id, id)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut data)
            .map_err(|_| EncryptionError::Refused)?;
        Ok(json::to_string(&Sealed {
            key_id: key_id.clone(),
            alg: ALGORITHM.to_owned(),
            data: BASE64_STANDARD.encode(data),
            nonce: BASE64_STANDARD.encode(nonce),
        }))
    }

    /// What the row with an id keeps.
    pub(crate) fn open(&self, id: Uuid, stored: &str) -> Result<Opened, EncryptionError> {
        let Some(sealed) = Sealed::parse(stored) else {
            return Ok(Opened { text: stored.to_owned(), is_outdated: self.write_with.is_some() });
        };
        let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| EncryptionError::Refused);
        let (mut data, nonce) = (decode(&sealed.data)?, decode(&sealed.nonce)?);
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| EncryptionError::Refused)?;
        let text = self
            .key(&sealed.key_id, id)?
            .open_in_place(nonce, Aad::empty(), &mut data)
            .map_err(|_| EncryptionError::Refused)?;
        let text = String::from_utf8(text.to_vec()).map_err(|_| EncryptionError::Refused)?;
        let is_outdated = self.write_with.as_ref().is_some_and(|newest| *newest != sealed.key_id);
        Ok(Opened { text, is_outdated })
    }

    fn key(&self, key_id: &str, id: Uuid) -> Result<LessSafeKey, EncryptionError> {
        let key = self.keys.get(key_id).ok_or_else(|| EncryptionError::NoKey(key_id.to_owned()))?;
        let bad = || EncryptionError::BadKey(key_id.to_owned());
        let key = decode_key(key.expose()).ok_or_else(bad)?;
        let info = id.to_string();
        let info = [info.as_bytes()];
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(&key);
        let derived = extracted.expand(&info, &AES_256_GCM).map_err(|_| bad())?;
        Ok(LessSafeKey::new(UnboundKey::from(derived)))
    }

    /// Whether every key is one, and the one to write with is among them.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(newest) = &self.write_with
            && !self.keys.contains_key(newest)
        {
            return Err("encryption key must also be present in decryption keys".into());
        }
        match self.keys.iter().find(|(_, key)| decode_key(key.expose()).is_none()) {
            Some((id, _)) => Err(format!("decryption key with ID {id:?} must be 256 bits")),
            None => Ok(()),
        }
    }
}

fn decode_key(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|key| key.len() == 32)
}

impl Sealed {
    /// None for a text that is no such value.
    fn parse(text: &str) -> Option<Self> {
        let sealed: Self = text.starts_with('{').then(|| serde_json::from_str(text).ok())??;
        let whole = !sealed.key_id.is_empty() && !sealed.data.is_empty() && !sealed.nonce.is_empty();
        (whole && sealed.alg == ALGORITHM).then_some(sealed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_1111);

    fn keys(write_with: Option<&str>) -> Encryption {
        let key = |byte: u8| Secret::new(BASE64_URL_SAFE_NO_PAD.encode([byte; 32]));
        Encryption {
            write_with: write_with.map(str::to_owned),
            keys: [("one".to_owned(), key(1)), ("two".to_owned(), key(2))].into(),
        }
    }

    fn plain(text: &str, is_outdated: bool) -> Opened {
        Opened { text: text.into(), is_outdated }
    }

    #[test]
    fn what_was_sealed_is_read_by_its_row_only() {
        let sealed = keys(Some("one")).seal(ID, "secret").unwrap();
        assert!(sealed.starts_with(r#"{"key_id":"one","alg":"aes-gcm-hkdf","data":""#), "{sealed}");
        assert_eq!(keys(Some("one")).open(ID, &sealed), Ok(plain("secret", false)));
        assert_eq!(keys(Some("one")).open(Uuid::nil(), &sealed), Err(EncryptionError::Refused));
        assert_ne!(keys(Some("one")).seal(ID, "secret").unwrap(), sealed);
    }

    #[test]
    fn what_gotrue_has_sealed_is_read() {
        // Made by GoTrue 2.180.0 with this key for this id.
        let key = Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        let sealed = r#"{"key_id":"one","alg":"aes-gcm-hkdf","data":"vzxrclAiUN7RL0HYk96mTLE0ZeiiewryIeaU7Ps96WI=","nonce":"ouFg+J5ufSqNWNQB"}"#;
        let keys = Encryption { write_with: None, keys: [("one".to_owned(), key)].into() };
        assert_eq!(keys.open(ID, sealed), Ok(plain("JBSWY3DPEHPK3PXP", false)));
    }

    #[test]
    fn an_older_key_and_no_key_are_replaced_where_there_is_one_to_write_with() {
        let old = keys(Some("one")).seal(ID, "secret").unwrap();
        assert_eq!(keys(Some("two")).open(ID, &old), Ok(plain("secret", true)));
        assert_eq!(keys(Some("two")).open(ID, "secret"), Ok(plain("secret", true)));
        assert_eq!(keys(None).open(ID, &old), Ok(plain("secret", false)));
        assert_eq!(keys(None).open(ID, "secret"), Ok(plain("secret", false)));
        assert_eq!(keys(None).seal(ID, "secret").unwrap(), "secret");
    }

    #[test]
    fn without_its_key_a_value_cannot_be_read() {
        let sealed = keys(Some("one")).seal(ID, "secret").unwrap();
        let error = Encryption::default().open(ID, &sealed).unwrap_err();
        assert_eq!(error.to_string(), r#"crypto: decryption key with name "one" does not exist"#);
    }

    #[test]
    fn keys_have_256_bits_and_the_newest_is_among_them() {
        assert_eq!(keys(Some("one")).check(), Ok(()));
        assert!(keys(Some("three")).check().unwrap_err().contains("also be present"));
        let mut short = keys(None);
        short.keys.insert("short".into(), Secret::new("AAAA"));
        assert!(short.check().unwrap_err().contains("256 bits"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_stored_makes_reading_fail_in_another_way(text in "\\PC*") {
            let read = keys(None).open(ID, &text);
            let is_object = text.starts_with("{");
            proptest::prop_assert!(read.is_ok() || is_object);
        }
    }
}
