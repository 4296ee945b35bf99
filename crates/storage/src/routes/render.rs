//! `GET` and `HEAD /render/image/…`: pictures in other sizes and types.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EXPIRES,
    LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

use super::Call;
use super::download::{disposition, put, visible};
use crate::domain::{Object, Transformations};
use crate::error::{Code, Error, Result};
use crate::http_parts::conditions::{self, Verdict};
use crate::http_parts::{auth, http_date};
use crate::render::Wanted;

const TRANSFORMATIONS: HeaderName = HeaderName::from_static("x-transformations");

/// The answer to whoever asks too often, before anything else is looked at.
pub(super) fn limited(call: &Call) -> Option<Response> {
    // The gateway says truly where a request comes from. Without it all are one caller, unless a proxy tells.
    let address = call.header("x-real-ip").or_else(|| call.header("x-client-ip")).unwrap_or_default();
    let wait = call.domain.renderer()?.count(address, call.parts.uri.path()).err()?;
    let body = json!({
        "statusCode": "429",
        "error": "Error",
        "message": format!("Rate limit exceeded, retry in {} seconds", wait.as_secs()),
    });
    Some((StatusCode::TOO_MANY_REQUESTS, axum::Json(body)).into_response())
}

pub(super) async fn public(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let asked = asked(call)?;
    let key = call.key(raw_key)?;
    let object = call.domain.find_public(bucket, &key).await?;
    serve(call, object, &asked, None).await
}

pub(super) async fn authenticated(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let caller = auth::verified(&call.domain, &call.parts)?;
    let context = call.context_of(caller, "storage.render.image_authenticated");
    let asked = asked(call)?;
    let key = call.key(raw_key)?;
    let object = visible(&call.domain, &context, bucket, &key).await?;
    serve(call, object, &asked, None).await
}

/// What is made of the picture is in the token; the query has no say.
pub(super) async fn signed(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let token = call.query.required("token")?;
    let key = call.key(raw_key)?;
    let (asked, expires) = call.domain.signer().verify_download(token, bucket, key.as_str())?;
    let context = call.anonymous("storage.render.image_sign");
    let object = call.domain.find_signed(&context, bucket, &key).await?;
    serve(call, object, &asked, expires).await
}

/// The query's transformations.
fn asked(call: &Call) -> Result<Transformations> {
    let size = |name: &str| -> Result<Option<u32>> {
        Ok(call.query.integer(name, 0)?.map(|size| u32::try_from(size).unwrap_or(u32::MAX)))
    };
    let quality = call.query.integer("quality", 20)?;
    if quality.is_some_and(|quality| quality > 100) {
        return Err(Error::validation("querystring/quality must be <= 100"));
    }
    let resize = call.query.choice("resize", &["cover", "contain", "fill"])?;
    let format = call.query.choice("format", &["origin", "avif"])?;
    Ok(Transformations {
        height: size("height")?,
        width: size("width")?,
        resize: resize.map(str::to_owned),
        quality: quality.and_then(|quality| u32::try_from(quality).ok()),
        format: format.map(str::to_owned),
    })
}

/// `expires` is the end of a signed URL, in seconds since 1970.
async fn serve(
    call: &Call,
    object: Object,
    asked: &Transformations,
    expires: Option<u64>,
) -> Result<Response> {
    let images = &call.domain.config().images;
    let wanted = Wanted::new(asked, call.header("accept"), images.min_size, images.max_size);
    let name = wanted.name(&object)?;
    let mut headers = HeaderMap::new();
    // The tag of the picture, not of the object: caches must not take one for the other, nor one type for another.
    let tag = format!("\"{}\"", name.version().unwrap_or_default());
    put(&mut headers, ETAG, &tag);
    let modified = object.last_modified();
    if let Some(modified) = modified {
        put(&mut headers, LAST_MODIFIED, &http_date(modified));
    }
    match expires.and_then(|at| DateTime::<Utc>::from_timestamp(i64::try_from(at).ok()?, 0)) {
        Some(at) => put(&mut headers, EXPIRES, &http_date(at)),
        None => put(&mut headers, CACHE_CONTROL, object.cache_control()),
    }
    if wanted.negotiated {
        headers.insert(VARY, HeaderValue::from_static("Accept"));
    }
    if !wanted.text.is_empty() {
        put(&mut headers, TRANSFORMATIONS, &wanted.text);
    }
    let bare = |status: StatusCode, headers: HeaderMap| {
        let mut response = status.into_response();
        response.headers_mut().extend(headers);
        Ok(response)
    };
    match conditions::judge(&call.parts.headers, Some(&tag), modified) {
        Verdict::Proceed => {}
        Verdict::NotModified => return bare(StatusCode::NOT_MODIFIED, headers),
        Verdict::Failed => return bare(StatusCode::PRECONDITION_FAILED, HeaderMap::new()),
    }
    let renderer = call.domain.renderer().ok_or_else(|| Error::new(Code::InternalError, "Internal error"))?;
    let picture = renderer.picture(&call.domain, object, wanted).await?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(picture.format.mime()));
    headers.insert(CONTENT_LENGTH, picture.bytes.len().into());
    if picture.format == imaging::Format::Svg {
        // Whatever a sanitiser overlooks: nothing in it may run.
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("script-src 'none'; sandbox"));
    }
    if let Some(download) = call.query.get("download") {
        put(&mut headers, CONTENT_DISPOSITION, &disposition(download));
    }
    let head = call.parts.method == Method::HEAD;
    let mut response = Response::new(if head { Body::empty() } else { Body::from(picture.bytes) });
    response.headers_mut().extend(headers);
    Ok(response)
}
