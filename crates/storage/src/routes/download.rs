//! `GET` and `HEAD /object/…`: bytes, headers, and what is known of an object.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

use super::Call;
use crate::context::Context;
use crate::domain::{Domain, Object, ObjectKey};
use crate::error::{Code, Error, Result};
use crate::http_parts::conditions::{self, Verdict};
use crate::http_parts::range::{self, Wanted};
use crate::http_parts::{auth, encode_component, http_date, inflow};

pub(super) async fn public(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let key = call.key(raw_key)?;
    let object = call.domain.find_public(bucket, &key).await?;
    serve(call, object, None).await
}

pub(super) async fn authenticated(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let context = call.context(operation(call, "storage.object.get_authenticated"))?;
    let key = call.key(raw_key)?;
    let object = readable(&call.domain, &context, bucket, &key).await?;
    serve(call, object, None).await
}

/// The path without a word before the bucket: with a token as above, without one what is public.
pub(super) async fn either(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let key = call.key(raw_key)?;
    let object = match auth::optional(&call.domain, &call.parts) {
        Some(caller) => {
            let operation = operation(call, "storage.object.get_authenticated");
            readable(&call.domain, &call.context_of(caller, operation), bucket, &key).await?
        }
        None => call.domain.find_public(bucket, &key).await?,
    };
    serve(call, object, None).await
}

pub(super) async fn signed(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let token = call.query.required("token")?;
    let key = call.key(raw_key)?;
    let (transformations, expires) = call.domain.signer().verify_download(token, bucket, key.as_str())?;
    // A token for a thumbnail does not open the original.
    if !transformations.to_text().is_empty() {
        return Err(Error::new(Code::InvalidSignature, "Invalid signature"));
    }
    let context = call.anonymous("storage.object.get_signed");
    let object = call.domain.find_signed(&context, bucket, &key).await?;
    serve(call, object, expires).await
}

pub(super) async fn info_public(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let key = call.key(raw_key)?;
    Ok(info(call, &call.domain.find_public(bucket, &key).await?))
}

pub(super) async fn info_authenticated(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let context = call.context("object.get_authenticated_info")?;
    let key = call.key(raw_key)?;
    Ok(info(call, &readable(&call.domain, &context, bucket, &key).await?))
}

pub(super) async fn info_either(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let key = call.key(raw_key)?;
    let object = match auth::optional(&call.domain, &call.parts) {
        Some(caller) => {
            let context = call.context_of(caller, "object.get_authenticated_info");
            readable(&call.domain, &context, bucket, &key).await?
        }
        None => call.domain.find_public(bucket, &key).await?,
    };
    Ok(info(call, &object))
}

/// Policies tell a look at the headers from a download by these names.
fn operation(call: &Call, get: &'static str) -> &'static str {
    if call.parts.method == Method::HEAD { "object.head_authenticated_info" } else { get }
}

/// An object that the caller may read: what a public bucket holds is everybody's, whatever policies say to somebody who shows
/// a token. They are asked first, because with a token it is mostly private buckets that are read.
async fn readable(domain: &Domain, context: &Context, bucket: &str, key: &ObjectKey) -> Result<Object> {
    match domain.find(context, bucket, key).await {
        Ok(object) => Ok(object),
        Err(error) if matches!(error.code, Code::DatabaseTimeout | Code::SlowDown) => Err(error),
        Err(refused) => match domain.find_public(bucket, key).await {
            Err(error) if error.code == Code::NoSuchBucket => missing(domain, bucket, refused).await,
            found => found,
        },
    }
}

/// What is said of an object that was not found: its bucket may be missing.
async fn missing<T>(domain: &Domain, bucket: &str, error: Error) -> Result<T> {
    if error.code == Code::NoSuchKey {
        domain.find_bucket(bucket).await?;
    }
    Err(error)
}

/// An object that the caller may see; says which of bucket and object is missing.
pub(super) async fn visible(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    key: &ObjectKey,
) -> Result<Object> {
    match domain.find(context, bucket, key).await {
        Err(error) => missing(domain, bucket, error).await,
        found => found,
    }
}

/// What is known of an object.
fn info(call: &Call, object: &Object) -> Response {
    let row = &object.row;
    let metadata = |name: &str| row.metadata.as_ref().and_then(|metadata| metadata.get(name)).cloned();
    let mut response = super::ok(json!({
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "bucket_id": row.bucket_id,
        "size": metadata("size"),
        "content_type": metadata("mimetype"),
        "cache_control": metadata("cacheControl"),
        "etag": metadata("eTag"),
        "metadata": row.user_metadata,
        "last_modified": row.updated_at,
        "created_at": row.created_at,
    }));
    let headers = response.headers_mut();
    put(headers, CACHE_CONTROL, &cache_control(call, object, false));
    if let Some(etag) = object.etag() {
        put(headers, ETAG, etag);
    }
    if let Some(modified) = object.last_modified() {
        put(headers, LAST_MODIFIED, &http_date(modified));
    }
    response
}

/// Answers with an object: its bytes, a part of them, or only what is said of them. `expires` is the end of a signed URL,
/// in seconds since 1970.
pub(crate) async fn serve(call: &Call, object: Object, expires: Option<u64>) -> Result<Response> {
    let request = &call.parts.headers;
    let modified = object.last_modified();
    let size = call.domain.size_of(&object).await?;
    let head = call.parts.method == Method::HEAD;
    match conditions::judge(request, object.etag(), modified) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Ok(not_modified(call, &object, expires, head)),
        Verdict::Failed => return Ok(StatusCode::PRECONDITION_FAILED.into_response()),
    }
    let asked = request.get(RANGE).and_then(|value| value.to_str().ok());
    let asked = asked.filter(|_| conditions::range_counts(request, object.etag(), modified));
    let (status, part) = match range::wanted(asked, size) {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part)),
        Wanted::Beyond => {
            let mut response = Error::from(crate::blob::StoreError::Range).into_response();
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            put(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(response);
        }
    };
    if head {
        let length = part.as_ref().map_or(size, |part| part.end - part.start);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        describe(response.headers_mut(), call, &object, expires, head);
        put(response.headers_mut(), CONTENT_LENGTH, &length.to_string());
        if let Some(part) = part {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            put(response.headers_mut(), CONTENT_RANGE, &range);
        }
        return Ok(response);
    }
    let opened = call.domain.open(object, part.clone()).await?;
    let (blob, object) = (opened.blob, opened.object);
    let length = blob.range.end - blob.range.start;
    let mut response = Response::new(inflow::to_body(blob.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    describe(headers, call, &object, expires, head);
    put(headers, CONTENT_LENGTH, &length.to_string());
    if part.is_some() {
        let range = format!("bytes {}-{}/{}", blob.range.start, blob.range.end.saturating_sub(1), blob.size);
        put(headers, CONTENT_RANGE, &range);
    }
    Ok(response)
}

fn not_modified(call: &Call, object: &Object, expires: Option<u64>, head: bool) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    describe(response.headers_mut(), call, object, expires, head);
    response
}

/// The headers that describe an object.
fn describe(headers: &mut HeaderMap, call: &Call, object: &Object, expires: Option<u64>, head: bool) {
    put(headers, CONTENT_TYPE, harmless(object.content_type()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(etag) = object.etag() {
        put(headers, ETAG, etag);
    }
    if let Some(modified) = object.last_modified() {
        put(headers, LAST_MODIFIED, &http_date(modified));
    }
    match expires.and_then(|at| DateTime::<Utc>::from_timestamp(i64::try_from(at).ok()?, 0)) {
        Some(at) => put(headers, EXPIRES, &http_date(at)),
        None => put(headers, CACHE_CONTROL, &cache_control(call, object, head)),
    }
    // What S3 clients say of an object besides its type. Compressed bytes are of no use to who does not learn that they are.
    for (header, member) in [
        (CONTENT_ENCODING, "contentEncoding"),
        (CONTENT_LANGUAGE, "contentLanguage"),
        (CONTENT_DISPOSITION, "contentDisposition"),
    ] {
        if let Some(value) = object.metadata_text(member) {
            put(headers, header, value);
        }
    }
    if let Some(download) = call.query.get("download") {
        put(headers, CONTENT_DISPOSITION, &disposition(download));
    }
}

/// Pages are shown as text: this origin also holds the API, and a page could act in the name of who opens it.
fn harmless(content_type: &str) -> &str {
    if content_type.to_ascii_lowercase().contains("text/html") { "text/plain" } else { content_type }
}

/// The object's own, with what caches in between need when they ask whether it has changed.
fn cache_control(call: &Call, object: &Object, head: bool) -> String {
    let config = call.domain.config();
    let mut value = object.cache_control().to_owned();
    let known = config.etag_headers.iter().find_map(|name| call.header(name));
    let Some(known) = known else { return value };
    let same = object.etag().is_some_and(|etag| conditions::matches(known, Some(etag), true));
    if config.s_maxage > 0 && (!head || same) {
        value.push_str(&format!(", s-maxage={}", config.s_maxage));
    }
    match (same, head) {
        (false, true) => value.push_str(", must-revalidate"),
        (false, false) => value.push_str(", stale-while-revalidate=30"),
        (true, _) => {}
    }
    value
}

/// `?download` and `?download=name`.
pub(crate) fn disposition(name: &str) -> String {
    if name.is_empty() {
        return "attachment;".to_owned();
    }
    let name = encode_component(name);
    format!("attachment; filename={name}; filename*=UTF-8''{name}")
}

/// Sets a header, unless the value cannot be one (a row may hold anything).
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.insert(name, value);
        }
        Err(_) => tracing::debug!(header = %name, "a stored value is no header value"),
    }
}
