//! Putting objects.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::body::{Incoming, Outcome, incoming};
use super::error::{S3Error, S3Result};
use super::headers::{self, Described};
use super::{Call, empty, set};
use crate::Code;
use crate::blob::{Attributes, Inflow};
use crate::domain::{Condition, Mode, NewObject, ObjectKey, Stored, UploadKind};

/// The condition that a put's headers make on the key.
pub(super) fn condition(headers: &HeaderMap) -> S3Result<Condition> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    match (text("if-match"), text("if-none-match")) {
        (None, None) => Ok(Condition::Any),
        (None, Some("*")) => Ok(Condition::Absent),
        (Some(tags), None) => Ok(Condition::Matches(tags.split(',').map(quoted).collect())),
        (None, Some(tags)) => Ok(Condition::Differs(tags.split(',').map(quoted).collect())),
        (Some(_), Some(_)) => Err(S3Error::not_implemented("If-Match together with If-None-Match")),
    }
}

fn quoted(tag: &str) -> String {
    match tag.trim() {
        "*" => "*".to_owned(),
        tag => format!("\"{}\"", tag.trim_matches('"')),
    }
}

/// A refusal at the commit in S3's terms: whose condition failed, and why.
pub(super) fn explain_condition(condition: &Condition, error: crate::Error) -> S3Error {
    match (condition, error.code) {
        (Condition::Absent, Code::KeyAlreadyExists | Code::ResourceAlreadyExists) => {
            S3Error::precondition_failed()
        }
        (Condition::Matches(_), Code::NoSuchKey) => S3Error::no_such_key(),
        _ => error.into(),
    }
}

/// Refuses what cannot be committed before its body is sent.
async fn check_early(call: &Call, key: &ObjectKey, condition: &Condition) -> S3Result<()> {
    let found = match condition {
        Condition::Any => return Ok(()),
        _ => call.domain.find_signed(&call.context, call.bucket(), key).await,
    };
    let allows = |current| {
        if condition.allows(current) { Ok(()) } else { Err(S3Error::precondition_failed()) }
    };
    match (condition, found) {
        (_, Ok(object)) => allows(Some(object.etag())),
        (Condition::Matches(_), Err(error)) if error.code == Code::NoSuchKey => Err(S3Error::no_such_key()),
        (_, Err(error)) if error.code == Code::NoSuchKey => allows(None),
        (_, Err(error)) => Err(error.into()),
    }
}

/// A body and what is to become of it.
pub(super) struct Put {
    pub(super) key: ObjectKey,
    pub(super) described: Described,
    pub(super) condition: Condition,
    pub(super) inflow: Inflow,
    /// How long it is, when that is known.
    pub(super) size: Option<u64>,
    /// The smallest and largest size that are taken, beside the bucket's own limit.
    pub(super) range: Option<(u64, u64)>,
    pub(super) outcome: Arc<Outcome>,
}

/// Probe, stream, commit.
pub(super) async fn store(call: &Call, put: Put) -> S3Result<Stored> {
    let domain = &call.domain;
    let bucket = domain.find_bucket(call.bucket()).await?;
    let mut limit = bucket.limit(domain.config().standard_limit());
    if let Some((_, max)) = put.range {
        limit = limit.min(max);
    }
    if put.key.is_folder_marker() {
        limit = 0;
    } else {
        bucket.check_content_type(&put.described.content_type)?;
    }
    if put.size.is_some_and(|size| size > limit) {
        return Err(crate::Error::too_large().into());
    }
    check_early(call, &put.key, &put.condition).await?;
    let described = put.described;
    let mut known = Map::new();
    known.insert("mimetype".into(), Value::from(described.content_type.as_str()));
    known.insert("cacheControl".into(), Value::from(described.cache_control.as_str()));
    if let Some(size) = put.size {
        known.insert("size".into(), size.into());
        known.insert("contentLength".into(), size.into());
    }
    let blob = domain
        .begin_upload(&call.context, &bucket.id, &put.key, Mode::Upsert, put.size, Some(&known))
        .await?;
    let attributes = Attributes {
        content_type: Some(described.content_type.clone()),
        cache_control: Some(described.cache_control.clone()),
        size: put.size,
        ..Attributes::default()
    };
    let written = domain
        .store_blob(&blob, &attributes, put.inflow, limit)
        .await
        .map_err(|error| put.outcome.explain(error))?;
    if put.range.is_some_and(|(min, _)| written.size < min) {
        domain.abandon(vec![blob]);
        return Err(S3Error::new(
            "EntityTooSmall",
            400,
            "Your proposed upload is smaller than the minimum allowed size",
        ));
    }
    let mut extra = described.extra;
    if let Some(checksum) = put.outcome.checksum() {
        headers::checksum_members(&checksum, &mut extra);
    }
    let object = NewObject {
        bucket: bucket.id,
        key: put.key,
        blob,
        written,
        etag: None,
        condition: put.condition.clone(),
        content_type: described.content_type,
        cache_control: described.cache_control,
        extra,
        user_metadata: Some(described.user_metadata),
        part_checksums: Vec::new(),
        kind: UploadKind::S3,
        event: None,
    };
    domain.commit(&call.context, object).await.map_err(|error| explain_condition(&put.condition, error))
}

pub(super) async fn put(call: &Call, content: Body) -> S3Result<Response> {
    let key = call.key()?;
    let described = headers::describe(&call.headers)?;
    let condition = condition(&call.headers)?;
    let Incoming { size, inflow, outcome } = incoming(&call.headers, content, call.verified.as_ref(), None)?;
    let put = Put { key, described, condition, inflow, size, range: None, outcome: outcome.clone() };
    let stored = store(call, put).await?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &stored.etag);
    echo_checksum(&outcome, &mut response);
    Ok(response)
}

/// The checksum that was sent and held.
pub(super) fn echo_checksum(outcome: &Outcome, response: &mut Response) {
    if let Some(checksum) = outcome.checksum() {
        set(response, checksum.algorithm.header(), &checksum.text());
        set(response, "x-amz-checksum-type", "FULL_OBJECT");
    }
}
