//! `DELETE /object/…`.

use axum::body::Body;
use axum::response::Response;
use serde_json::json;

use super::{Call, decoded, ok};
use crate::error::Result;
use crate::http_parts::fields::Fields;

pub(super) async fn one(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let context = call.context("storage.object.delete")?;
    call.domain.delete(&context, bucket, &decoded(raw_key)?).await?;
    Ok(ok(json!({ "message": "Successfully deleted" })))
}

/// The keys in `prefixes`, which are whole keys in spite of the name.
pub(super) async fn many(call: &Call, bucket: &str, body: Body) -> Result<Response> {
    let context = call.context("storage.object.delete_many")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let keys = fields.required_texts("prefixes", 1)?;
    let deleted = call.domain.delete_many(&context, bucket, &keys).await?;
    Ok(ok(deleted.iter().map(super::shown).collect()))
}
