//! Deleting objects: what is not there counts as deleted, what may not be deleted does not.

use std::collections::HashSet;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;

use super::error::{S3Error, S3Result};
use super::xml::{Document, Element, parse};
use super::{Call, body, empty, xml_response};
use crate::http_parts::conditions::matches;
use crate::sql;

/// How many keys one request names at most.
const MAX_KEYS: usize = 1000;
/// The largest request: that many keys of the greatest length, each byte an entity.
const MAX_BODY: usize = 8 << 20;

pub(super) async fn one(call: &Call) -> S3Result<Response> {
    call.domain.find_bucket(call.bucket()).await?;
    super::read::check_version(call)?;
    let key = call.key_text().to_owned();
    if let Some(tags) = call.header("if-match") {
        let object = call.domain.find(&call.context, call.bucket(), &call.key()?).await?;
        if !matches(tags, object.etag(), true) {
            return Err(S3Error::precondition_failed());
        }
    }
    let gone = call.domain.delete_many(&call.context, call.bucket(), std::slice::from_ref(&key)).await?;
    if gone.is_empty() && visible(call, &[key]).await?.len() == 1 {
        return Err(crate::Error::access_denied("Access Denied").into());
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

struct Wanted {
    key: String,
    version: Option<String>,
    etag: Option<String>,
}

impl Wanted {
    fn read(element: &Element) -> S3Result<Self> {
        let text = |name: &str| element.text_of(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let key = text("Key").ok_or_else(S3Error::malformed_xml)?;
        Ok(Self { key, version: text("VersionId").filter(|version| version != "null"), etag: text("ETag") })
    }
}

pub(super) async fn many(call: &Call, content: Body) -> S3Result<Response> {
    let content = body::whole(&call.headers, content, call.verified.as_ref(), MAX_BODY).await?;
    let root = parse(&content)?;
    let quiet = root.text_of("Quiet").is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    let wanted: Vec<Wanted> = root.all("Object").map(Wanted::read).collect::<S3Result<_>>()?;
    if root.name != "Delete" || wanted.is_empty() || wanted.len() > MAX_KEYS {
        return Err(S3Error::malformed_xml());
    }
    call.domain.find_bucket(call.bucket()).await?;
    let mut errors: Vec<(String, S3Error)> = Vec::new();
    let mut keys = Vec::with_capacity(wanted.len());
    for entry in wanted {
        if entry.version.is_some() {
            let error = S3Error::new("NoSuchVersion", 404, "The specified version does not exist.");
            errors.push((entry.key, error));
            continue;
        }
        if let Some(etag) = &entry.etag {
            let key = super::key(&call.domain, &entry.key)?;
            let found = call.domain.find(&call.context, call.bucket(), &key).await;
            let fits = found.is_ok_and(|object| matches(etag, object.etag(), true));
            if !fits {
                errors.push((entry.key, S3Error::precondition_failed()));
                continue;
            }
        }
        keys.push(entry.key);
    }
    let gone = call.domain.delete_many(&call.context, call.bucket(), &keys).await?;
    let gone: HashSet<&str> = gone.iter().map(|row| row.name.as_str()).collect();
    let left: Vec<String> = keys.iter().filter(|key| !gone.contains(key.as_str())).cloned().collect();
    let denied = visible(call, &left).await?;
    let mut document = Document::new("DeleteResult");
    for key in &keys {
        if denied.contains(key) {
            errors.push((key.clone(), S3Error::new("AccessDenied", 403, "Access Denied")));
        } else if !quiet {
            document.nest("Deleted", |deleted| deleted.text("Key", key));
        }
    }
    for (key, error) in &errors {
        document.nest("Error", |entry| {
            entry.text("Key", key);
            entry.text("Code", &error.code);
            entry.text("Message", &error.message);
        });
    }
    Ok(xml_response(document.finish()))
}

/// Those of the keys that the caller still sees.
async fn visible(call: &Call, keys: &[String]) -> S3Result<HashSet<String>> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let names = sql::objects::find_many(&call.domain, &call.context, call.bucket(), keys).await?;
    Ok(names.into_iter().collect())
}
