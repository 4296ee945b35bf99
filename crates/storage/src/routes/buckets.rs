//! `/bucket`.

use axum::body::Body;
use axum::response::Response;
use http::Method;
use serde_json::{Value, json};

use super::{Call, decoded, not_found, ok};
use crate::domain::{BucketName, BucketQuery, BucketUpdate, NewBucket, SizeLimit, check_mime_types};
use crate::error::{Code, Error, Result};
use crate::http_parts::fields::{self, Fields};

pub(super) async fn answer(call: &Call, path: &str, body: Body) -> Result<Response> {
    let path = path.trim_end_matches('/');
    match (&call.parts.method, path.split_once('/')) {
        (&Method::GET | &Method::HEAD, None) if path.is_empty() => list(call).await,
        (&Method::POST, None) if path.is_empty() => create(call, body).await,
        (&Method::POST, Some((bucket, "empty"))) => empty(call, &decoded(bucket)?).await,
        (&Method::GET | &Method::HEAD, None) => get(call, &decoded(path)?).await,
        (&Method::PUT, None) if !path.is_empty() => update(call, &decoded(path)?, body).await,
        (&Method::DELETE, None) if !path.is_empty() => delete(call, &decoded(path)?, body).await,
        _ => Ok(not_found(call)),
    }
}

async fn list(call: &Call) -> Result<Response> {
    let context = call.context("storage.bucket.list")?;
    let columns = ["id", "name", "created_at", "updated_at"];
    let query = BucketQuery {
        limit: call.query.integer("limit", 1)?,
        offset: call.query.integer("offset", 0)?,
        sort_column: call.query.choice("sortColumn", &columns)?.map(str::to_owned),
        descending: call.query.choice("sortOrder", &["asc", "desc"])? == Some("desc"),
        search: call.query.get("search").filter(|search| !search.is_empty()).map(str::to_owned),
    };
    let mut rows = call.domain.list_buckets(&context, &query).await?;
    if refuses_type(call) {
        rows.iter_mut().for_each(|row| row.kind = None);
    }
    Ok(ok(json!(rows)))
}

/// Old Python clients refuse rows with members that they do not know.
fn refuses_type(call: &Call) -> bool {
    let older = |version: &str, than: [u32; 3]| {
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        let version = [(); 3].map(|()| numbers.next().unwrap_or(0));
        version < than
    };
    ["x-client-info", "user-agent"].iter().filter_map(|name| call.header(name)).any(|client| {
        if let Some(version) = client.strip_prefix("supabase-py/storage3 v") {
            older(version, [0, 12, 1])
        } else {
            client.strip_prefix("supabase-py/").is_some_and(|version| older(version, [2, 18, 0]))
        }
    })
}

async fn create(call: &Call, body: Body) -> Result<Response> {
    let context = call.context("storage.bucket.create")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let name = fields.required_text("name")?;
    match fields.text("type")?.as_deref() {
        None | Some("STANDARD") => {}
        Some("ANALYTICS") => {
            let message = "The feature iceberg_catalog is not enabled for this resource";
            return Err(Error::new(Code::InvalidRequest, message).with_status(409));
        }
        Some(_) => return Err(Error::validation("body/type must be equal to one of the allowed values")),
    }
    let suffix = &call.domain.config().reserved_suffix;
    let id = fields.text("id")?.filter(|id| !id.is_empty()).unwrap_or_else(|| name.clone());
    let bucket = NewBucket {
        id: BucketName::parse(&id, suffix)?,
        name: BucketName::parse(&name, suffix)?,
        public: fields.boolean("public")?.unwrap_or(false),
        file_size_limit: size_limit(&fields)?.flatten(),
        allowed_mime_types: mime_types(&fields)?.flatten(),
    };
    call.domain.create_bucket(&context, &bucket).await?;
    Ok(ok(json!({ "name": name })))
}

async fn get(call: &Call, bucket: &str) -> Result<Response> {
    let context = call.context("storage.bucket.get")?;
    let mut row = call.domain.get_bucket(&context, bucket).await?;
    row.kind = None;
    Ok(ok(json!(row)))
}

async fn update(call: &Call, bucket: &str, body: Body) -> Result<Response> {
    let context = call.context("storage.bucket.update")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let update = BucketUpdate {
        public: fields.boolean("public")?,
        file_size_limit: size_limit(&fields)?,
        allowed_mime_types: mime_types(&fields)?,
    };
    call.domain.update_bucket(&context, bucket, &update).await?;
    Ok(ok(json!({ "message": "Successfully updated" })))
}

async fn delete(call: &Call, bucket: &str, body: Body) -> Result<Response> {
    let context = call.context("storage.bucket.delete")?;
    fields::json(&call.parts.headers, body).await?;
    call.domain.delete_bucket(&context, bucket).await?;
    Ok(ok(json!({ "message": "Successfully deleted" })))
}

async fn empty(call: &Call, bucket: &str) -> Result<Response> {
    let context = call.context("storage.bucket.empty")?;
    call.domain.empty_bucket(&context, bucket).await?;
    Ok(ok(json!({ "message": "Empty bucket has been queued. Completion may take up to an hour." })))
}

/// Absent, lifted, or a number of bytes; also with a unit.
fn size_limit(fields: &Fields) -> Result<Option<Option<u64>>> {
    match fields.get("file_size_limit") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) => Ok(Some(Some(SizeLimit::parse(text)?.0))),
        // In the words for sizes as texts.
        Some(Value::Number(number)) if number.as_f64().is_some_and(|number| number < 0.0) => {
            Ok(Some(Some(SizeLimit::parse(&number.to_string())?.0)))
        }
        Some(value) => Ok(Some(Some(fields::integer(value, "body/file_size_limit", 0)?))),
    }
}

fn mime_types(fields: &Fields) -> Result<Option<Option<Vec<String>>>> {
    match fields.get("allowed_mime_types") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => {
            let types = check_mime_types(fields::texts(value, "body/allowed_mime_types")?)?;
            Ok(Some(Some(types)))
        }
    }
}
