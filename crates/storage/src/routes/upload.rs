//! `POST` and `PUT /object/…`: the body itself, or the file in a form.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::{Call, form, ok};
use crate::blob::Inflow;
use crate::context::{Caller, Context};
use crate::domain::{Bucket, Condition, Mode, ObjectKey, Stored, Upload, UploadKind};
use crate::error::{Error, Result};
use crate::http_parts::{self, inflow};

/// What a body says of itself, in headers or in a form.
pub(super) struct Content {
    pub(super) content_type: String,
    pub(super) cache_control: String,
    pub(super) user_metadata: Option<Value>,
    pub(super) size: Option<u64>,
}

pub(super) async fn create(call: &Call, bucket: &str, raw_key: &str, body: Body) -> Result<Response> {
    let prepared = prepare(call, "storage.object.upload", raw_key);
    let mode = mode(call);
    answer(call, prepared, bucket, mode, body, true).await
}

pub(super) async fn replace(call: &Call, bucket: &str, raw_key: &str, body: Body) -> Result<Response> {
    let prepared = prepare(call, "storage.object.upload_update", raw_key);
    answer(call, prepared, bucket, Mode::Upsert, body, true).await
}

/// With an upload token: it says whose the object will be and whether it may replace one.
pub(super) async fn signed(call: &Call, bucket: &str, raw_key: &str, body: Body) -> Result<Response> {
    let prepared = (|| {
        let token = call.query.required("token")?;
        let key = call.key(raw_key)?;
        let grant = call.domain.signer().verify_upload(token, bucket, key.as_str())?;
        let caller = Caller::service(&call.domain.config().service_role, grant.owner.as_deref());
        let mode = if grant.upsert { Mode::Upsert } else { Mode::Create };
        Ok((call.context_of(caller, "storage.object.upload_signed"), key, mode))
    })();
    match prepared {
        Ok((context, key, mode)) => answer(call, Ok((context, key)), bucket, mode, body, false).await,
        Err(error) => answer(call, Err(error), bucket, Mode::Create, body, false).await,
    }
}

pub(super) fn mode(call: &Call) -> Mode {
    if call.header("x-upsert") == Some("true") { Mode::Upsert } else { Mode::Create }
}

fn prepare(call: &Call, operation: &'static str, raw_key: &str) -> Result<(Context, ObjectKey)> {
    Ok((call.context(operation)?, call.key(raw_key)?))
}

async fn answer(
    call: &Call,
    prepared: Result<(Context, ObjectKey)>,
    bucket: &str,
    mode: Mode,
    body: Body,
    with_id: bool,
) -> Result<Response> {
    let (context, key, bucket) = match prepared {
        Ok((context, key)) => match call.domain.find_bucket(bucket).await {
            Ok(bucket) => (context, key, bucket),
            Err(error) => return refuse(error, body).await,
        },
        Err(error) => return refuse(error, body).await,
    };
    let path = format!("{}/{key}", bucket.id);
    let stored = if form::is_form(&call.parts.headers) {
        form::upload(call, &context, bucket, key, mode, body).await?
    } else {
        raw(call, &context, bucket, key, mode, body).await?
    };
    Ok(ok(if with_id { json!({ "Id": stored.id, "Key": path }) } else { json!({ "Key": path }) }))
}

async fn refuse(error: Error, body: Body) -> Result<Response> {
    http_parts::drain(body).await;
    Err(error)
}

async fn raw(
    call: &Call,
    context: &Context,
    bucket: Bucket,
    key: ObjectKey,
    mode: Mode,
    body: Body,
) -> Result<Stored> {
    let content = Content {
        content_type: call
            .header(CONTENT_TYPE.as_str())
            .filter(|kind| !kind.is_empty())
            .unwrap_or("application/octet-stream")
            .to_owned(),
        cache_control: call.header(CACHE_CONTROL.as_str()).unwrap_or("no-cache").to_owned(),
        user_metadata: call.header("x-metadata").and_then(user_metadata),
        size: inflow::length(&call.parts.headers),
    };
    let limit = bucket.limit(call.domain.config().standard_limit());
    let too_large = content.size.is_some_and(|size| size > limit);
    let checked =
        if key.is_folder_marker() { Ok(()) } else { bucket.check_content_type(&content.content_type) };
    if let Err(error) = checked {
        http_parts::drain(body).await;
        return Err(error);
    }
    if too_large {
        // Policies are asked first, as always: who may not write does not learn the limits.
        let asked = call.domain.may_upload(context, &bucket.id, &key, mode).await;
        http_parts::drain(body).await;
        asked?;
        return Err(Error::too_large());
    }
    store(call, context, bucket, key, mode, content, http_parts::of_body(body)).await
}

/// Stores a body whose type was checked.
pub(super) async fn store(
    call: &Call,
    context: &Context,
    bucket: Bucket,
    key: ObjectKey,
    mode: Mode,
    content: Content,
    body: Inflow,
) -> Result<Stored> {
    let limit = bucket.limit(call.domain.config().standard_limit());
    let upload = Upload {
        bucket,
        key,
        mode,
        condition: Condition::Any,
        content_type: content.content_type,
        cache_control: content.cache_control,
        extra: Map::new(),
        user_metadata: Some(content.user_metadata.unwrap_or_else(|| json!({}))),
        size: content.size,
        limit,
        kind: UploadKind::Standard,
    };
    call.domain.upload(context, upload, body).await
}

/// Base64 of JSON; what is neither counts as absent.
pub(super) fn user_metadata(header: &str) -> Option<Value> {
    let bytes = STANDARD.decode(header.trim()).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}
