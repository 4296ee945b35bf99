//! Signed URLs: tokens that stand for one object, and for nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use tokens::{KeyRing, Policy, VerifyError};

use crate::error::{Code, Error, Result};

/// Signs and verifies URL tokens: with the key set's own key for URLs, else with the shared secret.
#[derive(Clone)]
pub struct UrlSigner {
    ring: KeyRing,
    own: Option<(Option<String>, Vec<u8>)>,
}

/// What an upload token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadGrant {
    /// Who will own the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `bucket/key`
    pub url: String,
    /// Whether it may replace an object.
    #[serde(default)]
    pub upsert: bool,
}

/// The transformations of an image, as far as they were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transformations {
    /// In pixels.
    pub height: Option<u32>,
    /// In pixels.
    pub width: Option<u32>,
    /// `cover`, `contain`, `fill`
    pub resize: Option<String>,
    /// 20 to 100.
    pub quality: Option<u32>,
    /// `origin`, `avif`
    pub format: Option<String>,
}

impl Transformations {
    /// As tokens and `X-Transformations` carry them: comma separated, in a fixed order. Empty without any effect.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut items = Vec::new();
        let sizes = [("height", self.height), ("width", self.width)];
        for (name, size) in sizes {
            if let Some(size) = size.filter(|size| *size > 0) {
                items.push(format!("{name}:{size}"));
            }
        }
        if !items.is_empty() {
            items.push(format!("resize:{}", self.resize.as_deref().unwrap_or("undefined")));
        }
        if let Some(quality) = self.quality {
            items.push(format!("quality:{quality}"));
        }
        if let Some(format) = &self.format {
            items.push(format!("format:{format}"));
        }
        items.join(",")
    }

    /// Reads what [`Transformations::to_text`] writes. Unknown items are skipped.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut found = Self::default();
        for (name, value) in text.split(',').filter_map(|item| item.split_once(':')) {
            match name {
                "height" => found.height = value.parse().ok(),
                "width" => found.width = value.parse().ok(),
                "resize" => found.resize = (value != "undefined").then(|| value.to_owned()),
                "quality" => found.quality = value.parse().ok(),
                "format" => found.format = Some(value.to_owned()),
                _ => {}
            }
        }
        found
    }
}

impl UrlSigner {
    pub(crate) fn new(ring: KeyRing, jwk: Option<&str>) -> Self {
        let own = jwk.and_then(|jwk| {
            let jwk: Value = serde_json::from_str(jwk).ok()?;
            let secret = URL_SAFE_NO_PAD.decode(jwk.get("k")?.as_str()?.trim_end_matches('=')).ok()?;
            let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            Some((kid, secret))
        });
        Self { ring, own }
    }

    /// A token with these claims, `iat` and `exp`. A claim `role` is taken out: a URL never acts as an API token.
    pub fn sign(&self, mut claims: Map<String, Value>, lifetime: Duration) -> Result<String> {
        let now = now();
        claims.remove("role");
        claims.insert("iat".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(lifetime.as_secs()).into());
        let keys = self.ring.keys();
        let (kid, secret) = match &self.own {
            Some((kid, secret)) => (kid.as_deref(), secret.as_slice()),
            None => match keys.secret() {
                Some(secret) => (None, secret),
                // Only asymmetric keys: any verifier of the project's tokens takes this one too.
                None => {
                    return self.ring.sign(&claims).map_err(Error::internal);
                }
            },
        };
        let header = match kid {
            Some(kid) => json!({ "alg": "HS256", "kid": kid }),
            None => json!({ "alg": "HS256" }),
        };
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(Value::Object(claims).to_string(), &mut token);
        let signature = mac(secret, token.as_bytes())?.finalize().into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The claims of a token that is good now.
    pub fn verify(&self, token: &str) -> Result<Map<String, Value>> {
        if let Some((_, secret)) = &self.own
            && let Some(claims) = verify_own(secret, token)
        {
            let expired = claims.get("exp").and_then(Value::as_f64).is_some_and(|exp| exp <= now() as f64);
            return if expired {
                Err(refused(&VerifyError::Claim(tokens::ClaimError::Expired)))
            } else {
                Ok(claims)
            };
        }
        let verified = self.ring.verify_with(token, &Policy::EXACT).map_err(|error| refused(&error))?;
        Ok(verified.claims.clone())
    }

    /// A token that opens one object for a while.
    pub fn sign_download(
        &self,
        bucket: &str,
        key: &str,
        transformations: &Transformations,
        lifetime: Duration,
    ) -> Result<String> {
        let mut claims = Map::new();
        claims.insert("url".into(), format!("{bucket}/{key}").into());
        let text = transformations.to_text();
        if !text.is_empty() {
            claims.insert("transformations".into(), text.into());
            if let Some(format) = &transformations.format {
                claims.insert("format".into(), format.as_str().into());
            }
        }
        self.sign(claims, lifetime)
    }

    /// The transformations and the expiry (seconds since 1970) of a download token for this object.
    pub fn verify_download(
        &self,
        token: &str,
        bucket: &str,
        key: &str,
    ) -> Result<(Transformations, Option<u64>)> {
        let claims = self.verify(token)?;
        if !claims.get("url").and_then(Value::as_str).is_some_and(|url| names(url, bucket, key)) {
            return Err(Error::new(Code::InvalidSignature, "Invalid signature"));
        }
        let text = claims.get("transformations").and_then(Value::as_str).unwrap_or_default();
        let expires = claims.get("exp").and_then(Value::as_f64).map(|exp| exp as u64);
        Ok((Transformations::from_text(text), expires))
    }

    /// A token that lets its holder upload one object for a while.
    pub fn sign_upload(&self, grant: &UploadGrant, lifetime: Duration) -> Result<String> {
        match serde_json::to_value(grant) {
            Ok(Value::Object(claims)) => self.sign(claims, lifetime),
            _ => Err(Error::internal("a grant is an object")),
        }
    }

    /// What an upload token for this object allows. A download token allows nothing here.
    pub fn verify_upload(&self, token: &str, bucket: &str, key: &str) -> Result<UploadGrant> {
        let claims = self.verify(token)?;
        let invalid = || Error::new(Code::InvalidSignature, "Invalid signature");
        // Only an upload token says whether it may replace: one that was given out for reading must not write.
        if !claims.contains_key("upsert") {
            return Err(invalid());
        }
        let grant: UploadGrant = serde_json::from_value(Value::Object(claims)).map_err(|_| invalid())?;
        if names(&grant.url, bucket, key) { Ok(grant) } else { Err(invalid()) }
    }
}

/// Whether a claim names the object. The original signs some keys with escapes left in.
fn names(url: &str, bucket: &str, key: &str) -> bool {
    let is = |url: &str| url.strip_prefix(bucket).and_then(|rest| rest.strip_prefix('/')) == Some(key);
    is(url)
        || (url.contains('%')
            && percent_encoding::percent_decode_str(url).decode_utf8().is_ok_and(|decoded| is(&decoded)))
}

fn mac(secret: &[u8], input: &[u8]) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(Error::internal)?;
    mac.update(input);
    Ok(mac)
}

fn verify_own(secret: &[u8], token: &str) -> Option<Map<String, Value>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    if header.get("alg")?.as_str()? != "HS256" {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    mac(secret, signed.as_bytes()).ok()?.verify_slice(&signature).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A token that does not verify, in the words of the original's library, which clients show.
pub(crate) fn refused(error: &VerifyError) -> Error {
    use tokens::ClaimError;
    let text = match error {
        VerifyError::Empty | VerifyError::Parts(_) | VerifyError::Encoding(_) => "Invalid Compact JWS",
        VerifyError::Header => "JWS Protected Header is invalid",
        VerifyError::Unsigned | VerifyError::Algorithm(_) => {
            "\"alg\" (Algorithm) Header Parameter value not allowed"
        }
        VerifyError::NoKey { .. } | VerifyError::Signature => "signature verification failed",
        VerifyError::Payload => "JWT Claims Set must be a top-level JSON object",
        VerifyError::Claim(ClaimError::Expired) => "\"exp\" claim timestamp check failed",
        VerifyError::Claim(ClaimError::NotYetValid) => "\"nbf\" claim timestamp check failed",
        VerifyError::Claim(_) => "invalid claims",
    };
    Error::new(Code::InvalidJWT, text)
}
