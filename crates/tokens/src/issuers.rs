//! Others whose tokens are taken: their names and their keys.
//!
//! A foreign token counts only under its own issuer's name: keys that somebody shares with many tenants, or an issuer that
//! names itself like us, give no way in. Foreign keys verify and never sign, and are not part of our key set.

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::Value;

use crate::compact::Compact;
use crate::{Key, KeyError, KeySet, Verified, VerifyError};

/// Somebody else who signs tokens.
pub struct Issuer {
    name: Box<str>,
    keys: Vec<Key>,
}

impl Issuer {
    /// An issuer by the name that its tokens carry as `iss`, with its public key set. Shared secrets in the set are an error:
    /// whoever can read them could sign.
    pub fn new(name: &str, jwks: &str) -> Result<Issuer, KeyError> {
        let keys = KeySet::from_jwks(jwks)?.into_keys();
        if keys.iter().any(|key| key.algorithm().is_symmetric()) {
            return Err(KeyError::Unsupported("\"kty\""));
        }
        Ok(Issuer { name: name.into(), keys })
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).field("keys", &self.keys).finish()
    }
}

#[derive(Clone)]
struct ByteWeight;

impl Weighter<Box<str>, Arc<Verified>> for ByteWeight {
    fn weight(&self, token: &Box<str>, verified: &Arc<Verified>) -> u64 {
        (token.len() + verified.claims_json.len() * 4 + 256) as u64
    }
}

/// All of them, with what they have signed. Replaced as a whole, so that no old verdict outlives a key.
pub(crate) struct Issuers {
    list: Vec<Issuer>,
    cache: Cache<Box<str>, Arc<Verified>, ByteWeight>,
}

impl Issuers {
    pub(crate) fn new(list: Vec<Issuer>) -> Arc<Self> {
        Arc::new(Issuers { list, cache: Cache::with_weighter(1024, 4 << 20, ByteWeight) })
    }

    /// The verified token of one of them; none if it is nobody's.
    pub(crate) fn verify(&self, token: &str) -> Option<Arc<Verified>> {
        if self.list.is_empty() {
            return None;
        }
        if let Some(known) = self.cache.get(token) {
            return Some(known);
        }
        let verified = Arc::new(self.verify_now(token).ok()?);
        if token.len() <= 16 << 10 {
            self.cache.insert(token.into(), verified.clone());
        }
        Some(verified)
    }

    fn verify_now(&self, token: &str) -> Result<Verified, VerifyError> {
        let token = Compact::parse(token)?;
        let algorithm = token.algorithm;
        let no_key = || VerifyError::NoKey { kid: token.kid.clone(), alg: algorithm };
        if algorithm.is_symmetric() {
            return Err(no_key());
        }
        // Nothing here is trusted before the signature is checked; the name only chooses whose keys are tried.
        let mut verified = Verified::from_payload(token.decode_payload()?, token.kid.clone(), algorithm)?;
        let named = verified.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let issuer = self.list.iter().find(|issuer| *issuer.name == *named).ok_or_else(no_key)?;
        let kid = token.kid.as_deref();
        let signed = issuer
            .keys
            .iter()
            .filter(|key| kid.is_none() || key.kid() == kid)
            .filter(|key| key.accepts(algorithm))
            .any(|key| key.verify(algorithm, token.signed.as_bytes(), &token.signature));
        if !signed {
            return Err(VerifyError::Signature);
        }
        verified.is_foreign = true;
        Ok(verified)
    }
}
