//! POST: a new upload, with its first bytes or without.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::address::{UploadId, location};
use super::answer::TusError;
use super::metadata::Metadata;
use super::store::{self, Upload};
use super::{Call, finish, resume};
use crate::Error;
use crate::domain::Mode;

pub(super) async fn create(call: &mut Call, body: Body) -> Result<Response, TusError> {
    let defers = call.header("upload-defer-length") == Some("1");
    let length = call.header("upload-length").and_then(|text| text.parse::<u64>().ok());
    if length.is_some() == defers {
        return Err(TusError::text(400, "Upload-Length or Upload-Defer-Length header required\n"));
    }
    let header = call.header("upload-metadata").filter(|header| !header.is_empty());
    let header = header.ok_or_else(|| TusError::text(400, "Metadata header is required"))?.to_owned();
    let metadata =
        Metadata::parse(header.as_bytes()).ok_or_else(|| TusError::text(400, "Invalid upload-metadata\n"))?;
    let given = |name: &str| metadata.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let bucket = given("bucketName").ok_or_else(Error::invalid_bucket_name)?;
    let name = given("objectName").ok_or_else(|| Error::invalid_key(""))?;
    call.accept_grant(&bucket, &name)?;
    let key = call.domain.key(&name)?;
    let found = call.domain.find_bucket(&bucket).await?;
    let max = finish::limit(&call.domain, &found, &key);
    if length.is_some_and(|length| length > max) {
        return Err(TusError::too_large());
    }
    // The default counts, too: leaving the type out is no way around a bucket's list.
    if !key.is_folder_marker() {
        found.check_content_type(metadata.get("contentType").unwrap_or("application/octet-stream"))?;
    }
    let context = call.context("storage.tus.upload.create", "storage.tus.upload.create_signed");
    call.may(&context, &bucket, &key).await?;
    let mut kept = Map::new();
    kept.insert("header".into(), Value::from(header));
    let upload = Upload {
        id: UploadId { bucket, key: name, version: uuid::Uuid::new_v4().to_string() },
        owner: call.caller.subject.as_deref().map(str::to_owned),
        length,
        upsert: call.mode() == Mode::Upsert,
        metadata: kept,
        offset: 0,
        expires: String::new(),
        expired: false,
    };
    store::create(&call.domain, &upload, call.domain.config().tus.expiry.as_secs()).await?;
    let url = location(call.domain.config(), &call.parts, call.signed, &upload.id);
    let upload = store::find(&call.domain, &upload.id).await?.ok_or_else(resume::unknown)?;
    let has_body = call.header("content-type") == Some("application/offset+octet-stream");
    let mut offset = 0;
    let mut complete = false;
    if has_body || length == Some(0) {
        (offset, complete) = resume::append(call, &context, &upload, body).await?;
    }
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    let url =
        HeaderValue::from_str(&url).map_err(|error| Error::internal(format!("the location: {error}")))?;
    headers.insert(header::LOCATION, url);
    if has_body {
        headers.insert("upload-offset", HeaderValue::from(offset));
    }
    if complete {
        headers.insert("tus-complete", HeaderValue::from_static("1"));
    } else {
        resume::expires(headers, &upload);
    }
    Ok(response)
}
