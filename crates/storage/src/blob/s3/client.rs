//! One signed request.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Response, Url};
use tokio::sync::Semaphore;

use super::super::{BlobName, StoreError};
use super::{STALL, read_small};
use crate::config::S3Backend;
use crate::s3::xml::{Element, parse};
use crate::sigv4::{Signer, encode};

/// How often a request is tried whose body can be sent again.
const TRIES: u32 = 4;
/// The wait before the second try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// A bucket, and who asks for it.
pub(super) struct Client {
    http: reqwest::Client,
    scheme: String,
    /// The value of the header, with a port that is not the scheme's own.
    host: String,
    /// What stands before the key: `/` or `/bucket/`.
    base: String,
    bucket: String,
    signer: Signer,
    sockets: Semaphore,
    timeout: Option<Duration>,
    pub(super) stall: Duration,
    /// R2 wants all parts but the last of one size.
    pub(super) even_parts: bool,
    max_sockets: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("host", &self.host).field("base", &self.base).finish_non_exhaustive()
    }
}

/// A request's body.
#[derive(Clone)]
pub(super) enum Payload {
    /// None.
    Empty,
    /// In memory: the request may be tried again.
    Whole(Bytes),
}

pub(super) fn invalid(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("a request cannot be made: {error}"))
}

fn unreachable(error: reqwest::Error) -> StoreError {
    StoreError::Unavailable(error.without_url().to_string())
}

impl Client {
    pub(super) fn new(backend: &S3Backend, http: reqwest::Client) -> Result<Self, StoreError> {
        let endpoint = backend
            .endpoint
            .clone()
            .unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", backend.region));
        let url =
            Url::parse(&endpoint).map_err(|error| invalid(format!("the endpoint {endpoint:?}: {error}")))?;
        let name = url.host_str().ok_or_else(|| invalid(format!("the endpoint {endpoint:?} has no host")))?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let prefix = url.path().trim_end_matches('/');
        let is_address = name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[');
        let bucket = &backend.bucket;
        let (host, base) = if backend.force_path_style || is_address {
            (format!("{name}{port}"), format!("{prefix}/{}/", encode(bucket)))
        } else {
            (format!("{bucket}.{name}{port}"), format!("{prefix}/"))
        };
        let (access_key, secret) = backend.credentials.clone().ok_or_else(|| {
            invalid("the store has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        })?;
        Ok(Self {
            http,
            scheme: url.scheme().to_owned(),
            even_parts: name.ends_with(".r2.cloudflarestorage.com"),
            host,
            base,
            bucket: bucket.clone(),
            signer: Signer {
                access_key,
                secret,
                session_token: backend.session_token.clone(),
                region: backend.region.clone(),
            },
            sockets: Semaphore::new(backend.max_sockets.max(1)),
            timeout: backend.timeout,
            stall: STALL,
            max_sockets: backend.max_sockets.max(1),
        })
    }

    pub(super) fn with_stall(&self, stall: Duration) -> Self {
        Self {
            http: self.http.clone(),
            scheme: self.scheme.clone(),
            host: self.host.clone(),
            base: self.base.clone(),
            bucket: self.bucket.clone(),
            signer: self.signer.clone(),
            sockets: Semaphore::new(self.max_sockets),
            timeout: self.timeout,
            stall,
            even_parts: self.even_parts,
            max_sockets: self.max_sockets,
        }
    }

    /// A blob's address as a copy's source: `bucket/key`, encoded.
    pub(super) fn copy_source(&self, name: &BlobName) -> String {
        format!("{}/{}", encode(&self.bucket), encode_key(&name.path()))
    }

    /// Sends a request and returns its answer, whatever the status. One with a body in memory is tried again when the
    /// store cannot be reached, is overloaded or broken.
    pub(super) async fn send(
        &self,
        method: Method,
        name: Option<&BlobName>,
        query: &[(String, String)],
        headers: HeaderMap,
        payload: Payload,
    ) -> Result<Response, StoreError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let request = match &payload {
                Payload::Empty => self.request(&method, name, query, headers.clone(), None)?,
                Payload::Whole(bytes) => {
                    // Said even of nothing: S3 takes no body of unknown length.
                    let length = Some(bytes.len() as u64);
                    self.request(&method, name, query, headers.clone(), length)?.body(bytes.clone())
                }
            };
            let _permit = self.sockets.acquire().await.map_err(invalid)?;
            let limit = self.timeout.unwrap_or(self.stall);
            let outcome = match tokio::time::timeout(limit, request.send()).await {
                Ok(outcome) => outcome.map_err(unreachable),
                Err(_) => Err(StoreError::Unavailable("it does not answer".into())),
            };
            let is_passing = match &outcome {
                Ok(response) => {
                    response.status().is_server_error() || response.status() == StatusCode::TOO_MANY_REQUESTS
                }
                Err(_) => true,
            };
            if !is_passing || attempt == TRIES {
                return outcome;
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    /// Sends a body that can be sent only once.
    pub(super) async fn send_stream(
        &self,
        name: &BlobName,
        query: &[(String, String)],
        mut headers: HeaderMap,
        size: u64,
        body: reqwest::Body,
    ) -> Result<Response, StoreError> {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        let request = self.request(&Method::PUT, Some(name), query, headers, Some(size))?.body(body);
        let _permit = self.sockets.acquire().await.map_err(invalid)?;
        request.send().await.map_err(unreachable)
    }

    fn request(
        &self,
        method: &Method,
        name: Option<&BlobName>,
        query: &[(String, String)],
        mut headers: HeaderMap,
        length: Option<u64>,
    ) -> Result<reqwest::RequestBuilder, StoreError> {
        let key = name.map(|name| encode_key(&name.path())).unwrap_or_default();
        let path = format!("{}{key}", self.base);
        // The bucket itself is addressed without the slash, unless it is the host.
        let path =
            if name.is_none() && path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
        let text: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let question = if text.is_empty() { "" } else { "?" };
        let url = format!("{}://{}{path}{question}{}", self.scheme, self.host, text.join("&"));
        let url = Url::parse(&url).map_err(invalid)?;
        // Sent by the client library by itself, so it is left out of the signature.
        headers.remove(header::CONTENT_LENGTH);
        self.signer.sign(
            method.as_str(),
            &self.host,
            &path,
            query,
            &mut headers,
            "UNSIGNED-PAYLOAD",
            Utc::now(),
        );
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Ok(self.http.request(method.clone(), url).headers(headers))
    }

    /// The size of a blob.
    pub(super) async fn size(&self, name: &BlobName) -> Result<u64, StoreError> {
        let response = self.send(Method::HEAD, Some(name), &[], HeaderMap::new(), Payload::Empty).await?;
        match response.status() {
            StatusCode::OK => response
                .headers()
                .get(header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .ok_or_else(|| StoreError::Failed("no Content-Length".into())),
            // An answer to HEAD has no body to explain it.
            StatusCode::NOT_FOUND => Err(StoreError::NotFound),
            status => Err(failure(status, "")),
        }
    }

    /// Sends a request that answers with a document.
    pub(super) async fn document(
        &self,
        method: Method,
        name: &BlobName,
        query: &[(String, String)],
        headers: HeaderMap,
        payload: Payload,
    ) -> Result<Element, StoreError> {
        let response = self.send(method, Some(name), query, headers, payload).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        let body = read_small(response).await?;
        let root = parse(&body).map_err(|error| StoreError::Failed(error.to_string()))?;
        // Long copies answer 200 before they know how they end.
        if root.name == "Error" {
            return Err(StoreError::Failed(root.text_of("Code").unwrap_or("Error").to_owned()));
        }
        Ok(root)
    }
}

/// A key in a path.
fn encode_key(key: &str) -> String {
    key.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// What an answer that is no success means.
pub(super) async fn refusal(response: Response) -> StoreError {
    let status = response.status();
    let body = read_small(response).await.unwrap_or_default();
    let code = parse(&body).ok().and_then(|root| root.text_of("Code").map(str::to_owned)).unwrap_or_default();
    failure(status, &code)
}

fn failure(status: StatusCode, code: &str) -> StoreError {
    match (status.as_u16(), code) {
        (404, "NoSuchBucket") => StoreError::Failed("the store's bucket does not exist".into()),
        (404, "NoSuchUpload") => StoreError::Failed(code.to_owned()),
        (404, _) => StoreError::NotFound,
        (507, _) | (_, "XMinioStorageFull" | "QuotaExceeded") => StoreError::Full,
        (429 | 500.., _) => StoreError::Unavailable(format!("{status} {code}")),
        _ => StoreError::Failed(format!("{status} {code}")),
    }
}

/// A header of a request.
pub(super) fn header(name: &'static str, value: &str) -> Result<(HeaderName, HeaderValue), StoreError> {
    Ok((HeaderName::from_static(name), HeaderValue::from_str(value).map_err(invalid)?))
}
