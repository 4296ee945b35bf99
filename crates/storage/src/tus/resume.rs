//! HEAD, PATCH and DELETE of an upload.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::address::UploadId;
use super::answer::TusError;
use super::body::{End, Source};
use super::store::{self, Upload};
use super::{Call, finish};
use crate::Context;
use crate::blob::Attributes;

pub(super) fn unknown() -> TusError {
    TusError::text(404, "The file for this url was not found\n")
}

/// The upload that a URL names. Uploads that have expired are known for what they were until they are swept.
async fn find(call: &Call, id: &UploadId) -> Result<Upload, TusError> {
    let upload = store::find(&call.domain, id).await?.ok_or_else(unknown)?;
    if upload.expired {
        return Err(TusError::text(410, "The file for this url no longer exists\n"));
    }
    Ok(upload)
}

pub(super) fn expires(headers: &mut HeaderMap, upload: &Upload) {
    if let Ok(value) = HeaderValue::from_str(&upload.expires) {
        headers.insert("upload-expires", value);
    }
}

pub(super) async fn head(call: &mut Call, id: &str) -> Result<Response, TusError> {
    let id = UploadId::decode(id).ok_or_else(|| TusError::text(400, "Invalid upload id"))?;
    call.accept_grant(&id.bucket, &id.key)?;
    find(call, &id).await?;
    // Whoever is still sending records what has arrived before the offset is told.
    let _held = call.locks.acquire(&id.version).await?;
    let mut upload = find(call, &id).await?;
    if !upload.is_complete() && upload.length == Some(upload.offset) {
        // Everything is there, and a crash came before the object: to tell the offset alone would be to promise it.
        let context = call.context("storage.tus.upload.get", "storage.tus.upload.get_signed");
        finish::finish(&call.domain, &context, &upload).await?;
        upload = find(call, &id).await?;
    }
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert("upload-offset", HeaderValue::from(upload.offset));
    match upload.length {
        Some(length) => headers.insert("upload-length", HeaderValue::from(length)),
        None => headers.insert("upload-defer-length", HeaderValue::from_static("1")),
    };
    if let Ok(value) = HeaderValue::from_str(upload.header()) {
        headers.insert("upload-metadata", value);
    }
    if !upload.is_complete() {
        expires(headers, &upload);
    }
    Ok(response)
}

pub(super) async fn patch(call: &mut Call, id: &str, body: Body) -> Result<Response, TusError> {
    let id = UploadId::decode(id).ok_or_else(|| TusError::text(400, "Invalid upload id"))?;
    call.accept_grant(&id.bucket, &id.key)?;
    let offset: u64 = call
        .header("upload-offset")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| TusError::text(403, "Upload-Offset header required\n"))?;
    match call.header("content-type") {
        Some("application/offset+octet-stream") => {}
        Some(_) => return Err(TusError::text(400, "Invalid content-type\n")),
        None => return Err(TusError::text(403, "Content-Type header required\n")),
    }
    find(call, &id).await?;
    let key = call.domain.key(&id.key)?;
    let context = call.context("storage.tus.upload.part", "storage.tus.upload.part_signed");
    call.may(&context, &id.bucket, &key).await?;
    let held = call.locks.acquire(&id.version).await?;
    let mut upload = find(call, &id).await?;
    if upload.offset != offset {
        return Err(TusError::conflict());
    }
    if let Some(length) = call.header("upload-length").and_then(|text| text.parse::<u64>().ok()) {
        if length < upload.offset {
            return Err(TusError::text(400, "Invalid upload-length\n"));
        }
        let bucket = call.domain.find_bucket(&id.bucket).await?;
        if length > finish::limit(&call.domain, &bucket, &key) {
            return Err(TusError::too_large());
        }
        if upload.length != Some(length) && !store::set_length(&call.domain, &id, length).await? {
            return Err(TusError::text(400, "Invalid upload-length\n"));
        }
        upload.length = Some(length);
    }
    if upload.is_complete() {
        return Err(TusError::text(403, "The upload is complete\n"));
    }
    let (offset, complete) = append_held(call, &context, &upload, body, &held).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert("upload-offset", HeaderValue::from(offset));
    if complete {
        headers.insert("tus-complete", HeaderValue::from_static("1"));
    } else if let Some(upload) = store::find(&call.domain, &id).await? {
        expires(headers, &upload);
    }
    Ok(response)
}

/// Takes a body on; returns the new offset and whether the upload has become an object.
pub(super) async fn append(
    call: &Call,
    context: &Context,
    upload: &Upload,
    body: Body,
) -> Result<(u64, bool), TusError> {
    let held = call.locks.acquire(&upload.id.version).await?;
    append_held(call, context, upload, body, &held).await
}

async fn append_held(
    call: &Call,
    context: &Context,
    upload: &Upload,
    body: Body,
    held: &super::lock::Held,
) -> Result<(u64, bool), TusError> {
    let domain = &call.domain;
    let _lane = call.locks.lane().await;
    let settings = &domain.config().tus;
    let bucket = domain.find_bucket(&upload.id.bucket).await?;
    let key = domain.key(&upload.id.key)?;
    let max = finish::limit(domain, &bucket, &key);
    let room = upload.length.unwrap_or(max).min(max).saturating_sub(upload.offset);
    let announced = call.header("content-length").and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > room) {
        return Err(TusError::Text { status: 413, message: "Maximum size exceeded\n".into(), closes: true });
    }
    let part_size = (settings.part_size_mib << 20).max(5 << 20);
    let source = Source::new(body, held.newer(), room);
    let mut offset = upload.offset;
    while source.has_more().await {
        let blob = domain.begin_blob().await?;
        let written =
            domain.store_blob(&blob, &Attributes::default(), source.part(part_size), part_size).await?;
        let seconds = settings.expiry.as_secs();
        match store::record(domain, &upload.id, offset, &blob, &written, seconds).await {
            Ok(true) => offset += written.size,
            Ok(false) => {
                domain.abandon(vec![blob]);
                return Err(TusError::conflict());
            }
            Err(error) => {
                domain.abandon(vec![blob]);
                return Err(error.into());
            }
        }
    }
    match source.end().await {
        End::TooLong => {
            return Err(TusError::Text {
                status: 413,
                message: "Maximum size exceeded\n".into(),
                closes: true,
            });
        }
        // The client of this request is gone, or has gone on with another.
        End::Superseded => return Err(TusError::closing(400, "The upload goes on with another request\n")),
        End::Broken => return Err(TusError::closing(400, "The body ended early\n")),
        End::Open | End::Whole => {}
    }
    if upload.length != Some(offset) {
        return Ok((offset, false));
    }
    finish::finish(domain, context, upload).await?;
    Ok((offset, true))
}

pub(super) async fn terminate(call: &mut Call, id: &str) -> Result<Response, TusError> {
    let id = UploadId::decode(id).ok_or_else(|| TusError::text(400, "Invalid upload id"))?;
    call.accept_grant(&id.bucket, &id.key)?;
    let upload = find(call, &id).await?;
    let key = call.domain.key(&id.key)?;
    let context = call.context("storage.tus.upload.delete", "storage.tus.upload.delete_signed");
    call.may(&context, &id.bucket, &key).await?;
    if upload.is_complete() {
        return Err(TusError::text(400, "Cannot terminate an already completed upload"));
    }
    let _held = call.locks.acquire(&id.version).await?;
    if find(call, &id).await?.is_complete() {
        return Err(TusError::text(400, "Cannot terminate an already completed upload"));
    }
    store::delete(&call.domain, &id).await?;
    call.domain.drop_parts(&id.version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
