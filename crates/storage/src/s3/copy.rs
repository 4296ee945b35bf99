//! Copying objects.

use axum::response::Response;
use serde_json::Value;

use super::conditions;
use super::error::{S3Error, S3Result};
use super::store::xml_time;
use super::xml::Document;
use super::{Call, headers, key, write, xml_response};
use crate::domain::{CopyRequest, Mode, NewMetadata, Object, ObjectKey, UploadKind};
use crate::http_parts::conditions::{Verdict, judge};
use crate::sigv4::decode_path;

/// A copy's source as its header names it.
pub(super) struct Source {
    pub(super) bucket: String,
    pub(super) key: ObjectKey,
}

/// Reads `x-amz-copy-source`: `bucket/key`, percent-encoded, with or without a slash before it.
pub(super) fn source(call: &Call) -> S3Result<Source> {
    let invalid = || {
        S3Error::invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    let text = call.header("x-amz-copy-source").ok_or_else(invalid)?;
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    if version.is_some_and(|version| version != "null") {
        return Err(S3Error::new("NoSuchVersion", 404, "The specified version does not exist."));
    }
    let path = decode_path(path).ok_or_else(invalid)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, name) = path.split_once('/').ok_or_else(invalid)?;
    if bucket.is_empty() || name.is_empty() {
        return Err(invalid());
    }
    Ok(Source { bucket: bucket.to_owned(), key: key(&call.domain, name)? })
}

/// The source, if the caller may see it and the conditions on it hold.
pub(super) async fn find_source(call: &Call, source: &Source) -> S3Result<Object> {
    call.domain.find_bucket(&source.bucket).await?;
    let object = call.domain.find(&call.context, &source.bucket, &source.key).await?;
    let conditions = conditions::of_copy_source(&call.headers);
    match judge(&conditions, object.etag(), object.last_modified()) {
        Verdict::Proceed => Ok(object),
        // To a copy it makes no difference why: nothing is copied.
        Verdict::NotModified | Verdict::Failed => Err(S3Error::precondition_failed()),
    }
}

pub(super) async fn object(call: &Call) -> S3Result<Response> {
    let source = source(call)?;
    let destination = call.key()?;
    call.domain.find_bucket(call.bucket()).await?;
    let original = find_source(call, &source).await?;
    let replaces = match call.header("x-amz-metadata-directive") {
        None | Some("COPY") => false,
        Some("REPLACE") => true,
        Some(_) => return Err(S3Error::invalid_argument("Unknown metadata directive.")),
    };
    if !replaces && source.bucket == call.bucket() && source.key == destination {
        return Err(S3Error::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    let described = headers::describe(&call.headers)?;
    let metadata = replaces.then(|| {
        let mut extra = described.extra;
        // The bytes are the source's, and so is what is known of them.
        for member in ["checksums", "checksumType", "parts"] {
            if let Some(value) = original.row.metadata.as_ref().and_then(|members| members.get(member)) {
                extra.insert(member.to_owned(), Value::clone(value));
            }
        }
        NewMetadata {
            content_type: Some(described.content_type),
            cache_control: Some(described.cache_control),
            extra: Some(extra),
            user_metadata: Some(described.user_metadata),
        }
    });
    let condition = write::condition(&call.headers)?;
    let request = CopyRequest {
        source: (source.bucket, source.key),
        destination: (call.bucket().to_owned(), destination),
        mode: Mode::Upsert,
        condition: condition.clone(),
        metadata,
        kind: UploadKind::S3,
    };
    let copied = call
        .domain
        .copy(&call.context, request)
        .await
        .map_err(|error| write::explain_condition(&condition, error))?;
    let mut document = Document::new("CopyObjectResult");
    document.text("ETag", &copied.stored.etag);
    let modified = copied.object.last_modified().unwrap_or_else(chrono::Utc::now);
    document.text("LastModified", &xml_time(modified));
    let nothing = serde_json::Map::new();
    for (algorithm, value) in headers::kept_checksums(copied.object.row.metadata.as_ref().unwrap_or(&nothing))
    {
        document.text(algorithm.element(), value);
    }
    Ok(xml_response(document.finish()))
}
