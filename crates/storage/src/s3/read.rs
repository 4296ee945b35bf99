//! Reading objects.

use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::error::{S3Error, S3Result};
use super::xml::Document;
use super::{Call, headers, set, xml_response};
use crate::checksum::Checksum;
use crate::domain::{MOST_PART_CHECKSUMS, Object};
use crate::http_parts::conditions::{self, Verdict};
use crate::http_parts::inflow;
use crate::http_parts::range::{self, Wanted};
use crate::sigv4::SignatureError;

/// Objects have no versions but the current one, whose id is `null`.
pub(super) fn check_version(call: &Call) -> S3Result<()> {
    match call.query("versionId") {
        None | Some("" | "null") => Ok(()),
        Some(_) => Err(S3Error::new("NoSuchVersion", 404, "The specified version does not exist.")),
    }
}

/// The object, under the caller's policies, or for everyone where its bucket is public.
pub(super) async fn find(call: &Call) -> S3Result<Object> {
    check_version(call)?;
    let key = call.key()?;
    if call.verified.is_some() {
        call.domain.find_bucket(call.bucket()).await?;
        let found = call.domain.find(&call.context, call.bucket(), &key).await;
        return match found {
            // What nobody has to sign for, nobody loses by signing.
            Err(error) if error.code == crate::Code::NoSuchKey => {
                Ok(call.domain.find_public(call.bucket(), &key).await.map_err(|_| error)?)
            }
            found => Ok(found?),
        };
    }
    match call.domain.find_public(call.bucket(), &key).await {
        Ok(object) => Ok(object),
        // That a bucket is not there is said to everyone; what is in a private one needs a signature.
        Err(error) if error.code == crate::Code::NoSuchBucket => {
            call.domain.find_bucket(call.bucket()).await?;
            Err(SignatureError::Missing.into())
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn object(call: &Call, is_head: bool) -> S3Result<Response> {
    let object = find(call).await?;
    let overrides = |name: &str| call.query(name).map(str::to_owned);
    if call.verified.is_none() && call.query.iter().any(|(name, _)| name.starts_with("response-")) {
        return Err(S3Error::invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    match conditions::judge(&call.headers, object.etag(), object.last_modified()) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            headers::validators(&object, &mut response);
            set(&mut response, "cache-control", object.cache_control());
            return Ok(response);
        }
        Verdict::Failed => return Err(S3Error::precondition_failed()),
    }
    let size = call.domain.size_of(&object).await?;
    let part = part(call, &object, size)?;
    let range = match &part {
        Some(part) => Some(part.range.clone()),
        // RFC 9110: a range of what has changed is the whole.
        None if !conditions::range_counts(&call.headers, object.etag(), object.last_modified()) => None,
        None => match range::wanted(call.header("range"), size) {
            Wanted::Whole => None,
            Wanted::Part(range) => Some(range),
            Wanted::Beyond => return Err(S3Error::invalid_range(size)),
        },
    };
    let (object, body, range, size) = if is_head {
        (object, Body::empty(), range, size)
    } else {
        let opened = call.domain.open(object, range.clone()).await?;
        let range = range.map(|_| opened.blob.range.clone());
        (opened.object, inflow::to_body(opened.blob.body), range, opened.blob.size)
    };
    let has_checksums =
        call.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
    let of_part = match &part {
        Some(PartOf { number, count: Some(_), .. }) if has_checksums => {
            part_checksums(call, &object, *number, 1).await?.pop()
        }
        _ => None,
    };
    let mut response = Response::new(body);
    headers::write(&object, &mut response, overrides);
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(range) = &range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        set(
            &mut response,
            "content-range",
            &format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)),
        );
    }
    if let Some(checksum) = of_part {
        set(&mut response, checksum.algorithm.header(), &checksum.text());
        set(&mut response, "x-amz-checksum-type", checksum_kind(&object));
    } else if has_checksums && (range.is_none() || part.as_ref().is_some_and(|part| part.count.is_none())) {
        checksums(&object, &mut response);
    }
    if let Some(count) = part.and_then(|part| part.count) {
        response.headers_mut().insert("x-amz-mp-parts-count", HeaderValue::from(count));
    }
    Ok(response)
}

fn checksums(object: &Object, response: &mut Response) {
    let nothing = Map::new();
    let members = object.row.metadata.as_ref().unwrap_or(&nothing);
    for (algorithm, value) in headers::kept_checksums(members) {
        set(response, algorithm.header(), value);
        set(response, "x-amz-checksum-type", checksum_kind(object));
    }
}

/// How the checksum of an object follows from its parts'.
pub(super) fn checksum_kind(object: &Object) -> &str {
    object.metadata_text("checksumType").unwrap_or("FULL_OBJECT")
}

/// The checksums of `count` parts of an object, from the `first` on, by their places from 1; none where they are not known.
pub(super) async fn part_checksums(
    call: &Call,
    object: &Object,
    first: u64,
    count: u64,
) -> S3Result<Vec<Checksum>> {
    let kept = object.row.metadata.as_ref().and_then(|members| headers::kept_checksums(members).next());
    let Some((algorithm, _)) = kept else { return Ok(Vec::new()) };
    let length = algorithm.size();
    let start = first.saturating_sub(1).saturating_mul(length as u64);
    let end = start.saturating_add(count.saturating_mul(length as u64)).min(MOST_PART_CHECKSUMS);
    let bytes = call.domain.part_checksums(object, start.min(end)..end).await?;
    Ok(bytes.chunks_exact(length).map(|value| Checksum { algorithm, value: value.to_vec() }).collect())
}

struct PartOf {
    /// Its place, from 1.
    number: u64,
    range: Range<u64>,
    /// How many parts there are, of an object that was uploaded in parts.
    count: Option<u64>,
}

/// The part that `partNumber` asks for.
fn part(call: &Call, object: &Object, size: u64) -> S3Result<Option<PartOf>> {
    let Some(text) = call.query("partNumber") else { return Ok(None) };
    let number =
        text.parse::<u64>().ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
            S3Error::invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
        })?;
    let found = match PartSizes::of(object) {
        None if number == 1 => Some(PartOf { number, range: 0..size, count: None }),
        None => None,
        Some(parts) => parts.range(number).map(|range| PartOf {
            number,
            range: range.start.min(size)..range.end.min(size),
            count: Some(parts.count()),
        }),
    };
    found
        .map(Some)
        .ok_or_else(|| S3Error::new("InvalidPart", 400, "The requested partnumber is not satisfiable"))
}

/// The sizes of the parts that an object came in, kept as runs: so many of that size, and so on.
pub(super) struct PartSizes(Vec<(u64, u64)>);

impl PartSizes {
    /// None of an object that came in one piece.
    pub(super) fn of(object: &Object) -> Option<Self> {
        let runs = object.row.metadata.as_ref()?.get("parts")?.as_array()?;
        let run = |run: &Value| Some((run.get(0)?.as_u64()?, run.get(1)?.as_u64()?));
        Some(Self(runs.iter().filter_map(run).collect()))
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, (count, _)| sum.saturating_add(*count))
    }

    /// Where a part is, by its place from 1. The row may have been written by anyone: no sum overflows.
    pub(super) fn range(&self, number: u64) -> Option<Range<u64>> {
        let (mut start, mut left) = (0_u64, number.checked_sub(1)?);
        for (count, length) in &self.0 {
            if left < *count {
                let start = start.saturating_add(left.saturating_mul(*length));
                return Some(start..start.saturating_add(*length));
            }
            left -= count;
            start = start.saturating_add(count.saturating_mul(*length));
        }
        None
    }
}

pub(super) async fn tagging(call: &Call) -> S3Result<Response> {
    find(call).await?;
    let mut document = Document::new("Tagging");
    document.nest("TagSet", |_| {});
    Ok(xml_response(document.finish()))
}
