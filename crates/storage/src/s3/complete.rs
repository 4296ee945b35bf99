//! Completing an upload in parts: those that the client lists become one object.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::body;
use super::error::{S3Error, S3Result};
use super::multipart::{MAX_PARTS, claimed_kind, find};
use super::store::{self, MultipartUpload};
use super::xml::{Document, Element, parse};
use super::{Call, headers, write, xml_response};
use crate::blob::{BlobName, Written};
use crate::checksum::{Algorithm, Checksum};
use crate::domain::{NewObject, Part, UploadKind, etag_of_parts};

/// The smallest part but for the last.
const MIN_PART: u64 = 5 << 20;
/// The largest list of parts: ten thousand with their tags and checksums.
const MAX_BODY: usize = 8 << 20;

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

/// The checksum of an object in parts.
struct Whole {
    algorithm: Algorithm,
    text: String,
    /// `COMPOSITE` or `FULL_OBJECT`.
    kind: String,
    /// The parts' own, one after another.
    parts: Vec<u8>,
}

impl Whole {
    /// From the parts', where every one has a checksum of this algorithm.
    fn of(algorithm: Algorithm, kind: &str, parts: &[Part]) -> Option<Self> {
        let each: Option<Vec<(Checksum, u64)>> = parts
            .iter()
            .map(|part| {
                checksum_of(part).filter(|sum| sum.algorithm == algorithm).map(|sum| (sum, part.size))
            })
            .collect();
        let each = each?;
        let text = if kind == "FULL_OBJECT" {
            Checksum::join(&each)?.text()
        } else {
            Checksum::composite(algorithm, &each.iter().map(|(sum, _)| sum).collect::<Vec<_>>())
        };
        let parts = each.into_iter().flat_map(|(sum, _)| sum.value).collect();
        Some(Self { algorithm, text, kind: kind.to_owned(), parts })
    }
}

/// The checksum of the whole, if the upload was begun with an algorithm or the completion claims one, and no claim about it
/// is wrong.
fn whole_checksum(
    upload: &MultipartUpload,
    parts: &[Part],
    claimed: Option<(Algorithm, &str)>,
    claimed_kind: Option<&str>,
) -> S3Result<Option<Whole>> {
    if let (Some(kind), Some(claimed)) = (upload.detail("checksumType"), claimed_kind)
        && kind != claimed
    {
        return Err(S3Error::invalid_request(format!(
            "The upload was created using the {kind} checksum mode. The complete request must use the same checksum mode."
        )));
    }
    let begun = upload.algorithm();
    let Some(algorithm) = begun.or(claimed.map(|(algorithm, _)| algorithm)) else { return Ok(None) };
    let kind = upload.detail("checksumType").or(claimed_kind).unwrap_or(match claimed {
        Some((_, text)) if text.contains('-') => "COMPOSITE",
        _ => "FULL_OBJECT",
    });
    let whole = Whole::of(algorithm, kind, parts);
    let Some((of, text)) = claimed else { return Ok(whole) };
    match &whole {
        Some(whole) if of == algorithm && text != whole.text => Err(S3Error::bad_digest(of.name())),
        Some(_) if of == algorithm => Ok(whole),
        _ => Err(body::wrong_algorithm(begun, Some(of))),
    }
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
    let whole = whole_checksum(&upload, &parts, claimed_whole, claimed_kind(call)?)?;
    let mut extra = match upload.details.get("extra") {
        Some(Value::Object(extra)) => extra.clone(),
        _ => Map::new(),
    };
    extra.insert("uploadId".into(), upload.id.as_str().into());
    extra.insert("parts".into(), runs(&parts));
    if let Some(whole) = &whole {
        extra.insert("checksums".into(), json!({ whole.algorithm.name(): whole.text }));
        extra.insert("checksumType".into(), whole.kind.as_str().into());
    }
    let part_checksums = whole.as_ref().map(|whole| whole.parts.clone()).unwrap_or_default();
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
        part_checksums,
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
    let checksum = whole.map(|whole| (whole.algorithm, whole.text, whole.kind));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::checksum::Checksummer;

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
    fn a_wholes_checksum_follows_from_the_parts() {
        let sent = |algorithm: Algorithm, bytes: &[u8]| {
            let mut state = Checksummer::new(algorithm);
            state.update(bytes);
            let mut part = part(1, bytes.len() as u64);
            headers::checksum_members(&state.finish(), &mut part.checksums);
            part
        };
        let begun = |details: Value| MultipartUpload {
            id: String::new(),
            bucket: String::new(),
            key: String::new(),
            owner: None,
            initiated: String::new(),
            user_metadata: None,
            details: details.as_object().unwrap().clone(),
        };
        let of =
            |details: Value, algorithm: Algorithm, claimed: Option<(Algorithm, &str)>, kind: Option<&str>| {
                let parts = [sent(algorithm, b"12345"), sent(algorithm, b"6789")];
                whole_checksum(&begun(details), &parts, claimed, kind)
                    .map(|whole| whole.map(|whole| (whole.text, whole.kind, whole.parts.len())))
                    .map_err(|error| error.code.into_owned())
            };
        let full = json!({ "checksumAlgorithm": "CRC32", "checksumType": "FULL_OBJECT" });
        let crc = Some(("y/Q5Jg==".to_owned(), "FULL_OBJECT".to_owned(), 8));
        assert_eq!(of(full.clone(), Algorithm::Crc32, None, None), Ok(crc.clone()));
        assert_eq!(
            of(full.clone(), Algorithm::Crc32, Some((Algorithm::Crc32, "y/Q5Jg==")), None),
            Ok(crc.clone())
        );
        assert_eq!(
            of(full.clone(), Algorithm::Crc32, Some((Algorithm::Crc32, "AAAAAA==")), None),
            Err("BadDigest".into())
        );
        assert_eq!(
            of(full.clone(), Algorithm::Crc32, Some((Algorithm::Sha1, "x")), None),
            Err("InvalidRequest".into())
        );
        assert_eq!(of(full, Algorithm::Crc32, None, Some("COMPOSITE")), Err("InvalidRequest".into()));
        // Begun without an algorithm: nothing is said of the whole unless the completion does.
        assert_eq!(of(json!({}), Algorithm::Crc32, None, None), Ok(None));
        assert_eq!(of(json!({}), Algorithm::Crc32, Some((Algorithm::Crc32, "y/Q5Jg==")), None), Ok(crc));
        assert_eq!(
            of(json!({}), Algorithm::Sha1, Some((Algorithm::Sha1, "bad-2")), None),
            Err("BadDigest".into())
        );
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
