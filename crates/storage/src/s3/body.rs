//! Bodies on their way in: unframed, counted, and compared with every digest that was sent.
//!
//! Digests are judged at the end of the stream, as an error in its place: whoever stores the bytes gives them up.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::error::{S3Error, S3Result};
use crate::aws_chunked::Decoder;
use crate::blob::{BodyError, Inflow};
use crate::checksum::{Algorithm, Checksum, Checksummer};
use crate::sigv4::{Payload, Verified};

/// A body that is about to be read.
pub(crate) struct Incoming {
    /// How many bytes it has, framing taken off; unknown where the connection itself is chunked.
    pub(crate) size: Option<u64>,
    /// The bytes.
    pub(crate) inflow: Inflow,
    /// What became of it.
    pub(crate) outcome: Arc<Outcome>,
}

/// What became of a body, readable once its stream has ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    refusal: Mutex<Option<S3Error>>,
    checksum: Mutex<Option<Checksum>>,
}

impl Outcome {
    /// The refusal in S3's own words, of which the store has only seen that there was one.
    pub(crate) fn refusal(&self) -> Option<S3Error> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The checksum that was sent and held, or that was computed because it was wanted.
    pub(crate) fn checksum(&self) -> Option<Checksum> {
        self.checksum.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The better of two explanations of a failure.
    pub(crate) fn explain(&self, error: crate::Error) -> S3Error {
        self.refusal().unwrap_or_else(|| error.into())
    }
}

/// What a client said about its body.
#[derive(Debug, Default)]
struct Claims {
    md5: Option<Vec<u8>>,
    sha256: Option<[u8; 32]>,
    checksum: Option<Checksum>,
    /// The algorithm whose value comes in the trailer.
    trailing: Option<Algorithm>,
}

impl Claims {
    fn read(headers: &HeaderMap, payload: Payload) -> S3Result<Self> {
        let md5 = headers.get("content-md5").map(|value| {
            let bytes = STANDARD.decode(value.as_bytes()).unwrap_or_default();
            if bytes.len() == 16 {
                return Ok(bytes);
            }
            Err(S3Error::new("InvalidDigest", 400, "The Content-MD5 you specified was invalid."))
        });
        let sha256 = match payload {
            Payload::Hash(hash) => Some(hash),
            _ => None,
        };
        let checksum = header_checksum(headers)?;
        let trailing = trailing(headers, payload)?;
        if headers.contains_key("x-amz-sdk-checksum-algorithm") && checksum.is_none() && trailing.is_none() {
            return Err(S3Error::invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
            ));
        }
        Ok(Self { md5: md5.transpose()?, sha256, checksum, trailing })
    }
}

/// The one checksum in a request's headers, as it is written there. That of an object in parts ends in their number.
pub(crate) fn claimed_checksum(headers: &HeaderMap) -> S3Result<Option<(Algorithm, &str)>> {
    let mut found = None;
    for algorithm in Algorithm::ALL {
        let Some(value) = headers.get(algorithm.header()) else { continue };
        let text = value.to_str().map_err(|_| invalid_checksum(algorithm))?;
        if found.replace((algorithm, text.trim())).is_some() {
            return Err(S3Error::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
    }
    Ok(found)
}

/// The checksum of a body in its request's headers.
fn header_checksum(headers: &HeaderMap) -> S3Result<Option<Checksum>> {
    let Some((algorithm, text)) = claimed_checksum(headers)? else { return Ok(None) };
    Checksum::parse(algorithm, text).map(Some).ok_or_else(|| invalid_checksum(algorithm))
}

fn invalid_checksum(algorithm: Algorithm) -> S3Error {
    S3Error::invalid_request(format!("Value for {} header is invalid.", algorithm.header()))
}

fn trailing(headers: &HeaderMap, payload: Payload) -> S3Result<Option<Algorithm>> {
    let Some(value) = headers.get("x-amz-trailer") else { return Ok(None) };
    if !payload.is_chunked() {
        return Ok(None);
    }
    let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
    let mut found = None;
    for name in names.filter(|name| !name.is_empty()) {
        let algorithm = Algorithm::of_header(name).ok_or_else(|| {
            S3Error::invalid_request("The value specified in the x-amz-trailer header is not supported")
        })?;
        if found.replace(algorithm).is_some() {
            return Err(S3Error::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
    }
    Ok(found)
}

/// A checksum of another algorithm than the upload's.
pub(super) fn wrong_algorithm(expected: Option<Algorithm>, actual: Option<Algorithm>) -> S3Error {
    let name = |algorithm: Option<Algorithm>| {
        algorithm.map_or_else(|| "null".to_owned(), |algorithm| algorithm.name().to_ascii_lowercase())
    };
    S3Error::invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(expected),
        name(actual)
    ))
}

/// Prepares a body. Its size must be announced, unless the connection is chunked. A checksum is computed with the `wanted`
/// algorithm where the client sends none.
pub(crate) fn incoming(
    headers: &HeaderMap,
    body: Body,
    verified: Option<&Verified>,
    wanted: Option<Algorithm>,
) -> S3Result<Incoming> {
    let payload = verified.map_or(Payload::Unsigned, |verified| verified.payload);
    let length = if payload.is_chunked() { "x-amz-decoded-content-length" } else { "content-length" };
    let size = match headers.get(length) {
        Some(value) => {
            let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
            Some(number.ok_or_else(|| S3Error::invalid_argument(format!("{length} is not a number")))?)
        }
        None if !payload.is_chunked() && headers.contains_key(http::header::TRANSFER_ENCODING) => None,
        None => {
            return Err(S3Error::new(
                "MissingContentLength",
                411,
                "You must provide the Content-Length HTTP header.",
            ));
        }
    };
    incoming_of(headers, body, verified, size, wanted)
}

/// Prepares a small body whose size need not be known.
pub(crate) async fn whole(
    headers: &HeaderMap,
    body: Body,
    verified: Option<&Verified>,
    limit: usize,
) -> S3Result<Bytes> {
    use futures_util::StreamExt as _;
    let Incoming { mut inflow, outcome, .. } = incoming_of(headers, body, verified, None, None)?;
    let mut bytes = bytes::BytesMut::new();
    while let Some(chunk) = inflow.next().await {
        let chunk = chunk.map_err(|error| outcome.explain(error.into()))?;
        if bytes.len() + chunk.len() > limit {
            return Err(S3Error::new("MaxMessageLengthExceeded", 400, "Your request was too big."));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Prepares a body, whose size is known or is not.
pub(crate) fn incoming_of(
    headers: &HeaderMap,
    body: Body,
    verified: Option<&Verified>,
    size: Option<u64>,
    wanted: Option<Algorithm>,
) -> S3Result<Incoming> {
    let payload = verified.map_or(Payload::Unsigned, |verified| verified.payload);
    let claims = Claims::read(headers, payload)?;
    let outcome = Arc::new(Outcome::default());
    let sent = claims.trailing.or(claims.checksum.as_ref().map(|checksum| checksum.algorithm));
    if wanted.is_some() && sent.is_some() && wanted != sent {
        return Err(wrong_algorithm(wanted, sent));
    }
    let inflow = Unframed {
        source: body.into_data_stream(),
        pending: Bytes::new(),
        decoder: verified.and_then(|verified| Decoder::new(payload, verified.seed.clone())),
        exact: size,
        seen: 0,
        md5: claims.md5.is_some().then(Md5::new),
        sha256: claims.sha256.is_some().then(Sha256::new),
        checksummer: sent.or(wanted).map(Checksummer::new),
        claims,
        outcome: outcome.clone(),
        is_over: false,
    };
    Ok(Incoming { size, inflow: Box::pin(inflow), outcome })
}

struct Unframed {
    source: BodyDataStream,
    pending: Bytes,
    decoder: Option<Decoder>,
    exact: Option<u64>,
    seen: u64,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
    checksummer: Option<Checksummer>,
    claims: Claims,
    outcome: Arc<Outcome>,
    is_over: bool,
}

impl Unframed {
    /// The next piece of what has arrived.
    fn unframe(&mut self) -> S3Result<Option<Bytes>> {
        let data = match &mut self.decoder {
            Some(decoder) => decoder.next(&mut self.pending)?,
            None if self.pending.is_empty() => None,
            None => Some(std::mem::take(&mut self.pending)),
        };
        let Some(data) = data else { return Ok(None) };
        self.seen += data.len() as u64;
        if self.exact.is_some_and(|exact| self.seen > exact) {
            return Err(incomplete());
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(&data);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&data);
        }
        if let Some(checksummer) = &mut self.checksummer {
            checksummer.update(&data);
        }
        Ok(Some(data))
    }

    /// The body has ended: does everything hold?
    fn conclude(&mut self) -> S3Result<()> {
        let trailers = self.decoder.take().map(Decoder::finish).transpose()?.unwrap_or_default();
        if self.exact.is_some_and(|exact| self.seen != exact) {
            return Err(incomplete());
        }
        if let (Some(md5), Some(claimed)) = (self.md5.take(), &self.claims.md5)
            && md5.finalize().as_slice() != claimed.as_slice()
        {
            return Err(S3Error::bad_digest("Content-MD5"));
        }
        if let (Some(sha256), Some(claimed)) = (self.sha256.take(), &self.claims.sha256)
            && sha256.finalize().as_slice() != claimed.as_slice()
        {
            return Err(S3Error::new(
                "XAmzContentSHA256Mismatch",
                400,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ));
        }
        let Some(checksummer) = self.checksummer.take() else { return Ok(()) };
        let computed = checksummer.finish();
        let claimed = match self.claims.trailing {
            Some(algorithm) => {
                let value = trailers
                    .iter()
                    .find(|(name, _)| name == algorithm.header())
                    .and_then(|(_, value)| Checksum::parse(algorithm, value));
                value.ok_or_else(|| invalid_checksum(algorithm))?
            }
            None => self.claims.checksum.clone().unwrap_or_else(|| computed.clone()),
        };
        if claimed != computed {
            return Err(S3Error::bad_digest(computed.algorithm.name()));
        }
        *self.outcome.checksum.lock().unwrap_or_else(PoisonError::into_inner) = Some(computed);
        Ok(())
    }

    fn refuse(&mut self, error: S3Error) -> BodyError {
        self.is_over = true;
        let reason = crate::Error::invalid_request(error.message.clone());
        *self.outcome.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        BodyError::Refused(Box::new(reason))
    }
}

fn incomplete() -> S3Error {
    S3Error::new(
        "IncompleteBody",
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
}

impl Stream for Unframed {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        loop {
            match this.unframe() {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(this.refuse(error)))),
            }
            match ready!(Pin::new(&mut this.source).poll_next(cx)) {
                Some(Ok(bytes)) => this.pending = bytes,
                Some(Err(error)) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(BodyError::Incomplete(error.to_string()))));
                }
                None => {
                    return match this.conclude() {
                        Ok(()) => {
                            this.is_over = true;
                            Poll::Ready(None)
                        }
                        Err(error) => Poll::Ready(Some(Err(this.refuse(error)))),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::StreamExt as _;
    use http::HeaderValue;

    use super::*;

    async fn read(pairs: &[(&'static str, &str)], body: &'static str) -> Result<String, String> {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let mut incoming =
            incoming(&headers, Body::from(body), None, None).map_err(|error| error.code.into_owned())?;
        let mut out = Vec::new();
        while let Some(chunk) = incoming.inflow.next().await {
            match chunk {
                Ok(chunk) => out.extend_from_slice(&chunk),
                Err(_) => return Err(incoming.outcome.refusal().unwrap().code.into_owned()),
            }
        }
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn digests_that_do_not_hold_fail_at_the_end() {
        let length = ("content-length", "5");
        assert_eq!(read(&[length], "hello").await.as_deref(), Ok("hello"));
        assert_eq!(
            read(&[length, ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "hello").await.as_deref(),
            Ok("hello")
        );
        assert_eq!(
            read(&[length, ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "jello").await,
            Err("BadDigest".into())
        );
        assert_eq!(read(&[length, ("content-md5", "")], "hello").await, Err("InvalidDigest".into()));
        assert_eq!(
            read(&[length, ("x-amz-checksum-crc32", "NhCmhg==")], "hello").await.as_deref(),
            Ok("hello")
        );
        assert_eq!(
            read(&[length, ("x-amz-checksum-crc32", "NhCmhg==")], "jello").await,
            Err("BadDigest".into())
        );
        assert_eq!(
            read(&[length, ("x-amz-checksum-crc32", "x")], "hello").await,
            Err("InvalidRequest".into())
        );
        assert_eq!(read(&[("content-length", "6")], "hello").await, Err("IncompleteBody".into()));
        assert_eq!(read(&[], "hello").await, Err("MissingContentLength".into()));
    }

    #[tokio::test]
    async fn a_checksum_that_is_wanted_is_computed_where_none_is_sent() {
        let of = |headers: HeaderMap| {
            incoming_of(&headers, Body::from("hello"), None, Some(5), Some(Algorithm::Crc32))
        };
        let mut bare = of(HeaderMap::new()).unwrap();
        while bare.inflow.next().await.is_some() {}
        assert_eq!(bare.outcome.checksum().unwrap().text(), "NhCmhg==");
        let other = HeaderMap::from_iter([(
            "x-amz-checksum-sha1".parse().unwrap(),
            HeaderValue::from_static("qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        )]);
        let refused = of(other).err().unwrap();
        assert_eq!(
            refused.message,
            "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: sha1"
        );
    }
}
