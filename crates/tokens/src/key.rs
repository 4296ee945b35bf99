//! One key: what it verifies and, when it is private, how it signs.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{hmac, rsa};
use serde_json::Value;

use crate::Algorithm;
use crate::jwk::Jwk;

/// Why a key or a set of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither a JWK, nor a set, nor an array of them. Says where, not what: the text is secret.
    #[error("not a JSON web key at line {line} column {column}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A member is not there.
    #[error("the key has no {0:?}")]
    Missing(&'static str),
    /// A member is not base64url text.
    #[error("the key's {0:?} is not base64url text")]
    Encoding(&'static str),
    /// `kty`, `crv` or `alg` is not supported, or they do not fit each other.
    #[error("the key's {0} is not supported")]
    Unsupported(&'static str),
    /// The numbers are not a key.
    #[error("the key is not valid: {0}")]
    Invalid(&'static str),
    /// The set has no usable key.
    #[error("no key")]
    Empty,
    /// GoTrue's rule for a set of private keys.
    #[error("no signing key detected")]
    NoSigningKey,
    /// GoTrue's rule for a set of private keys.
    #[error("multiple signing keys detected, only 1 signing key is supported")]
    SeveralSigningKeys,
    /// One key of several is at fault.
    #[error("key {index}: {error}")]
    At {
        /// Its place, counted from 1.
        index: usize,
        /// What is wrong with it.
        error: Box<KeyError>,
    },
}

enum Material {
    /// The raw bytes of a shared secret: the HMAC key is derived for the algorithm asked for.
    Shared(Box<[u8]>),
    Rsa {
        public: rsa::PublicKeyComponents<Vec<u8>>,
        private: Option<Box<rsa::KeyPair>>,
    },
    Ec {
        curve: Curve,
        point: Vec<u8>,
        private: Option<Box<EcdsaKeyPair>>,
    },
    Ed25519 {
        public: Vec<u8>,
        private: Option<Box<Ed25519KeyPair>>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    fn algorithm(self) -> Algorithm {
        match self {
            Curve::P256 => Algorithm::ES256,
            Curve::P384 => Algorithm::ES384,
            Curve::P521 => Algorithm::ES512,
        }
    }

    fn coordinate_length(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }
}

/// One key of a [`crate::KeySet`].
pub struct Key {
    kid: Option<Box<str>>,
    /// The JWK's `alg`: then only that algorithm.
    only: Option<Algorithm>,
    verifies: bool,
    signs: bool,
    material: Material,
    public: Option<Value>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .field("signs", &self.signs)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A shared secret for HS256 only, which is what PostgREST and GoTrue make of a plain string.
    pub fn from_secret(secret: &str, kid: Option<&str>) -> Result<Key, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::Invalid("the secret is empty"));
        }
        Ok(Key {
            kid: kid.filter(|kid| !kid.is_empty()).map(Into::into),
            only: Some(Algorithm::HS256),
            verifies: true,
            signs: true,
            material: Material::Shared(secret.as_bytes().into()),
            public: None,
        })
    }

    /// Reads a JWK, private or public.
    pub fn from_jwk(json: &str) -> Result<Key, KeyError> {
        Key::from_value(serde_json::from_str(json).map_err(json_error)?)
    }

    pub(crate) fn from_value(value: Value) -> Result<Key, KeyError> {
        let jwk: Jwk = serde_json::from_value(value).map_err(|_| KeyError::Missing("kty"))?;
        let only = match jwk.alg.as_deref() {
            None | Some("") => None,
            Some(name) => Some(name.parse().map_err(|_| KeyError::Unsupported("\"alg\""))?),
        };
        let material = match jwk.kty.as_str() {
            "oct" => shared(&jwk)?,
            "RSA" => rsa_key(&jwk)?,
            "EC" => ec_key(&jwk)?,
            "OKP" => ed25519_key(&jwk)?,
            _ => return Err(KeyError::Unsupported("\"kty\"")),
        };
        let mut key = Key {
            kid: jwk.kid.as_deref().filter(|kid| !kid.is_empty()).map(Into::into),
            only,
            verifies: jwk.usage.as_deref() != Some("enc"),
            signs: false,
            material,
            public: None,
        };
        if only.is_some_and(|algorithm| !key.fits_material(algorithm)) {
            return Err(KeyError::Unsupported("\"alg\" for its \"kty\""));
        }
        key.signs = jwk.may("sign") && key.is_private();
        key.public = jwk.public(key.algorithm().as_str());
        Ok(key)
    }

    /// The `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether `key_ops` lets it sign (and it has the private half).
    pub fn signs(&self) -> bool {
        self.signs
    }

    /// The algorithm it signs with: the JWK's `alg`, else the usual one of its type.
    pub fn algorithm(&self) -> Algorithm {
        self.only.unwrap_or(match &self.material {
            Material::Shared(_) => Algorithm::HS256,
            Material::Rsa { .. } => Algorithm::RS256,
            Material::Ec { curve, .. } => curve.algorithm(),
            Material::Ed25519 { .. } => Algorithm::EdDSA,
        })
    }

    /// Whether the key may be tried for a token of this algorithm.
    pub fn accepts(&self, algorithm: Algorithm) -> bool {
        self.verifies && self.only.unwrap_or(algorithm) == algorithm && self.fits_material(algorithm)
    }

    /// The public JWK; none for a shared secret.
    pub fn public_jwk(&self) -> Option<&Value> {
        self.public.as_ref()
    }

    /// The secret's bytes when it is a shared one.
    pub(crate) fn shared_secret(&self) -> Option<&[u8]> {
        match &self.material {
            Material::Shared(secret) => Some(secret),
            _ => None,
        }
    }

    fn is_private(&self) -> bool {
        match &self.material {
            Material::Shared(_) => true,
            Material::Rsa { private, .. } => private.is_some(),
            Material::Ec { private, .. } => private.is_some(),
            Material::Ed25519 { private, .. } => private.is_some(),
        }
    }

    fn fits_material(&self, algorithm: Algorithm) -> bool {
        match &self.material {
            Material::Shared(_) => algorithm.is_symmetric(),
            Material::Rsa { .. } => {
                matches!(algorithm, Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512)
            }
            Material::Ec { curve, .. } => algorithm == curve.algorithm(),
            Material::Ed25519 { .. } => algorithm == Algorithm::EdDSA,
        }
    }

    /// Whether `signature` is this key's over `message`. HMACs are compared in constant time.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Shared(secret), _) => hmac_algorithm(algorithm).is_some_and(|digest| {
                hmac::verify(&hmac::Key::new(digest, secret), message, signature).is_ok()
            }),
            (Material::Rsa { public, .. }, Algorithm::RS256) => {
                public.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            (Material::Rsa { public, .. }, Algorithm::RS384) => {
                public.verify(&signature::RSA_PKCS1_2048_8192_SHA384, message, signature).is_ok()
            }
            (Material::Rsa { public, .. }, Algorithm::RS512) => {
                public.verify(&signature::RSA_PKCS1_2048_8192_SHA512, message, signature).is_ok()
            }
            (Material::Ec { curve, point, .. }, _) if algorithm == curve.algorithm() => {
                let scheme: &'static dyn signature::VerificationAlgorithm = match curve {
                    Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED,
                };
                UnparsedPublicKey::new(scheme, point).verify(message, signature).is_ok()
            }
            (Material::Ed25519 { public, .. }, Algorithm::EdDSA) => {
                UnparsedPublicKey::new(&signature::ED25519, public).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }

    /// The signature over `message`; none when the private half is missing or fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let algorithm = self.algorithm();
        match &self.material {
            Material::Shared(secret) => {
                let key = hmac::Key::new(hmac_algorithm(algorithm)?, secret);
                Some(hmac::sign(&key, message).as_ref().to_vec())
            }
            Material::Rsa { private, .. } => {
                let private = private.as_ref()?;
                let scheme = match algorithm {
                    Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
                    _ => return None,
                };
                let mut signed = vec![0; private.public_modulus_len()];
                private.sign(scheme, &SystemRandom::new(), message, &mut signed).ok()?;
                Some(signed)
            }
            Material::Ec { private, .. } => {
                let signed = private.as_ref()?.sign(&SystemRandom::new(), message).ok()?;
                Some(signed.as_ref().to_vec())
            }
            Material::Ed25519 { private, .. } => Some(private.as_ref()?.sign(message).as_ref().to_vec()),
        }
    }
}

pub(crate) fn json_error(error: serde_json::Error) -> KeyError {
    KeyError::Json { line: error.line(), column: error.column() }
}

fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn shared(jwk: &Jwk) -> Result<Material, KeyError> {
    let secret = jwk.bytes("k")?;
    if secret.is_empty() {
        return Err(KeyError::Invalid("the secret is empty"));
    }
    Ok(Material::Shared(secret.into()))
}

fn rsa_key(jwk: &Jwk) -> Result<Material, KeyError> {
    let unpadded = |name| -> Result<Vec<u8>, KeyError> {
        let bytes = jwk.bytes(name)?;
        Ok(bytes.iter().copied().skip_while(|byte| *byte == 0).collect())
    };
    let public = rsa::PublicKeyComponents { n: unpadded("n")?, e: unpadded("e")? };
    let modulus_bits = public.n.len() * 8;
    if !(2041..=8192).contains(&modulus_bits) {
        return Err(KeyError::Invalid("an RSA modulus must have 2048 to 8192 bits"));
    }
    let private = match jwk.optional_bytes("d")? {
        None => None,
        Some(d) => {
            let components = rsa::KeyPairComponents {
                public_key: rsa::PublicKeyComponents { n: public.n.as_slice(), e: public.e.as_slice() },
                d: d.as_slice(),
                p: &jwk.bytes("p")?,
                q: &jwk.bytes("q")?,
                dP: &jwk.bytes("dp")?,
                dQ: &jwk.bytes("dq")?,
                qInv: &jwk.bytes("qi")?,
            };
            let pair = rsa::KeyPair::from_components(&components)
                .map_err(|_| KeyError::Invalid("its numbers are no RSA private key"))?;
            Some(Box::new(pair))
        }
    };
    Ok(Material::Rsa { public, private })
}

fn ec_key(jwk: &Jwk) -> Result<Material, KeyError> {
    let curve = match jwk.crv.as_deref() {
        Some("P-256") => Curve::P256,
        Some("P-384") => Curve::P384,
        Some("P-521") => Curve::P521,
        Some(_) => return Err(KeyError::Unsupported("\"crv\"")),
        None => return Err(KeyError::Missing("crv")),
    };
    let length = curve.coordinate_length();
    let mut point = vec![4]; // SEC 1: an uncompressed point follows
    point.extend(fixed(jwk.bytes("x")?, length)?);
    point.extend(fixed(jwk.bytes("y")?, length)?);
    let scheme = match curve {
        Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    };
    let private = match jwk.optional_bytes("d")? {
        None => None,
        Some(d) => {
            let pair = EcdsaKeyPair::from_private_key_and_public_key(scheme, &fixed(d, length)?, &point)
                .map_err(|_| KeyError::Invalid("\"d\", \"x\" and \"y\" do not belong together"))?;
            Some(Box::new(pair))
        }
    };
    Ok(Material::Ec { curve, point, private })
}

fn ed25519_key(jwk: &Jwk) -> Result<Material, KeyError> {
    match jwk.crv.as_deref() {
        Some("Ed25519") => {}
        Some(_) => return Err(KeyError::Unsupported("\"crv\"")),
        None => return Err(KeyError::Missing("crv")),
    }
    let public = fixed(jwk.bytes("x")?, 32)?;
    let private = match jwk.optional_bytes("d")? {
        None => None,
        Some(seed) => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public)
                .map_err(|_| KeyError::Invalid("\"d\" and \"x\" do not belong together"))?;
            debug_assert_eq!(pair.public_key().as_ref(), public.as_slice());
            Some(Box::new(pair))
        }
    };
    Ok(Material::Ed25519 { public, private })
}

/// A number in exactly `length` bytes: some writers drop leading zeros, some add one.
fn fixed(bytes: Vec<u8>, length: usize) -> Result<Vec<u8>, KeyError> {
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    if significant.len() > length {
        return Err(KeyError::Invalid("a coordinate is too long for its curve"));
    }
    let mut padded = vec![0; length - significant.len()];
    padded.extend(significant);
    Ok(padded)
}
