//! Making new secrets.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api_keys::sign_api_key;
use crate::verified::now;
use crate::{ApiKeyRole, ApiKeys, KeyError, KeySet, SignError};

/// Ten years, the life of an API key that is a token.
const API_KEY_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// The system's source of randomness failed.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// No random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// A key could not be made of them.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl From<aws_lc_rs::error::Unspecified> for GenerateError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        GenerateError::Random
    }
}

/// Base64url text of `bytes` random bytes.
pub fn random_text(bytes: usize) -> Result<String, GenerateError> {
    let mut buffer = vec![0; bytes];
    rand::fill(&mut buffer)?;
    Ok(URL_SAFE_NO_PAD.encode(buffer))
}

/// Hexadecimal text of `bytes` random bytes.
pub fn random_hex(bytes: usize) -> Result<String, GenerateError> {
    let mut buffer = vec![0; bytes];
    rand::fill(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A shared secret of 64 characters (384 bits), without characters that a shell or a URL minds.
pub fn secret() -> Result<String, GenerateError> {
    random_text(48)
}

/// A password for a database role or a dashboard: 32 characters, safe in a connection string.
pub fn password() -> Result<String, GenerateError> {
    random_text(24)
}

/// An opaque key in the published form: a prefix, 22 random characters, and 8 that check the rest,
/// so that a leak scanner can tell a key from noise and a typo is seen before a request is made.
pub fn opaque_key(role: ApiKeyRole) -> Result<String, GenerateError> {
    let prefix = match role {
        ApiKeyRole::Anon => "sb_publishable_",
        ApiKeyRole::ServiceRole => "sb_secret_",
    };
    let body = format!("{prefix}{}", random_text(16)?);
    Ok(format!("{body}_{}", checksum(&body)))
}

/// Whether a key has the form of [`opaque_key`] and its last characters fit the others.
pub fn is_well_formed_opaque_key(key: &str) -> bool {
    key.starts_with("sb_")
        && key.is_ascii()
        && key.len() > 9
        && key.as_bytes()[key.len() - 9] == b'_'
        && key[key.len() - 8..] == checksum(&key[..key.len() - 9])
}

fn checksum(body: &str) -> String {
    let digest = digest::digest(&digest::SHA256, body.as_bytes());
    let mut text = URL_SAFE_NO_PAD.encode(digest.as_ref());
    text.truncate(8);
    text
}

/// New API keys: tokens signed with `secret` for ten years, and opaque ones.
pub fn api_keys(secret: &str) -> Result<ApiKeys, GenerateError> {
    let keys = KeySet::from_secret(secret)?;
    let issued_at = now();
    let token = |role| -> Result<Box<str>, GenerateError> {
        let token = sign_api_key(&keys, "supabase", role, Some(issued_at), issued_at + API_KEY_SECONDS)?;
        Ok(token.into())
    };
    Ok(ApiKeys {
        anon_jwt: token(ApiKeyRole::Anon)?,
        service_role_jwt: token(ApiKeyRole::ServiceRole)?,
        publishable: opaque_key(ApiKeyRole::Anon)?.into(),
        secret: opaque_key(ApiKeyRole::ServiceRole)?.into(),
    })
}

/// The API keys that belong to a shared secret when none are configured: issuer and expiry of the
/// local ones, so that the local secret gives the published keys.
pub fn derived_api_key(secret: &str, role: ApiKeyRole) -> Result<String, GenerateError> {
    let keys = KeySet::from_secret(secret)?;
    Ok(sign_api_key(&keys, crate::development::ISSUER, role, None, crate::development::EXPIRES_AT)?)
}

/// A new ES256 signing key as a private JWK.
pub fn signing_jwk() -> Result<Value, GenerateError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let private = pair.private_key().as_be_bytes()?;
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(32);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Ok(json!({
        "kty": "EC",
        "kid": random_uuid()?,
        "use": "sig",
        "key_ops": ["sign", "verify"],
        "alg": "ES256",
        "ext": true,
        "d": encode(private.as_ref()),
        "crv": "P-256",
        "x": encode(x),
        "y": encode(y),
    }))
}

fn random_uuid() -> Result<String, GenerateError> {
    let mut bytes = [0u8; 16];
    rand::fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40; // version 4
    bytes[8] = bytes[8] & 0x3f | 0x80; // the variant of RFC 9562
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}
