//! Assertions that only we can read: RSA-OAEP around AES, as XML Encryption has it.
//!
//! PKCS #1 1.5 and Triple DES are refused. All failures are one, so that nobody can learn of a key by trying.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, AES_128, AES_192, AES_256, AES_CBC_IV_LEN, DecryptingKey, DecryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey,
};

use super::signature::base64;
use super::xml::Element;
use super::{Refused, ns};

const OAEP: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
const OAEP_11: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
const ELEMENT: &str = "http://www.w3.org/2001/04/xmlenc#Element";
const NONCE_LEN: usize = 12;
/// An assertion is encrypted for us once; so many keys are tried.
const MAX_KEYS: usize = 4;

/// What we tell providers that we read, the best first.
pub(super) const METHODS: [&str; 6] = [
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes192-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
    OAEP,
];

/// The XML inside an `EncryptedAssertion`.
pub(super) fn decrypt(encrypted: Element<'_>, key: &OaepPrivateDecryptingKey) -> Result<Vec<u8>, Refused> {
    let data = encrypted.only(ns::ENCRYPTION, "EncryptedData")?.ok_or(Refused::Encryption)?;
    if data.attribute("Type").is_some_and(|kind| kind != ELEMENT) {
        return Err(Refused::Encryption);
    }
    let inside = data.only(ns::SIGNATURE, "KeyInfo")?;
    // The key is with the data or beside it.
    let keys = inside
        .into_iter()
        .flat_map(|info| info.all(ns::ENCRYPTION, "EncryptedKey"))
        .chain(encrypted.all(ns::ENCRYPTION, "EncryptedKey"))
        .take(MAX_KEYS);
    let method = algorithm(data)?;
    let sealed = cipher_value(data)?;
    for encrypted_key in keys {
        let opened = unwrap(encrypted_key, key).and_then(|key| open(method, &key, &sealed));
        if let Some(plain) = opened {
            return Ok(plain);
        }
    }
    Err(Refused::Encryption)
}

fn unwrap(encrypted: Element<'_>, key: &OaepPrivateDecryptingKey) -> Option<Vec<u8>> {
    let method = encrypted.only(ns::ENCRYPTION, "EncryptionMethod").ok()??;
    let is_11 = match method.attribute("Algorithm")? {
        OAEP => false,
        OAEP_11 => true,
        _ => return None,
    };
    let named = |element: Option<Element<'_>>| {
        element.and_then(|element| element.attribute("Algorithm")).map(str::to_owned)
    };
    let digest = named(method.only(ns::SIGNATURE, "DigestMethod").ok()?);
    let (algorithm, mask): (&'static OaepAlgorithm, &str) = match digest.as_deref() {
        None | Some("http://www.w3.org/2000/09/xmldsig#sha1") => (&OAEP_SHA1_MGF1SHA1, "mgf1sha1"),
        Some("http://www.w3.org/2001/04/xmlenc#sha256") => (&OAEP_SHA256_MGF1SHA256, "mgf1sha256"),
        Some("http://www.w3.org/2001/04/xmldsig-more#sha384") => (&OAEP_SHA384_MGF1SHA384, "mgf1sha384"),
        Some("http://www.w3.org/2001/04/xmlenc#sha512") => (&OAEP_SHA512_MGF1SHA512, "mgf1sha512"),
        Some(_) => return None,
    };
    // The older name says SHA-1 for the mask whatever the digest is; as GoTrue, we take it to be the digest.
    if is_11 {
        let stated = named(method.only(ns::ENCRYPTION_11, "MGF").ok()?);
        let stated = stated.as_deref().unwrap_or("http://www.w3.org/2009/xmlenc11#mgf1sha1");
        if stated.strip_prefix(ns::ENCRYPTION_11) != Some(mask) {
            return None;
        }
    }
    let label = match method.only(ns::ENCRYPTION, "OAEPparams").ok()? {
        Some(label) => Some(base64(&label.plain_text().ok()?).ok()?),
        None => None,
    };
    let sealed = cipher_value(encrypted).ok()?;
    let mut plain = vec![0; key.min_output_size()];
    key.decrypt(algorithm, &sealed, &mut plain, label.as_deref()).ok().map(|plain| plain.to_vec())
}

fn open(method: &str, key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    match method {
        "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => open_cbc(&AES_128, key, sealed),
        "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => open_cbc(&AES_192, key, sealed),
        "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => open_cbc(&AES_256, key, sealed),
        "http://www.w3.org/2009/xmlenc11#aes128-gcm" => {
            open_gcm(UnboundKey::new(&AES_128_GCM, key).ok()?, sealed)
        }
        "http://www.w3.org/2009/xmlenc11#aes192-gcm" => {
            open_gcm(UnboundKey::new(&AES_192_GCM, key).ok()?, sealed)
        }
        "http://www.w3.org/2009/xmlenc11#aes256-gcm" => {
            open_gcm(UnboundKey::new(&AES_256_GCM, key).ok()?, sealed)
        }
        _ => None,
    }
}

fn open_cbc(algorithm: &'static cipher::Algorithm, key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (iv, sealed) = sealed.split_first_chunk::<AES_CBC_IV_LEN>()?;
    let key = DecryptingKey::cbc(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let mut plain = sealed.to_vec();
    key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(*iv))).ok()?;
    // The last byte counts what was filled up, itself included; the others may be anything.
    let filled = usize::from(*plain.last()?);
    if !(1..=AES_CBC_IV_LEN).contains(&filled) {
        return None;
    }
    plain.truncate(plain.len() - filled);
    Some(plain)
}

fn open_gcm(key: UnboundKey, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut plain = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = LessSafeKey::new(key).open_in_place(nonce, Aad::empty(), &mut plain).ok()?.len();
    plain.truncate(length);
    Some(plain)
}

fn algorithm(element: Element<'_>) -> Result<&str, Refused> {
    let method = element.only(ns::ENCRYPTION, "EncryptionMethod")?.ok_or(Refused::Encryption)?;
    method.attribute("Algorithm").ok_or(Refused::Encryption)
}

fn cipher_value(element: Element<'_>) -> Result<Vec<u8>, Refused> {
    let data = element.only(ns::ENCRYPTION, "CipherData")?.ok_or(Refused::Encryption)?;
    base64(&data.only(ns::ENCRYPTION, "CipherValue")?.ok_or(Refused::Encryption)?.plain_text()?)
}
