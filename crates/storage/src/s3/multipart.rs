//! Uploads in parts, until they are complete.
//!
//! Every call needs the policies of an upsert on the key. Parts are blobs of their own and survive a restart. Each has its
//! checksum, from which that of the whole follows.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::body::{Incoming, incoming, incoming_of};
use super::error::{S3Error, S3Result};
use super::store::{self, MultipartUpload, xml_time};
use super::xml::Document;
use super::{Call, conditions, copy, empty, headers, set, xml_response};
use crate::checksum::{Algorithm, Checksum};
use crate::domain::{Mode, PartWritten};
use crate::http_parts::inflow;

/// The most parts.
pub(super) const MAX_PARTS: u32 = 10_000;

pub(super) async fn create(call: &Call) -> S3Result<Response> {
    let key = call.key()?;
    let described = headers::describe(&call.headers)?;
    let bucket = call.domain.find_bucket(call.bucket()).await?;
    if !key.is_folder_marker() {
        bucket.check_content_type(&described.content_type)?;
    }
    let (algorithm, kind) = checksum_kind(call)?;
    call.domain.may_upload(&call.context, call.bucket(), &key, Mode::Upsert).await?;
    let mut details = Map::new();
    details.insert("contentType".into(), described.content_type.into());
    details.insert("cacheControl".into(), described.cache_control.into());
    details.insert("extra".into(), Value::Object(described.extra));
    if let (Some(algorithm), Some(kind)) = (algorithm, kind) {
        details.insert("checksumAlgorithm".into(), algorithm.name().into());
        details.insert("checksumType".into(), kind.into());
    }
    let upload = MultipartUpload {
        id: uuid::Uuid::new_v4().simple().to_string(),
        bucket: call.bucket().to_owned(),
        key: key.as_str().to_owned(),
        owner: call.context.caller.subject.as_deref().map(str::to_owned),
        initiated: String::new(),
        user_metadata: Some(described.user_metadata),
        details,
    };
    store::create_upload(&call.domain, &upload).await?;
    let mut document = Document::new("InitiateMultipartUploadResult");
    document.text("Bucket", &upload.bucket);
    document.text("Key", &upload.key);
    document.text("UploadId", &upload.id);
    let mut response = xml_response(document.finish());
    if let (Some(algorithm), Some(kind)) = (algorithm, kind) {
        set(&mut response, "x-amz-checksum-algorithm", algorithm.name());
        set(&mut response, "x-amz-checksum-type", kind);
    }
    Ok(response)
}

/// How the header says that the checksum of the whole follows from the parts'.
pub(super) fn claimed_kind(call: &Call) -> S3Result<Option<&'static str>> {
    match call.header("x-amz-checksum-type").map(str::to_ascii_uppercase).as_deref() {
        None => Ok(None),
        Some("COMPOSITE") => Ok(Some("COMPOSITE")),
        Some("FULL_OBJECT") => Ok(Some("FULL_OBJECT")),
        Some(_) => Err(S3Error::invalid_request("Value for x-amz-checksum-type header is invalid.")),
    }
}

/// The algorithm that the parts' checksums will have, and how the whole's follows from them.
fn checksum_kind(call: &Call) -> S3Result<(Option<Algorithm>, Option<&'static str>)> {
    let kind = claimed_kind(call)?;
    let Some(name) = call.header("x-amz-checksum-algorithm") else {
        return if kind.is_some() {
            Err(S3Error::invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            ))
        } else {
            Ok((None, None))
        };
    };
    let algorithm = Algorithm::named(name).ok_or_else(|| {
        S3Error::invalid_request("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
    })?;
    let hashes = matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256);
    let kind = kind.unwrap_or(if algorithm == Algorithm::Crc64Nvme { "FULL_OBJECT" } else { "COMPOSITE" });
    if (algorithm == Algorithm::Crc64Nvme && kind == "COMPOSITE") || (hashes && kind == "FULL_OBJECT") {
        return Err(S3Error::invalid_request(format!(
            "The {kind} checksum type cannot be used with the {} checksum algorithm.",
            algorithm.name()
        )));
    }
    Ok((Some(algorithm), Some(kind)))
}

/// The upload that the request names, if the caller may go on with it.
pub(super) async fn find(call: &Call) -> S3Result<MultipartUpload> {
    let key = call.key()?;
    call.domain.find_bucket(call.bucket()).await?;
    call.domain.may_upload(&call.context, call.bucket(), &key, Mode::Upsert).await?;
    let id = call.query("uploadId").unwrap_or_default();
    let found = store::find_upload(&call.domain, id, call.bucket(), key.as_str()).await?;
    found.ok_or_else(S3Error::no_such_upload)
}

fn part_number(call: &Call) -> S3Result<u32> {
    call.query("partNumber")
        .and_then(|text| text.parse().ok())
        .filter(|number| (1..=MAX_PARTS).contains(number))
        .ok_or_else(|| {
            S3Error::invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
        })
}

/// How large a part may be: what the bucket allows less the other parts.
async fn room(call: &Call, upload: &MultipartUpload, number: u32) -> S3Result<u64> {
    let bucket = call.domain.find_bucket(call.bucket()).await?;
    let limit = bucket.limit(call.domain.config().file_size_limit);
    let parts = call.domain.parts(&upload.id).await?;
    let others: u64 = parts.iter().filter(|part| part.number != number).map(|part| part.size).sum();
    Ok(limit.saturating_sub(others))
}

/// Stores a part with its checksum: the client's, or one of the upload's algorithm.
async fn store_part(
    call: &Call,
    upload: &MultipartUpload,
    number: u32,
    incoming: Incoming,
    limit: u64,
) -> S3Result<(PartWritten, Option<Checksum>)> {
    let Incoming { size, inflow, outcome } = incoming;
    if size.is_some_and(|size| size > limit) {
        return Err(crate::Error::too_large().into());
    }
    let checksums = || {
        let mut members = Map::new();
        if let Some(checksum) = outcome.checksum() {
            headers::checksum_members(&checksum, &mut members);
        }
        Ok(members)
    };
    let written = call
        .domain
        .write_part(&upload.id, number, inflow, size, limit, |_| checksums())
        .await
        .map_err(|error| outcome.explain(error))?;
    still_there(call, upload).await?;
    Ok((written, outcome.checksum()))
}

pub(super) async fn part(call: &Call, content: Body) -> S3Result<Response> {
    let number = part_number(call)?;
    let upload = find(call).await?;
    let incoming = incoming(&call.headers, content, call.verified.as_ref(), upload.algorithm())?;
    let limit = room(call, &upload, number).await?;
    let (written, checksum) = store_part(call, &upload, number, incoming, limit).await?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &written.etag);
    if let Some(checksum) = checksum {
        set(&mut response, checksum.algorithm.header(), &checksum.text());
    }
    // Pages that upload in parts need it for the completion.
    set(&mut response, "access-control-expose-headers", "etag");
    Ok(response)
}

/// A part that came in while its upload was given up belongs to nothing.
async fn still_there(call: &Call, upload: &MultipartUpload) -> S3Result<()> {
    if store::find_upload(&call.domain, &upload.id, &upload.bucket, &upload.key).await?.is_some() {
        return Ok(());
    }
    call.domain.drop_parts(&upload.id).await?;
    Err(S3Error::no_such_upload())
}

pub(super) async fn part_copy(call: &Call) -> S3Result<Response> {
    let number = part_number(call)?;
    let source = copy::source(call)?;
    let upload = find(call).await?;
    let object = copy::find_source(call, &source).await?;
    let size = call.domain.size_of(&object).await?;
    let range = match call.header("x-amz-copy-source-range") {
        Some(text) => Some(conditions::copy_range(text, size)?),
        None => None,
    };
    let limit = room(call, &upload, number).await?;
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    if length > limit {
        return Err(crate::Error::too_large().into());
    }
    let opened = call.domain.open(object, range).await?.blob;
    let length = opened.range.end - opened.range.start;
    // What the headers say of a body is not said of this one.
    let (nothing, bytes) = (HeaderMap::new(), inflow::to_body(opened.body));
    let incoming = incoming_of(&nothing, bytes, None, Some(length), upload.algorithm())?;
    let (written, checksum) = store_part(call, &upload, number, incoming, limit).await?;
    let mut document = Document::new("CopyPartResult");
    document.text("LastModified", &xml_time(chrono::Utc::now()));
    document.text("ETag", &written.etag);
    if let Some(checksum) = checksum {
        document.text(checksum.algorithm.element(), &checksum.text());
    }
    Ok(xml_response(document.finish()))
}

pub(super) async fn abort(call: &Call) -> S3Result<Response> {
    let upload = find(call).await?;
    store::delete_upload(&call.domain, &upload.id).await?;
    call.domain.drop_parts(&upload.id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
