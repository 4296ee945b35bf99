//! Writing a blob.
//!
//! A body of known size streams through without being held: one request up to 5 GiB, parts of equal size beyond. It can
//! be sent only once, so a store that fails in the middle fails the upload. Small bodies and those of unknown size are
//! collected, at most a part at a time, and tried again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use md5::{Digest, Md5};
use tokio::time::Instant;

use super::super::{Attributes, BlobName, BodyError, Inflow, StoreError, Written};
use super::client::{self, Client, Payload, invalid, refusal};
use super::{MAX_SINGLE, attribute_headers};
use crate::s3::xml::Document;

/// Bodies up to this size are collected and sent in one piece.
const SMALL: u64 = 256 << 10;
/// The size of parts when the body's is not known: 10,000 of them are 156 GiB.
const PART: usize = 16 << 20;
/// How many parts an upload may have: S3's limit.
pub(super) const MAX_PARTS: u64 = 10_000;

pub(super) async fn put(
    client: &Arc<Client>,
    name: &BlobName,
    attributes: &Attributes,
    mut body: Inflow,
) -> Result<Written, StoreError> {
    match attributes.size {
        Some(size) if size > SMALL && size <= MAX_SINGLE => {
            let mut source = Source::new(body, size, client.stall);
            let response = source.send(client, name, &[], attribute_headers(attributes), size).await?;
            if response.status() != StatusCode::OK {
                return Err(refusal(response).await);
            }
            let written = source.finish().await?;
            if let Err(error) = check_etag(&response, &written.md5) {
                super::delete(client, std::slice::from_ref(name)).await?;
                return Err(error);
            }
            Ok(written)
        }
        Some(size) if size > MAX_SINGLE => {
            let parts = Parts::begin(client, name, attributes).await?;
            let mut source = Source::new(body, size, client.stall);
            let part = part_size(size);
            let mut sent = 0;
            while sent < size {
                let length = part.min(size - sent);
                let query = parts.query();
                let response = source.send(client, name, &query, HeaderMap::new(), length).await?;
                parts.add(response).await?;
                sent += length;
            }
            let written = source.finish().await?;
            parts.complete().await?;
            Ok(written)
        }
        _ => {
            let (first, is_whole) = collect(&mut body, PART).await?;
            if is_whole {
                return put_whole(client, name, attributes, first).await;
            }
            put_parts(client, name, attributes, first, body).await
        }
    }
}

/// The size of equal parts for a body of `size` bytes.
pub(super) fn part_size(size: u64) -> u64 {
    (PART as u64 * 4).max(size.div_ceil(MAX_PARTS))
}

async fn put_whole(
    client: &Client,
    name: &BlobName,
    attributes: &Attributes,
    bytes: Bytes,
) -> Result<Written, StoreError> {
    let md5: [u8; 16] = Md5::digest(&bytes).into();
    let mut headers = attribute_headers(attributes);
    headers.insert("content-md5", HeaderValue::from_str(&STANDARD.encode(md5)).map_err(invalid)?);
    let size = bytes.len() as u64;
    let response = client.send(Method::PUT, Some(name), &[], headers, Payload::Whole(bytes)).await?;
    match response.status() {
        StatusCode::OK => Ok(Written { size, md5, leaves: None }),
        _ => Err(refusal(response).await),
    }
}

async fn put_parts(
    client: &Arc<Client>,
    name: &BlobName,
    attributes: &Attributes,
    first: Bytes,
    mut body: Inflow,
) -> Result<Written, StoreError> {
    let parts = Parts::begin(client, name, attributes).await?;
    let mut digest = Md5::new();
    let mut size = 0;
    let (mut bytes, mut is_last) = (first, false);
    loop {
        digest.update(&bytes);
        size += bytes.len() as u64;
        parts.put(bytes).await?;
        if is_last {
            break;
        }
        (bytes, is_last) = collect(&mut body, PART).await?;
        if bytes.is_empty() {
            break;
        }
    }
    parts.complete().await?;
    Ok(Written { size, md5: digest.finalize().into(), leaves: None })
}

/// Up to `limit` bytes, and whether the body ended with them.
async fn collect(body: &mut Inflow, limit: usize) -> Result<(Bytes, bool), StoreError> {
    let mut bytes = BytesMut::new();
    while bytes.len() < limit {
        match body.next().await {
            Some(chunk) => bytes.extend_from_slice(&chunk?),
            None => return Ok((bytes.freeze(), true)),
        }
    }
    Ok((bytes.freeze(), false))
}

/// A store that reports another MD5 has other bytes. Tags that are none (encrypted objects) say nothing.
fn check_etag(response: &reqwest::Response, md5: &[u8; 16]) -> Result<(), StoreError> {
    let etag = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let etag = etag.trim_matches('"');
    let is_md5 = etag.len() == 32 && !response.headers().contains_key("x-amz-server-side-encryption");
    if is_md5 && !etag.eq_ignore_ascii_case(&hex::encode(md5)) {
        return Err(StoreError::Failed("the store received other bytes than were sent".into()));
    }
    Ok(())
}

/// An upload in parts at the store. Dropped before its end, it is aborted.
pub(super) struct Parts {
    client: Arc<Client>,
    name: BlobName,
    id: String,
    tags: Mutex<Vec<String>>,
    is_open: bool,
}

impl Parts {
    pub(super) async fn begin(
        client: &Arc<Client>,
        name: &BlobName,
        attributes: &Attributes,
    ) -> Result<Self, StoreError> {
        let query = [("uploads".to_owned(), String::new())];
        let headers = attribute_headers(attributes);
        let root = client.document(Method::POST, name, &query, headers, Payload::Empty).await?;
        let id = root.text_of("UploadId").ok_or_else(|| StoreError::Failed("no UploadId".into()))?.to_owned();
        Ok(Self {
            client: client.clone(),
            name: name.clone(),
            id,
            tags: Mutex::new(Vec::new()),
            is_open: true,
        })
    }

    fn tags(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The query of the next part.
    pub(super) fn query(&self) -> [(String, String); 2] {
        let number = self.tags().len() + 1;
        [("partNumber".to_owned(), number.to_string()), ("uploadId".to_owned(), self.id.clone())]
    }

    /// Takes the answer to a part.
    pub(super) async fn add(&self, response: reqwest::Response) -> Result<(), StoreError> {
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        let etag = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok());
        let etag = etag.ok_or_else(|| StoreError::Failed("a part without ETag".into()))?.to_owned();
        self.tags().push(etag);
        Ok(())
    }

    /// Sends a part that is in memory.
    pub(super) async fn put(&self, bytes: Bytes) -> Result<(), StoreError> {
        let mut headers = HeaderMap::new();
        let digest = STANDARD.encode(Md5::digest(&bytes));
        headers.insert("content-md5", HeaderValue::from_str(&digest).map_err(invalid)?);
        let response = self
            .client
            .send(Method::PUT, Some(&self.name), &self.query(), headers, Payload::Whole(bytes))
            .await?;
        self.add(response).await
    }

    /// Copies (a part of) another blob.
    pub(super) async fn copy(
        &self,
        from: &BlobName,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<(), StoreError> {
        let mut headers = HeaderMap::new();
        let (name, value) = client::header("x-amz-copy-source", &self.client.copy_source(from))?;
        headers.insert(name, value);
        if let Some(range) = range {
            let value = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            let (name, value) = client::header("x-amz-copy-source-range", &value)?;
            headers.insert(name, value);
        }
        let root =
            self.client.document(Method::PUT, &self.name, &self.query(), headers, Payload::Empty).await?;
        let etag =
            root.text_of("ETag").ok_or_else(|| StoreError::Failed("a part without ETag".into()))?.to_owned();
        self.tags().push(etag);
        Ok(())
    }

    /// Joins the parts.
    pub(super) async fn complete(mut self) -> Result<(), StoreError> {
        let mut document = Document::new("CompleteMultipartUpload");
        for (at, etag) in self.tags().iter().enumerate() {
            document.nest("Part", |part| {
                part.value("PartNumber", at + 1);
                part.text("ETag", etag);
            });
        }
        let query = [("uploadId".to_owned(), self.id.clone())];
        let payload = Payload::Whole(document.finish());
        let outcome = self.client.document(Method::POST, &self.name, &query, HeaderMap::new(), payload).await;
        match outcome {
            Ok(_) => {}
            // The first try may have succeeded before its answer was lost.
            Err(StoreError::Failed(code)) if code.contains("NoSuchUpload") => {
                self.client.size(&self.name).await?;
            }
            Err(error) => return Err(error),
        }
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let (client, name, id) = (self.client.clone(), self.name.clone(), std::mem::take(&mut self.id));
        // Bounded by the request's own limits. When the process ends first, the store's rule for uploads that were never
        // finished removes it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let query = [("uploadId".to_owned(), id)];
                if let Err(error) =
                    client.send(Method::DELETE, Some(&name), &query, HeaderMap::new(), Payload::Empty).await
                {
                    tracing::warn!(%error, "an upload in parts stays at the store unfinished");
                }
            });
        }
    }
}

/// A body that is cut into requests, digested on the way, and watched: the client may be as slow as the door allows, the
/// store may not.
struct Source {
    body: Arc<tokio::sync::Mutex<Reading>>,
    stall: Duration,
    watch: Arc<Watch>,
    total: u64,
}

struct Reading {
    body: Inflow,
    rest: Bytes,
    digest: Md5,
    seen: u64,
}

/// Who is being waited for.
struct Watch {
    start: Instant,
    /// Milliseconds since `start` when the store was last given something; `u64::MAX` while the client is waited for.
    handed: AtomicU64,
    failure: Mutex<Option<BodyError>>,
}

impl Watch {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn fail(&self, error: BodyError) -> std::io::Error {
        let text = error.to_string();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        std::io::Error::other(text)
    }

    fn failure(&self) -> Option<BodyError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Source {
    fn new(body: Inflow, total: u64, stall: Duration) -> Self {
        let reading = Reading { body, rest: Bytes::new(), digest: Md5::new(), seen: 0 };
        Self {
            body: Arc::new(tokio::sync::Mutex::new(reading)),
            stall,
            watch: Arc::new(Watch {
                start: Instant::now(),
                handed: AtomicU64::new(0),
                failure: Mutex::new(None),
            }),
            total,
        }
    }

    /// Sends the next `length` bytes as one request.
    async fn send(
        &mut self,
        client: &Client,
        name: &BlobName,
        query: &[(String, String)],
        headers: HeaderMap,
        length: u64,
    ) -> Result<reqwest::Response, StoreError> {
        let (body, watch) = (self.body.clone(), self.watch.clone());
        watch.handed.store(watch.now(), Ordering::Relaxed);
        let total = self.total;
        let stream = stream::try_unfold((body, watch, length), move |(body, watch, left)| async move {
            let mut reading = body.lock().await;
            watch.handed.store(u64::MAX, Ordering::Relaxed);
            let next = reading.next(left, total).await;
            watch.handed.store(watch.now(), Ordering::Relaxed);
            drop(reading);
            match next {
                Ok(Some(bytes)) => {
                    let left = left - bytes.len() as u64;
                    Ok(Some((bytes, (body, watch, left))))
                }
                Ok(None) => Ok(None),
                Err(error) => Err(watch.fail(error)),
            }
        });
        let request = client.send_stream(name, query, headers, length, reqwest::Body::wrap_stream(stream));
        let outcome = tokio::select! {
            outcome = request => outcome,
            () = stalled(&self.watch, self.stall) => Err(StoreError::Unavailable("it stopped reading".into())),
        };
        match self.watch.failure() {
            Some(error) => Err(error.into()),
            None => outcome,
        }
    }

    /// Size and digest, once everything has been sent. The end of the body was seen with its last byte.
    async fn finish(self) -> Result<Written, StoreError> {
        let mut reading = self.body.lock().await;
        if reading.seen != self.total {
            return Err(BodyError::Incomplete("it is shorter than announced".into()).into());
        }
        let digest = std::mem::take(&mut reading.digest);
        Ok(Written { size: reading.seen, md5: digest.finalize().into(), leaves: None })
    }
}

impl Reading {
    /// The next bytes of a request that has `left` to send.
    ///
    /// The last bytes of the whole body are held back until the body has ended without an error: a request that is
    /// complete cannot be taken back, one that lacks a byte never counts.
    async fn next(&mut self, left: u64, total: u64) -> Result<Option<Bytes>, BodyError> {
        if left == 0 {
            return Ok(None);
        }
        while self.rest.is_empty() {
            match self.body.next().await {
                Some(chunk) => self.rest = chunk?,
                None => return Err(BodyError::Incomplete("it is shorter than announced".into())),
            }
        }
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.rest.len());
        let bytes = self.rest.split_to(take);
        self.digest.update(&bytes);
        self.seen += bytes.len() as u64;
        if self.seen == total {
            if !self.rest.is_empty() {
                return Err(BodyError::Incomplete("it is longer than announced".into()));
            }
            while let Some(chunk) = self.body.next().await {
                if !chunk?.is_empty() {
                    return Err(BodyError::Incomplete("it is longer than announced".into()));
                }
            }
        }
        Ok(Some(bytes))
    }
}

/// Ends when the store has not asked for more for too long.
async fn stalled(watch: &Watch, limit: Duration) {
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    loop {
        tokio::time::sleep(limit.min(Duration::from_secs(1))).await;
        let handed = watch.handed.load(Ordering::Relaxed);
        if handed != u64::MAX && watch.now().saturating_sub(handed) > limit_ms {
            return;
        }
    }
}
