//! Listings of uploads in parts.

use axum::response::Response;

use super::error::{S3Error, S3Result};
use super::list::{Parameters, number};
use super::multipart::find;
use super::store::{self, UploadMarker};
use super::xml::Document;
use super::{Call, buckets, headers, xml_response};
use crate::domain::ListPage;

pub(super) async fn list(call: &Call) -> S3Result<Response> {
    let parameters = Parameters::read(call, "max-uploads")?;
    call.domain.find_bucket(call.bucket()).await?;
    let mut marker = UploadMarker {
        key: call.query("key-marker").unwrap_or_default().to_owned(),
        id: call.query("upload-id-marker").unwrap_or_default().to_owned(),
    };
    let echoed = marker.clone();
    let max = parameters.max as usize;
    let mut uploads = Vec::new();
    let mut prefixes: Vec<String> = Vec::new();
    let mut more = false;
    // A folder of many uploads is folded here: they are few, and the page is bounded.
    while max > 0 && !more {
        let limit = parameters.max + 1;
        let found = store::list_uploads(
            &call.domain,
            &call.context,
            call.bucket(),
            parameters.prefix,
            &marker,
            limit,
        )
        .await?;
        let is_last = found.len() < limit as usize;
        for upload in found {
            let rest = &upload.key[parameters.prefix.len()..];
            let folded = parameters.delimiter.and_then(|delimiter| {
                let at = rest.find(delimiter)? + delimiter.len();
                Some(upload.key[..parameters.prefix.len() + at].to_owned())
            });
            let is_known = folded.as_ref().is_some_and(|folded| {
                prefixes.last() == Some(folded) || echoed.key.starts_with(folded.as_str())
            });
            if !is_known && uploads.len() + prefixes.len() == max {
                more = true;
                break;
            }
            marker = UploadMarker { key: upload.key.clone(), id: upload.id.clone() };
            match folded {
                Some(_) if is_known => {}
                Some(folded) => prefixes.push(folded),
                None => uploads.push(upload),
            }
        }
        if is_last {
            break;
        }
    }
    let mut document = Document::new("ListMultipartUploadsResult");
    document.text("Bucket", call.bucket());
    document.text("KeyMarker", &parameters.text(&echoed.key));
    document.text("UploadIdMarker", &echoed.id);
    if more {
        document.text("NextKeyMarker", &parameters.text(&marker.key));
        document.text("NextUploadIdMarker", &marker.id);
    }
    document.text("Prefix", &parameters.text(parameters.prefix));
    document
        .optional("Delimiter", parameters.delimiter.map(|delimiter| parameters.text(delimiter)).as_deref());
    document.value("MaxUploads", parameters.max);
    document.value("IsTruncated", more);
    for upload in &uploads {
        document.nest("Upload", |entry| {
            entry.text("Key", &parameters.text(&upload.key));
            entry.text("UploadId", &upload.id);
            who(call, entry, upload.owner.as_deref());
            entry.text("StorageClass", "STANDARD");
            entry.text("Initiated", &upload.initiated);
        });
    }
    for prefix in &prefixes {
        document.nest("CommonPrefixes", |entry| entry.text("Prefix", &parameters.text(prefix)));
    }
    Ok(xml_response(document.finish()))
}

fn who(call: &Call, document: &mut Document, owner: Option<&str>) {
    let owner = buckets::owner_id(call, owner);
    document.nest("Initiator", |initiator| {
        initiator.text("ID", owner);
        initiator.text("DisplayName", owner);
    });
    buckets::owner(document, owner);
}

pub(super) async fn list_parts(call: &Call) -> S3Result<Response> {
    let upload = find(call).await?;
    let max = number(call.query("max-parts"), "max-parts", 1000)?;
    let marker: u32 = match call.query("part-number-marker") {
        None | Some("") => 0,
        Some(text) => {
            text.parse().map_err(|_| S3Error::invalid_argument("part-number-marker must be a number"))?
        }
    };
    let all = call.domain.parts(&upload.id).await?;
    let mut parts: Vec<_> = all.into_iter().filter(|part| part.number > marker).collect();
    let more = parts.len() > max as usize;
    parts.truncate(max as usize);
    let mut document = Document::new("ListPartsResult");
    document.text("Bucket", call.bucket());
    document.text("Key", call.key_text());
    document.text("UploadId", &upload.id);
    who(call, &mut document, upload.owner.as_deref());
    document.text("StorageClass", "STANDARD");
    document.optional("ChecksumAlgorithm", upload.detail("checksumAlgorithm"));
    document.optional("ChecksumType", upload.detail("checksumType"));
    document.value("PartNumberMarker", marker);
    document.value("NextPartNumberMarker", parts.last().map_or(marker, |part| part.number));
    document.value("MaxParts", max);
    document.value("IsTruncated", more);
    for part in &parts {
        document.nest("Part", |entry| {
            entry.value("PartNumber", part.number);
            entry.text("LastModified", &part.written_at);
            entry.text("ETag", &part.etag);
            entry.value("Size", part.size);
            for (algorithm, value) in headers::kept_checksums(&part.checksums) {
                entry.text(algorithm.element(), value);
            }
        });
    }
    Ok(xml_response(document.finish()))
}

/// Gives up every upload of a bucket that is being deleted, if no object is left in it. The bucket could not be deleted
/// because something refers to it, which is said only to those who may delete it. Says whether there was any upload.
pub(super) async fn drop_all(call: &Call, bucket: &str) -> S3Result<bool> {
    let config = call.domain.config();
    let service = call.context.elevated(&config.service_role);
    let one = ListPage { limit: 1, ..ListPage::default() };
    if !call.domain.list_page(&service, bucket, &one).await?.entries.is_empty() {
        return Ok(false);
    }
    let mut any = false;
    loop {
        let uploads =
            store::list_uploads(&call.domain, &service, bucket, "", &UploadMarker::default(), 1000).await?;
        for upload in &uploads {
            call.domain.drop_parts(&upload.id).await?;
            store::delete_upload(&call.domain, &upload.id).await?;
        }
        any |= !uploads.is_empty();
        if uploads.len() < 1000 {
            return Ok(any);
        }
    }
}
