//! `POST /object/copy` and `/object/move`.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, ok, upload};
use crate::domain::{Condition, CopyRequest, MoveRequest, NewMetadata, UploadKind};
use crate::error::{Error, Result};
use crate::http_parts::fields::Fields;

pub(super) async fn copy(call: &Call, body: Body) -> Result<Response> {
    let context = call.context("storage.object.copy")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let bucket = fields.required_text("bucketId")?;
    let source = fields.required_text("sourceKey")?;
    let destination = call.domain.key(&fields.required_text("destinationKey")?)?;
    let to_bucket =
        fields.text("destinationBucket")?.filter(|name| !name.is_empty()).unwrap_or_else(|| bucket.clone());
    // A source that could not be a key is one that is not there.
    let source = call.domain.key(&source).map_err(|_| Error::no_such_key())?;
    let metadata = if fields.boolean("copyMetadata")?.unwrap_or(true) {
        None
    } else {
        let given = fields.object("metadata")?;
        let text = |name| given.as_ref().map_or(Ok(None), |given| given.text(name));
        Some(NewMetadata {
            content_type: text("mimetype")?.filter(|kind| !kind.is_empty()),
            cache_control: text("cacheControl")?,
            extra: None,
            user_metadata: Some(
                call.header("x-metadata").and_then(upload::user_metadata).unwrap_or(Value::Null),
            ),
        })
    };
    let request = CopyRequest {
        source: (bucket, source),
        destination: (to_bucket.clone(), destination.clone()),
        mode: upload::mode(call),
        condition: Condition::Any,
        metadata,
        kind: UploadKind::Standard,
    };
    let copied = call.domain.copy(&context, request).await?;
    let mut body = super::shown(&copied.object.row);
    body["Id"] = copied.stored.id.into();
    body["Key"] = format!("{to_bucket}/{destination}").into();
    Ok(ok(body))
}

pub(super) async fn r#move(call: &Call, body: Body) -> Result<Response> {
    let context = call.context("storage.object.move")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let bucket = fields.required_text("bucketId")?;
    let source = fields.required_text("sourceKey")?;
    let destination = call.domain.key(&fields.required_text("destinationKey")?)?;
    let to_bucket =
        fields.text("destinationBucket")?.filter(|name| !name.is_empty()).unwrap_or_else(|| bucket.clone());
    let request = MoveRequest { source: (bucket, source), destination: (to_bucket, destination) };
    call.domain.move_object(&context, &request).await?;
    Ok(ok(json!({ "message": "Successfully moved" })))
}
