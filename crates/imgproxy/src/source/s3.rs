//! S3-like stores: one signed GET (AWS Signature Version 4).

use ::http::{HeaderMap, HeaderName, HeaderValue, header};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::http::Http;
use super::{Answer, path_of};
use crate::Error;

/// Where the store is and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Config {
    /// Where the store is, with path-style addresses; AWS by the bucket's name if not given.
    pub endpoint: Option<String>,
    /// Of the bucket.
    pub region: String,
    /// Without it requests are not signed.
    pub access_key: Option<String>,
    /// Goes with the access key.
    pub secret_key: String,
    /// Of temporary keys.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

pub(super) struct S3 {
    config: S3Config,
    http: Http,
}

/// What a path keeps as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// What a query's value keeps as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl S3 {
    pub(super) fn new(config: S3Config, http: Http) -> Self {
        Self { config, http }
    }

    pub(super) async fn ask(&self, address: &str, mut headers: HeaderMap) -> Result<Answer, Error> {
        let (scheme_and_host, path, query) = self.target(address)?;
        self.sign(&scheme_and_host, &path, &query, &mut headers, Utc::now())?;
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        self.http.ask(&format!("{scheme_and_host}{path}{query}"), headers).await
    }

    /// Scheme and host, encoded path, query.
    fn target(&self, address: &str) -> Result<(String, String, String), Error> {
        let rest = address.split_once("://").map_or("", |(_, rest)| rest);
        let bucket = rest.split(['/', '?']).next().unwrap_or_default();
        let key = path_of(address);
        if bucket.is_empty() || key.len() < 2 {
            return Err(Error::unreachable("no bucket or no key"));
        }
        let path = utf8_percent_encode(&key, PATH).to_string();
        let version =
            rest.split_once('?').map(|(_, version)| utf8_percent_encode(version, QUERY).to_string());
        let query = version.map(|version| format!("versionId={version}")).unwrap_or_default();
        Ok(match &self.config.endpoint {
            Some(endpoint) => (endpoint.trim_end_matches('/').to_owned(), format!("/{bucket}{path}"), query),
            None => (format!("https://{bucket}.s3.{}.amazonaws.com", self.config.region), path, query),
        })
    }

    fn sign(
        &self,
        target: &str,
        path: &str,
        query: &str,
        headers: &mut HeaderMap,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let Some(access_key) = &self.config.access_key else { return Ok(()) };
        // An endpoint may have a path of its own.
        let after_scheme = target.split_once("://").map_or(target, |(_, rest)| rest);
        let (host, base) = after_scheme.find('/').map_or((after_scheme, ""), |at| after_scheme.split_at(at));
        let moment = now.format("%Y%m%dT%H%M%SZ").to_string();
        let day = &moment[..8];
        let nothing = hex::encode(Sha256::digest(b""));
        let mut signed = vec![("host", host), ("x-amz-content-sha256", &nothing), ("x-amz-date", &moment)];
        if let Some(token) = &self.config.session_token {
            signed.push(("x-amz-security-token", token));
        }
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("GET\n{base}{path}\n{query}\n{lines}\n{names}\n{nothing}");
        let scope = format!("{day}/{}/s3/aws4_request", self.config.region);
        let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let mut key = format!("AWS4{}", self.config.secret_key).into_bytes();
        for part in [day, &self.config.region, "s3", "aws4_request", &text] {
            key = code(&key, part)?;
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={}",
            hex::encode(key)
        );
        let mut put = |name: HeaderName, value: &str| {
            let value = HeaderValue::try_from(value).map_err(|error| Error::internal(error.to_string()))?;
            headers.insert(name, value);
            Ok::<_, Error>(())
        };
        put(header::AUTHORIZATION, &authorization)?;
        for (name, value) in signed.into_iter().filter(|(name, _)| *name != "host") {
            put(HeaderName::from_static(name), value)?;
        }
        Ok(())
    }
}

fn code(key: &[u8], text: &str) -> Result<Vec<u8>, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| Error::internal(error.to_string()))?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}
