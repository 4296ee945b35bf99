//! Blobs in any S3-compatible store: R2, MinIO, AWS, another monobase.
//!
//! The client is our own, over `sigv4` and `reqwest`: what a store needs of S3 is nine requests, and what the general
//! libraries do not offer is what matters here (a body that streams with a known length and no buffer, parts joined by
//! the server, the body's own error kept apart from the store's).

mod client;
mod join;
mod write;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use md5::{Digest, Md5};

use self::client::{Client, Payload, invalid};
use super::{Attributes, Blob, BlobName, BoxFuture, Inflow, Outflow, Piece, Store, StoreError, Written};
use crate::config::S3Backend;
use crate::s3::xml::{Document, parse};

/// How many keys one request deletes at most: S3's limit.
const DELETE_BATCH: usize = 1000;
/// How long a store may keep a body waiting, in either direction, before it counts as dead.
const STALL: Duration = Duration::from_secs(30);
/// The largest object that one request writes or copies: S3's limit.
const MAX_SINGLE: u64 = 5 << 30;

/// A bucket of an S3-compatible server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Arc<Client>,
}

impl S3Store {
    /// A store in the bucket that `backend` names. `http` needs a TLS provider where the endpoint is `https`; it should
    /// follow no redirects.
    pub fn new(backend: &S3Backend, http: reqwest::Client) -> Result<Self, StoreError> {
        Ok(Self { client: Arc::new(Client::new(backend, http)?) })
    }

    /// The same, giving a store up that keeps a body waiting for `stall`.
    #[must_use]
    pub fn with_stall_limit(self, stall: Duration) -> Self {
        Self { client: Arc::new(self.client.with_stall(stall)) }
    }
}

fn attribute_headers(attributes: &Attributes) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let pairs = [
        (header::CONTENT_TYPE, &attributes.content_type),
        (header::CACHE_CONTROL, &attributes.cache_control),
    ];
    for (name, value) in pairs {
        // What cannot stand in a header is in the row all the same.
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
    headers
}

impl Store for S3Store {
    fn kind(&self) -> &'static str {
        "s3"
    }

    fn put<'a>(
        &'a self,
        name: &'a BlobName,
        attributes: &'a Attributes,
        body: Inflow,
    ) -> BoxFuture<'a, Result<Written, StoreError>> {
        Box::pin(write::put(&self.client, name, attributes, body))
    }

    fn get<'a>(
        &'a self,
        name: &'a BlobName,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Blob, StoreError>> {
        Box::pin(get(&self.client, name, range))
    }

    fn head<'a>(&'a self, name: &'a BlobName) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.client.size(name))
    }

    fn copy<'a>(
        &'a self,
        from: &'a BlobName,
        to: &'a BlobName,
        attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(join::copy(&self.client, from, to, attributes))
    }

    fn compose<'a>(
        &'a self,
        pieces: &'a [Piece],
        to: &'a BlobName,
        attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(join::compose(&self.client, pieces, to, attributes))
    }

    fn delete<'a>(&'a self, names: &'a [BlobName]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(delete(&self.client, names))
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let response =
                self.client.send(Method::HEAD, None, &[], HeaderMap::new(), Payload::Empty).await?;
            match response.status() {
                StatusCode::OK => Ok(()),
                status => Err(StoreError::Failed(format!("the store's bucket answers {status}"))),
            }
        })
    }
}

async fn get(client: &Arc<Client>, name: &BlobName, range: Option<Range<u64>>) -> Result<Blob, StoreError> {
    let mut headers = HeaderMap::new();
    if let Some(range) = &range {
        if range.is_empty() {
            let size = client.size(name).await?;
            let at = range.start.min(size);
            return Ok(Blob { size, range: at..at, body: Outflow::Ready(Bytes::new()) });
        }
        let value = format!("bytes={}-{}", range.start, range.end - 1);
        headers.insert(header::RANGE, HeaderValue::from_str(&value).map_err(invalid)?);
    }
    let response = client.send(Method::GET, Some(name), &[], headers, Payload::Empty).await?;
    let (size, range) = match response.status() {
        StatusCode::OK => {
            let size =
                response.content_length().ok_or_else(|| StoreError::Failed("no Content-Length".into()))?;
            (size, 0..size)
        }
        StatusCode::PARTIAL_CONTENT => response
            .headers()
            .get(header::CONTENT_RANGE)
            .and_then(|value| content_range(value.to_str().ok()?))
            .ok_or_else(|| StoreError::Failed("a malformed Content-Range".into()))?,
        StatusCode::RANGE_NOT_SATISFIABLE => return Err(StoreError::Range),
        _ => return Err(client::refusal(response).await),
    };
    Ok(Blob { size, range: range.clone(), body: outflow(response, range.end - range.start, client.stall) })
}

/// Reads `bytes 0-9/100` as the size of the whole and the half-open part.
fn content_range(text: &str) -> Option<(u64, Range<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((size.parse().ok()?, first..last.checked_add(1)?))
}

/// A body that is given up when the store stops sending, and that must be as long as it was announced.
fn outflow(response: reqwest::Response, length: u64, stall: Duration) -> Outflow {
    let body = Box::pin(response.bytes_stream());
    Outflow::Coming(Box::pin(stream::try_unfold((body, length), move |(mut body, left)| async move {
        match tokio::time::timeout(stall, body.next()).await {
            Err(_) => Err(StoreError::Unavailable("it stopped sending".into())),
            Ok(None) if left > 0 => Err(StoreError::Unavailable("it ended a body early".into())),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(StoreError::Unavailable(error.without_url().to_string())),
            Ok(Some(Ok(bytes))) => {
                let left = left.checked_sub(bytes.len() as u64);
                let left = left.ok_or_else(|| StoreError::Failed("a body longer than announced".into()))?;
                Ok(Some((bytes, (body, left))))
            }
        }
    })))
}

async fn delete(client: &Client, names: &[BlobName]) -> Result<(), StoreError> {
    if let [name] = names {
        let response = client.send(Method::DELETE, Some(name), &[], HeaderMap::new(), Payload::Empty).await?;
        return match response.status() {
            StatusCode::NO_CONTENT | StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(client::refusal(response).await),
        };
    }
    for batch in names.chunks(DELETE_BATCH) {
        let mut document = Document::new("Delete");
        for name in batch {
            document.nest("Object", |object| object.text("Key", &name.path()));
        }
        document.value("Quiet", true);
        let body = document.finish();
        let mut headers = HeaderMap::new();
        let digest = STANDARD.encode(Md5::digest(&body));
        headers.insert("content-md5", HeaderValue::from_str(&digest).map_err(invalid)?);
        let query = [("delete".to_owned(), String::new())];
        let response = client.send(Method::POST, None, &query, headers, Payload::Whole(body)).await?;
        if response.status() != StatusCode::OK {
            return Err(client::refusal(response).await);
        }
        let answer = read_small(response).await?;
        let answer = parse(&answer).map_err(|error| StoreError::Failed(error.to_string()))?;
        let failed = answer.all("Error").find(|error| error.text_of("Code") != Some("NoSuchKey"));
        if let Some(error) = failed {
            let code = error.text_of("Code").unwrap_or_default();
            return Err(StoreError::Failed(format!("a blob could not be deleted: {code}")));
        }
    }
    Ok(())
}

/// A document of the store's. They are small; a store that sends more is not believed.
async fn read_small(response: reqwest::Response) -> Result<Bytes, StoreError> {
    const LIMIT: usize = 4 << 20;
    let mut out = bytes::BytesMut::new();
    let mut body = Box::pin(response.bytes_stream());
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| StoreError::Unavailable(error.without_url().to_string()))?;
        if out.len() + bytes.len() > LIMIT {
            return Err(StoreError::Failed("an answer is too long".into()));
        }
        out.extend_from_slice(&bytes);
    }
    Ok(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_half_open() {
        assert_eq!(content_range("bytes 0-9/100"), Some((100, 0..10)));
        assert_eq!(content_range("bytes 9-0/100"), None);
        assert_eq!(content_range("bytes 0-9/*"), None);
        assert_eq!(content_range("0-9/100"), None);
    }
}
