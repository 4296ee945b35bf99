//! The client's side: signing requests to a store that speaks S3, and making presigned URLs.

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::verify::string_to_sign;
use super::{ALGORITHM, Scope, SigningKey, canonical};

/// Who signs, and for which region.
#[derive(Clone)]
pub struct Signer {
    /// The access key.
    pub access_key: String,
    /// The secret.
    pub secret: String,
    /// A token that goes with temporary keys.
    pub session_token: Option<String>,
    /// The region: `auto` for R2.
    pub region: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("access_key", &self.access_key)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Adds `x-amz-date`, `x-amz-content-sha256` and `Authorization`. Every header that is there is covered.
    ///
    /// `path` is percent-encoded as it will be sent, `host` is the value of the header that the client will send, and
    /// `payload` a hash in hex or one of S3's words.
    #[allow(clippy::too_many_arguments)]
    pub fn sign(
        &self,
        method: &str,
        host: &str,
        path: &str,
        query: &[(String, String)],
        headers: &mut HeaderMap,
        payload: &str,
        now: DateTime<Utc>,
    ) {
        let timestamp = now.format("%Y%m%dT%H%M%SZ").to_string();
        let scope = Scope { date: timestamp[..8].to_owned(), region: self.region.clone() };
        insert(headers, "x-amz-date", &timestamp);
        insert(headers, "x-amz-content-sha256", payload);
        if let Some(token) = &self.session_token {
            insert(headers, "x-amz-security-token", token);
        }
        let mut signed: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        signed.push("host".to_owned());
        signed.sort();
        signed.dedup();
        let lines = canonical::headers(&signed, headers, host);
        let text = canonical::request(method, path, &canonical::query(query), &lines, &signed, payload);
        let key = SigningKey::derive(&self.secret, &scope.date, &scope.region, "s3");
        let signature = key.sign(string_to_sign(&timestamp, &scope, &text).as_bytes());
        let value = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            self.access_key,
            signed.join(";"),
        );
        insert(headers, "authorization", &value);
    }
}

/// Texts of keys and regions may hold anything; one that cannot stand in a header fails at the server as a bad signature.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
    headers.insert(HeaderName::from_static(name), value);
}

/// The query of a presigned URL that covers nothing but the host, with `query` in it.
#[must_use]
pub fn presign(
    signer: &Signer,
    method: &str,
    host: &str,
    path: &str,
    query: &[(String, String)],
    expires: u32,
    now: DateTime<Utc>,
) -> String {
    let timestamp = now.format("%Y%m%dT%H%M%SZ").to_string();
    let scope = Scope { date: timestamp[..8].to_owned(), region: signer.region.clone() };
    let mut pairs = query.to_vec();
    let mut push = |name: &str, value: String| pairs.push((name.to_owned(), value));
    push("X-Amz-Algorithm", ALGORITHM.to_owned());
    push("X-Amz-Credential", format!("{}/{scope}", signer.access_key));
    push("X-Amz-Date", timestamp.clone());
    push("X-Amz-Expires", expires.to_string());
    push("X-Amz-SignedHeaders", "host".to_owned());
    if let Some(token) = &signer.session_token {
        push("X-Amz-Security-Token", token.clone());
    }
    let query = canonical::query(&pairs);
    let signed = ["host".to_owned()];
    let lines = canonical::headers(&signed, &HeaderMap::new(), host);
    let text = canonical::request(method, path, &query, &lines, &signed, "UNSIGNED-PAYLOAD");
    let key = SigningKey::derive(&signer.secret, &scope.date, &scope.region, "s3");
    let signature = key.sign(string_to_sign(&timestamp, &scope, &text).as_bytes());
    format!("{query}&X-Amz-Signature={signature}")
}
