//! The handle to the current keys that services share.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize;
use serde_json::Value;

use crate::issuers::{Issuer, Issuers};
use crate::verified::now;
use crate::{KeySet, Policy, Verified, VerifyError};

/// Cached tokens weigh at most this many bytes together, claims included by estimate.
const CACHE_BYTES: u64 = 8 << 20;
/// What the cache is laid out for: a session token with its parsed claims is about 4 KiB.
const CACHE_ITEMS: usize = 2048;
/// Longer tokens are verified each time, so that a few of them cannot evict everyone else's.
const LONGEST_CACHED: usize = 16 << 10;

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key set has no private key, or it refused to sign.
    #[error("no key can sign tokens")]
    NoKey,
    /// The claims cannot be written as JSON.
    #[error("the claims cannot be written as JSON")]
    Claims(#[from] serde_json::Error),
}

#[derive(Clone)]
struct ByteWeight;

impl Weighter<Box<str>, Arc<Verified>> for ByteWeight {
    fn weight(&self, token: &Box<str>, verified: &Arc<Verified>) -> u64 {
        // The parsed claims take about three times their text, and are written once more.
        (token.len() + verified.claims_json.len() * 5 + 256) as u64
    }
}

struct Generation {
    keys: Arc<KeySet>,
    /// Lives and dies with its keys: a replaced key set never answers from an old cache.
    cache: Cache<Box<str>, Arc<Verified>, ByteWeight>,
}

impl Generation {
    fn new(keys: KeySet) -> Arc<Self> {
        let cache = Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, ByteWeight);
        Arc::new(Generation { keys: Arc::new(keys), cache })
    }
}

/// The current [`KeySet`], shared: clones see a replacement at once.
#[derive(Clone)]
pub struct KeyRing {
    current: Arc<ArcSwap<Generation>>,
    issuers: Arc<ArcSwap<Issuers>>,
    any_hmac: bool,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.current.load().keys).finish()
    }
}

impl KeyRing {
    /// A ring that starts with these keys.
    pub fn new(keys: KeySet) -> KeyRing {
        KeyRing {
            current: Arc::new(ArcSwap::new(Generation::new(keys))),
            issuers: Arc::new(ArcSwap::new(Issuers::new(Vec::new()))),
            any_hmac: false,
        }
    }

    /// The same ring for a service that takes the shared secret for HS384 and HS512, too, as Realtime does. Other clones go on
    /// to take it for HS256 alone.
    #[must_use]
    pub fn for_any_hmac(mut self) -> KeyRing {
        self.any_hmac = true;
        self
    }

    /// Takes the tokens of these issuers, too, each under its own name, and of no others that were named before.
    pub fn trust(&self, issuers: Vec<Issuer>) {
        self.issuers.store(Issuers::new(issuers));
    }

    /// Swaps all keys. Tokens that only the old keys verify are refused from here on.
    pub fn replace(&self, keys: KeySet) {
        self.current.store(Generation::new(keys));
    }

    /// The keys of this moment.
    pub fn keys(&self) -> Arc<KeySet> {
        self.current.load().keys.clone()
    }

    /// Verifies signature and claims under [`Policy::LENIENT`].
    pub fn verify(&self, token: &str) -> Result<Arc<Verified>, VerifyError> {
        self.verify_with(token, &Policy::LENIENT)
    }

    /// Verifies the signature (once a token, as long as it stays in the cache) and the claims
    /// (every time).
    pub fn verify_with(&self, token: &str, policy: &Policy) -> Result<Arc<Verified>, VerifyError> {
        self.verify_at(token, policy, now())
    }

    /// As [`KeyRing::verify_with`], at a given moment in seconds since 1970.
    pub fn verify_at(&self, token: &str, policy: &Policy, now: u64) -> Result<Arc<Verified>, VerifyError> {
        let verified = self.verify_signature(token)?;
        verified.check(policy, now)?;
        Ok(verified)
    }

    /// Verifies the signature alone, cached. An expired token passes.
    pub fn verify_signature(&self, token: &str) -> Result<Arc<Verified>, VerifyError> {
        let generation = self.current.load();
        if let Some(verified) = generation.cache.get(token) {
            return Ok(verified);
        }
        let verified = match generation.keys.verify_signature(token) {
            Ok(verified) => Arc::new(verified),
            // Not kept: the cache is for clones with narrower rules, too.
            Err(VerifyError::NoKey { alg, .. }) if self.any_hmac && alg.is_symmetric() => {
                return generation.keys.verify_with_secret(token).map(Arc::new);
            }
            // Ours are tried first, so a token that we signed never depends on anybody else.
            Err(error) => return self.issuers.load().verify(token).ok_or(error),
        };
        if token.len() <= LONGEST_CACHED {
            generation.cache.insert(token.into(), verified.clone());
        }
        Ok(verified)
    }

    /// Signs claims with the signing key, members in the order they are serialised.
    pub fn sign<T: Serialize + ?Sized>(&self, claims: &T) -> Result<String, SignError> {
        self.sign_payload(&serde_json::to_vec(claims)?)
    }

    /// Signs a payload that is JSON already.
    pub fn sign_payload(&self, payload: &[u8]) -> Result<String, SignError> {
        self.current.load().keys.sign_payload(payload).ok_or(SignError::NoKey)
    }

    /// The public keys, as `/.well-known/jwks.json` serves them.
    pub fn jwks(&self) -> Value {
        self.current.load().keys.jwks()
    }
}
