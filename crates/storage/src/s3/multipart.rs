//! Uploads in parts.
//!
//! Every call needs the policies of an upsert on the key. Parts are blobs of their own and survive a restart; completing
//! joins those that the client lists and commits them as one object.

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::body::{self, Incoming, incoming};
use super::error::{S3Error, S3Result};
use super::store::{self, MultipartUpload, xml_time};
use super::xml::{Document, Element, parse};
use super::{Call, conditions, copy, empty, headers, set, write, xml_response};
use crate::blob::{BlobName, BodyError, Inflow, Written};
use crate::checksum::{Algorithm, Checksum};
use crate::domain::{Mode, NewObject, Part, UploadKind, etag_of_parts};

/// The smallest part but for the last.
const MIN_PART: u64 = 5 << 20;
/// The most parts.
const MAX_PARTS: u32 = 10_000;
/// The largest list of parts: ten thousand with their tags and checksums.
const MAX_BODY: usize = 8 << 20;

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

/// The algorithm that the parts' checksums will have, and how the whole's follows from them.
fn checksum_kind(call: &Call) -> S3Result<(Option<Algorithm>, Option<&'static str>)> {
    let kind = match call.header("x-amz-checksum-type").map(str::to_ascii_uppercase).as_deref() {
        None => None,
        Some("COMPOSITE") => Some("COMPOSITE"),
        Some("FULL_OBJECT") => Some("FULL_OBJECT"),
        Some(_) => return Err(S3Error::invalid_request("Value for x-amz-checksum-type header is invalid.")),
    };
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

pub(super) async fn part(call: &Call, content: Body) -> S3Result<Response> {
    let number = part_number(call)?;
    let upload = find(call).await?;
    let Incoming { size, inflow, outcome } = incoming(&call.headers, content, call.verified.as_ref())?;
    let limit = room(call, &upload, number).await?;
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
    still_there(call, &upload).await?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &written.etag);
    if let Some(checksum) = outcome.checksum() {
        set(&mut response, checksum.algorithm.header(), &checksum.text());
    }
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
    let opened = call.domain.open(object, range).await?;
    let length = opened.blob.range.end - opened.blob.range.start;
    let inflow: Inflow = Box::pin(
        opened.blob.body.map(|chunk| chunk.map_err(|error| BodyError::Incomplete(error.to_string()))),
    );
    let written =
        call.domain.write_part(&upload.id, number, inflow, Some(length), limit, |_| Ok(Map::new())).await?;
    still_there(call, &upload).await?;
    let mut document = Document::new("CopyPartResult");
    document.text("LastModified", &xml_time(chrono::Utc::now()));
    document.text("ETag", &written.etag);
    Ok(xml_response(document.finish()))
}

/// A part as the client lists it.
struct Claim {
    number: u32,
    etag: String,
    checksums: Vec<Checksum>,
}

fn claims(root: &Element) -> S3Result<Vec<Claim>> {
    if root.name != "CompleteMultipartUpload" {
        return Err(S3Error::malformed_xml());
    }
    let claims = root.all("Part").map(|part| {
        let number = part.text_of("PartNumber").and_then(|text| text.trim().parse().ok());
        let etag = part.text_of("ETag").map(|text| text.trim().trim_matches('"').to_ascii_lowercase());
        let mut checksums = Vec::new();
        for algorithm in Algorithm::ALL {
            if let Some(text) = part.text_of(algorithm.element()).filter(|text| !text.is_empty()) {
                checksums.push(Checksum::parse(algorithm, text).ok_or_else(S3Error::malformed_xml)?);
            }
        }
        Ok(Claim {
            number: number.ok_or_else(S3Error::malformed_xml)?,
            etag: etag.ok_or_else(S3Error::malformed_xml)?,
            checksums,
        })
    });
    let mut claims: Vec<Claim> = claims.collect::<S3Result<_>>()?;
    if claims.is_empty() || claims.len() > MAX_PARTS as usize {
        return Err(S3Error::malformed_xml());
    }
    if !claims.is_sorted_by(|one, next| one.number <= next.number) {
        return Err(S3Error::new(
            "InvalidPartOrder",
            400,
            "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
        ));
    }
    // A part that was sent again is listed twice by some clients: the last one counts.
    claims.reverse();
    claims.dedup_by_key(|claim| claim.number);
    claims.reverse();
    Ok(claims)
}

fn invalid_part() -> S3Error {
    S3Error::new(
        "InvalidPart",
        400,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    )
}

/// The parts that are listed, each as it was uploaded.
fn select(claims: &[Claim], there: Vec<Part>) -> S3Result<Vec<Part>> {
    let mut there: std::collections::HashMap<u32, Part> =
        there.into_iter().map(|part| (part.number, part)).collect();
    let mut parts = Vec::with_capacity(claims.len());
    for (at, claim) in claims.iter().enumerate() {
        let part = there.remove(&claim.number).ok_or_else(invalid_part)?;
        if part.etag.trim_matches('"') != claim.etag {
            return Err(invalid_part());
        }
        let kept = checksum_of(&part);
        if claim.checksums.iter().any(|claimed| {
            kept.as_ref().is_some_and(|kept| kept.algorithm == claimed.algorithm && kept != claimed)
        }) {
            return Err(invalid_part());
        }
        if part.size < MIN_PART && at + 1 < claims.len() {
            return Err(S3Error::new(
                "EntityTooSmall",
                400,
                "Your proposed upload is smaller than the minimum allowed size",
            ));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn checksum_of(part: &Part) -> Option<Checksum> {
    let (algorithm, text) = headers::kept_checksums(&part.checksums).next()?;
    Checksum::parse(algorithm, text)
}

/// The checksum of the whole, where the upload was begun with an algorithm and every part has one of it.
fn whole_checksum(upload: &MultipartUpload, parts: &[Part]) -> Option<(Algorithm, String, String)> {
    let algorithm = Algorithm::named(upload.detail("checksumAlgorithm")?)?;
    let kind = upload.detail("checksumType")?;
    let each: Option<Vec<(Checksum, u64)>> = parts
        .iter()
        .map(|part| checksum_of(part).filter(|sum| sum.algorithm == algorithm).map(|sum| (sum, part.size)))
        .collect();
    let each = each?;
    let text = if kind == "FULL_OBJECT" {
        Checksum::join(&each)?.text()
    } else {
        Checksum::composite(algorithm, &each.iter().map(|(sum, _)| sum).collect::<Vec<_>>())
    };
    Some((algorithm, text, kind.to_owned()))
}

/// The sizes of parts as runs: how many, of how many bytes.
fn runs(parts: &[Part]) -> Value {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for part in parts {
        match runs.last_mut() {
            Some((count, size)) if *size == part.size => *count += 1,
            _ => runs.push((1, part.size)),
        }
    }
    json!(runs)
}

pub(super) async fn complete(call: &Call, content: Body) -> S3Result<Response> {
    // The header may speak of the object that comes of it, not of this list.
    let claimed_whole = body::claimed_checksum(&call.headers)?;
    let mut of_list = call.headers.clone();
    for algorithm in Algorithm::ALL {
        of_list.remove(algorithm.header());
    }
    of_list.remove("x-amz-sdk-checksum-algorithm");
    let content = body::whole(&of_list, content, call.verified.as_ref(), MAX_BODY).await?;
    let claims = claims(&parse(&content)?)?;
    let upload = match find(call).await {
        Ok(upload) => upload,
        Err(error) if error.code == "NoSuchUpload" => return already_complete(call, error).await,
        Err(error) => return Err(error),
    };
    let parts = select(&claims, call.domain.parts(&upload.id).await?)?;
    let size: u64 = parts.iter().map(|part| part.size).sum();
    if call.header("x-amz-mp-object-size").is_some_and(|text| text.parse() != Ok(size)) {
        return Err(S3Error::invalid_request(
            "The provided 'x-amz-mp-object-size' header does not match what was computed.",
        ));
    }
    let bucket = call.domain.find_bucket(call.bucket()).await?;
    if size > bucket.limit(call.domain.config().file_size_limit) {
        return Err(crate::Error::too_large().into());
    }
    let checksum = whole_checksum(&upload, &parts);
    if let (Some((of, claimed)), Some((algorithm, text, _))) = (&claimed_whole, &checksum)
        && of == algorithm
        && claimed != text
    {
        return Err(S3Error::bad_digest(algorithm.name()));
    }
    let mut extra = match upload.details.get("extra") {
        Some(Value::Object(extra)) => extra.clone(),
        _ => Map::new(),
    };
    extra.insert("uploadId".into(), upload.id.as_str().into());
    extra.insert("parts".into(), runs(&parts));
    if let Some((algorithm, text, kind)) = &checksum {
        extra.insert("checksums".into(), json!({ algorithm.name(): text }));
        extra.insert("checksumType".into(), kind.as_str().into());
    }
    let condition = write::condition(&call.headers)?;
    let object = NewObject {
        bucket: upload.bucket.clone(),
        key: call.key()?,
        // Replaced by the joined one.
        blob: BlobName::fresh(),
        written: Written { size, md5: [0; 16], leaves: None },
        etag: Some(etag_of_parts(&parts)),
        condition: condition.clone(),
        content_type: upload.detail("contentType").unwrap_or("application/octet-stream").to_owned(),
        cache_control: upload.detail("cacheControl").unwrap_or("no-cache").to_owned(),
        extra,
        user_metadata: upload.user_metadata.clone(),
        kind: UploadKind::S3,
        event: None,
    };
    let stored = match call.domain.complete_parts(&call.context, &parts, object).await {
        Ok(stored) => stored,
        // Another request for the same completion may have been faster, and have removed the parts.
        Err(error) => return already_complete(call, write::explain_condition(&condition, error)).await,
    };
    if store::delete_upload(&call.domain, &upload.id).await? {
        call.domain.drop_parts(&upload.id).await?;
    }
    Ok(completed(call, &stored.etag, checksum))
}

/// A client that lost the answer asks again: if the object is the upload's, it gets the same one.
async fn already_complete(call: &Call, error: S3Error) -> S3Result<Response> {
    let key = call.key()?;
    let Ok(object) = call.domain.find(&call.context, call.bucket(), &key).await else { return Err(error) };
    if object.metadata_text("uploadId") != call.query("uploadId") {
        return Err(error);
    }
    let members = object.row.metadata.clone().unwrap_or_default();
    let kind = object.metadata_text("checksumType").unwrap_or_default().to_owned();
    let checksum =
        headers::kept_checksums(&members).next().map(|(algorithm, text)| (algorithm, text.to_owned(), kind));
    Ok(completed(call, object.etag().unwrap_or_default(), checksum))
}

fn completed(call: &Call, etag: &str, checksum: Option<(Algorithm, String, String)>) -> Response {
    let mut document = Document::new("CompleteMultipartUploadResult");
    let scheme = call.header("x-forwarded-proto").unwrap_or("http");
    let host = call.header("host").unwrap_or("localhost");
    document.text("Location", &format!("{scheme}://{host}/{}/{}", call.bucket(), call.key_text()));
    document.text("Bucket", call.bucket());
    document.text("Key", call.key_text());
    document.text("ETag", etag);
    if let Some((algorithm, text, kind)) = &checksum {
        document.text(algorithm.element(), text);
        document.text("ChecksumType", kind);
    }
    xml_response(document.finish())
}

pub(super) async fn abort(call: &Call) -> S3Result<Response> {
    let upload = find(call).await?;
    store::delete_upload(&call.domain, &upload.id).await?;
    call.domain.drop_parts(&upload.id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn part(number: u32, size: u64) -> Part {
        Part {
            number,
            blob: BlobName::fresh(),
            size,
            etag: format!("\"{}\"", hex::encode([number as u8; 16])),
            checksums: Map::new(),
            written_at: String::new(),
        }
    }

    fn claim(number: u32) -> Claim {
        Claim { number, etag: hex::encode([number as u8; 16]), checksums: Vec::new() }
    }

    #[test]
    fn parts_are_checked_against_what_was_uploaded() {
        let code = |claims: &[Claim], parts: Vec<Part>| {
            select(claims, parts).map(|parts| parts.len()).map_err(|e| e.code)
        };
        let all = || vec![part(1, MIN_PART), part(2, 1)];
        assert_eq!(code(&[claim(1), claim(2)], all()), Ok(2));
        assert_eq!(code(&[claim(2)], all()), Ok(1));
        assert_eq!(code(&[claim(3)], all()), Err("InvalidPart".into()));
        assert_eq!(code(&[claim(1), claim(2)], vec![part(1, 5), part(2, 1)]), Err("EntityTooSmall".into()));
        assert_eq!(runs(&[part(1, 5), part(2, 5), part(3, 1)]), json!([[2, 5], [1, 1]]));
    }

    #[test]
    fn the_list_must_ascend() {
        let list = |numbers: &[u32]| {
            let parts: String = numbers
                .iter()
                .map(|number| format!("<Part><PartNumber>{number}</PartNumber><ETag>x</ETag></Part>"))
                .collect();
            let text = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
            claims(&parse(text.as_bytes()).unwrap()).map(|claims| claims.len()).map_err(|error| error.code)
        };
        assert_eq!(list(&[1, 3]), Ok(2));
        assert_eq!(list(&[3, 1]), Err("InvalidPartOrder".into()));
        assert_eq!(list(&[1, 1, 2]), Ok(2));
        assert_eq!(list(&[]), Err("MalformedXML".into()));
    }
}
