//! The keys of an installation and the choice among them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::compact::{self, Compact};
use crate::key::{self, Key, KeyError};
use crate::{Algorithm, Verified, VerifyError};

/// What happens to a token whose `kid` no key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKid {
    /// It is refused: PostgREST's rule.
    Refused,
    /// An HS256 token is tried with the shared secret: GoTrue's rule, which keeps API keys and old
    /// sessions working after asymmetric keys were introduced.
    TriesSecret,
}

/// The keys of an installation.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Index of the shared secret among `keys`.
    secret: Option<usize>,
    signing: Option<usize>,
    allowed: Option<Vec<Algorithm>>,
    unknown_kid: UnknownKid,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Set { keys: Vec<Value> },
    Array(Vec<Value>),
    One(Value),
}

impl KeySet {
    /// A set without keys: verifies nothing, signs nothing.
    pub fn empty() -> KeySet {
        KeySet {
            keys: Vec::new(),
            secret: None,
            signing: None,
            allowed: None,
            unknown_kid: UnknownKid::TriesSecret,
        }
    }

    /// One shared secret: signs and verifies HS256.
    pub fn from_secret(secret: &str) -> Result<KeySet, KeyError> {
        KeySet::empty().with_secret(secret, None)
    }

    /// A JWKS object, an array of JWKs or one JWK. Keys of a kind that is not supported are
    /// skipped, as PostgREST does; a set of which nothing is left is an error.
    pub fn from_jwks(json: &str) -> Result<KeySet, KeyError> {
        let mut set = KeySet::empty();
        for (at, value) in read_document(json)?.into_iter().enumerate() {
            match Key::from_value(value) {
                Ok(key) => set.add(key),
                Err(KeyError::Unsupported(_)) => {}
                Err(error) => return Err(KeyError::At { index: at + 1, error: Box::new(error) }),
            }
        }
        if set.keys.is_empty() { Err(KeyError::Empty) } else { Ok(set) }
    }

    /// The private keys an installation signs with (`JWT_KEYS`, `auth.signing_keys_path`). Every
    /// key must be usable and exactly one must have the operation `sign`, as GoTrue asks.
    pub fn from_signing_keys(json: &str) -> Result<KeySet, KeyError> {
        let mut set = KeySet::empty();
        for (at, value) in read_document(json)?.into_iter().enumerate() {
            let key = Key::from_value(value)
                .map_err(|error| KeyError::At { index: at + 1, error: Box::new(error) })?;
            set.add(key);
        }
        match set.keys.iter().filter(|key| key.signs()).count() {
            0 => Err(KeyError::NoSigningKey),
            1 => Ok(set),
            _ => Err(KeyError::SeveralSigningKeys),
        }
    }

    /// Adds the shared secret. It signs only when no key of the set does.
    pub fn with_secret(mut self, secret: &str, kid: Option<&str>) -> Result<KeySet, KeyError> {
        self.secret = Some(self.keys.len());
        self.keys.push(Key::from_secret(secret, kid)?);
        self.signing = self.signing.or(self.secret);
        Ok(self)
    }

    /// Adds a key that verifies but does not sign, whatever it could do.
    pub fn with_verifying_key(mut self, key: Key) -> KeySet {
        self.keys.push(key);
        self
    }

    /// Accepts only these algorithms (GoTrue's `JWT_VALIDMETHODS`).
    pub fn allowing(mut self, algorithms: impl Into<Vec<Algorithm>>) -> KeySet {
        self.allowed = Some(algorithms.into());
        self
    }

    /// Decides about tokens whose `kid` no key has.
    pub fn with_unknown_kid(mut self, rule: UnknownKid) -> KeySet {
        self.unknown_kid = rule;
        self
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, in the order they were added.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(crate) fn into_keys(self) -> Vec<Key> {
        self.keys
    }

    /// The key that signs.
    pub fn signing_key(&self) -> Option<&Key> {
        self.signing.map(|at| &self.keys[at])
    }

    /// The bytes of the shared secret, for what is derived from it.
    pub fn secret(&self) -> Option<&[u8]> {
        self.secret.and_then(|at| self.keys[at].shared_secret())
    }

    /// The public keys, as `/.well-known/jwks.json` serves them. Shared secrets are never in it.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.keys.iter().filter_map(Key::public_jwk).collect::<Vec<_>>() })
    }

    /// Checks the signature and parses the claims. Time and audience are the caller's to check
    /// with [`Verified::check`].
    pub fn verify_signature(&self, token: &str) -> Result<Verified, VerifyError> {
        let token = Compact::parse(token)?;
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&token.algorithm)) {
            return Err(VerifyError::Algorithm(token.algorithm.as_str().into()));
        }
        let mut candidates = self.candidates(&token).peekable();
        if candidates.peek().is_none() {
            return Err(VerifyError::NoKey { kid: token.kid.clone(), alg: token.algorithm });
        }
        if !candidates.any(|key| key.verify(token.algorithm, token.signed.as_bytes(), &token.signature)) {
            return Err(VerifyError::Signature);
        }
        Verified::from_payload(token.decode_payload()?, token.kid.clone(), token.algorithm)
    }

    /// Checks a token of HS256, HS384 or HS512 with the shared secret, whatever `kid` it names: Realtime's rule.
    pub(crate) fn verify_with_secret(&self, token: &str) -> Result<Verified, VerifyError> {
        let token = Compact::parse(token)?;
        let secret = self.secret.filter(|_| token.algorithm.is_symmetric()).map(|at| &self.keys[at]);
        let Some(secret) = secret else {
            return Err(VerifyError::NoKey { kid: token.kid.clone(), alg: token.algorithm });
        };
        if !secret.verify(token.algorithm, token.signed.as_bytes(), &token.signature) {
            return Err(VerifyError::Signature);
        }
        Verified::from_payload(token.decode_payload()?, token.kid.clone(), token.algorithm)
    }

    /// A token with a `kid` is tried with the keys of that `kid`, one without with all of them.
    fn candidates<'s>(&'s self, token: &'s Compact<'_>) -> impl Iterator<Item = &'s Key> {
        let algorithm = token.algorithm;
        let kid = token.kid.as_deref();
        let named = kid.is_some() && self.keys.iter().any(|key| key.kid() == kid);
        let secret_only = kid.is_some() && !named && self.unknown_kid == UnknownKid::TriesSecret;
        self.keys.iter().enumerate().filter_map(move |(at, key)| {
            let chosen = match kid {
                None => true,
                Some(_) if secret_only => Some(at) == self.secret,
                Some(kid) => key.kid() == Some(kid),
            };
            (chosen && key.accepts(algorithm)).then_some(key)
        })
    }

    /// Signs a payload; none when no key can.
    pub(crate) fn sign_payload(&self, payload: &[u8]) -> Option<String> {
        let key = self.signing_key()?;
        let input = compact::signing_input(key.algorithm(), key.kid(), payload);
        let signature = key.sign(input.as_bytes())?;
        Some(compact::finish(input, &signature))
    }

    fn add(&mut self, key: Key) {
        if key.signs() && self.signing.is_none() {
            self.signing = Some(self.keys.len());
        }
        self.keys.push(key);
    }
}

fn read_document(json: &str) -> Result<Vec<Value>, KeyError> {
    let value: Value = serde_json::from_str(json).map_err(key::json_error)?;
    match serde_json::from_value(value) {
        Ok(Document::Set { keys }) => Ok(keys),
        Ok(Document::Array(keys)) => Ok(keys),
        Ok(Document::One(key)) => Ok(vec![key]),
        Err(_) => Err(KeyError::Empty),
    }
}
