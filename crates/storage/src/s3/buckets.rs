//! Buckets.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;

use super::error::{S3Error, S3Result};
use super::xml::{Document, parse};
use super::{Call, body, empty, set, xml_response};
use crate::domain::{BucketName, BucketQuery, NewBucket};
use crate::error::Code;

/// The largest document that configures a bucket.
pub(super) const MAX_CONFIGURATION: usize = 64 << 10;

/// How an owner is written.
pub(super) fn owner(document: &mut Document, id: &str) {
    document.nest("Owner", |owner| {
        owner.text("ID", id);
        owner.text("DisplayName", id);
    });
}

/// Who owns what nobody in particular owns: the service.
pub(super) fn owner_id<'a>(call: &'a Call, owner: Option<&'a str>) -> &'a str {
    owner.unwrap_or(&call.domain.config().service_role)
}

pub(super) async fn list(call: &Call) -> S3Result<Response> {
    let mut query = BucketQuery { sort_column: Some("id".into()), ..BucketQuery::default() };
    let max = match call.query("max-buckets") {
        None => None,
        Some(text) => Some(
            text.parse::<u64>()
                .ok()
                .filter(|max| (1..=10_000).contains(max))
                .ok_or_else(|| S3Error::invalid_argument("max-buckets must be between 1 and 10000"))?,
        ),
    };
    let skip: u64 = match call.query("continuation-token") {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| S3Error::invalid_argument("The continuation token provided is incorrect"))?,
    };
    query.limit = max.map(|max| max + 1);
    query.offset = (skip > 0).then_some(skip);
    let mut rows = call.domain.list_buckets(&call.context, &query).await?;
    let next = max.filter(|max| rows.len() as u64 > *max);
    if let Some(max) = next {
        rows.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    }
    let prefix = call.query("prefix").unwrap_or_default();
    let mut document = Document::new("ListAllMyBucketsResult");
    owner(&mut document, owner_id(call, call.context.caller.subject.as_deref()));
    document.nest("Buckets", |buckets| {
        for row in rows.iter().filter(|row| row.id.starts_with(prefix)) {
            buckets.nest("Bucket", |bucket| {
                bucket.text("Name", &row.id);
                bucket.text("CreationDate", &row.created_at);
            });
        }
    });
    document.optional("ContinuationToken", next.map(|max| (skip + max).to_string()).as_deref());
    Ok(xml_response(document.finish()))
}

pub(super) async fn create(call: &Call, content: Body) -> S3Result<Response> {
    let config = call.domain.config();
    let name = BucketName::parse(call.bucket(), &config.reserved_suffix)
        .map_err(|_| S3Error::new("InvalidBucketName", 400, "The specified bucket is not valid."))?;
    if call.header("x-amz-bucket-object-lock-enabled").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Err(S3Error::not_implemented("x-amz-bucket-object-lock-enabled"));
    }
    let content = body::whole(&call.headers, content, call.verified.as_ref(), MAX_CONFIGURATION).await?;
    if !content.is_empty() {
        // A location is accepted and means nothing: there is one.
        parse(&content)?;
    }
    let public = matches!(call.header("x-amz-acl"), Some("public-read" | "public-read-write"));
    let bucket =
        NewBucket { id: name.clone(), name, public, file_size_limit: None, allowed_mime_types: None };
    match call.domain.create_bucket(&call.context, &bucket).await {
        Ok(()) => {}
        Err(error) if error.code == Code::BucketAlreadyExists => {
            // Whoever sees a bucket shares it, and may ask for it again, as in AWS's first region. Nothing changes.
            call.domain.get_bucket(&call.context, call.bucket()).await.map_err(|_| {
                S3Error::new(
                    "BucketAlreadyExists",
                    409,
                    "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
                )
            })?;
        }
        Err(error) => return Err(error.into()),
    }
    let mut response = empty(StatusCode::OK);
    set(&mut response, "location", &format!("/{}", call.bucket()));
    Ok(response)
}

pub(super) async fn head(call: &Call) -> S3Result<Response> {
    call.domain.get_bucket(&call.context, call.bucket()).await?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "x-amz-bucket-region", &call.domain.config().s3.region);
    Ok(response)
}

pub(super) async fn delete(call: &Call) -> S3Result<Response> {
    let bucket = call.bucket();
    let mut outcome = call.domain.delete_bucket(&call.context, bucket).await;
    let is_in_use = |outcome: &crate::Result<()>| matches!(outcome, Err(error) if error.code == Code::InvalidRequest && error.status == 409);
    if is_in_use(&outcome) && super::uploads::drop_all(call, bucket).await? {
        outcome = call.domain.delete_bucket(&call.context, bucket).await;
    }
    match outcome {
        Ok(()) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(error) if error.code == Code::InvalidRequest && error.status == 409 => {
            Err(S3Error::new("BucketNotEmpty", 409, "The bucket you tried to delete is not empty"))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn location(call: &Call) -> S3Result<Response> {
    call.domain.get_bucket(&call.context, call.bucket()).await?;
    let mut document = Document::new("LocationConstraint");
    let region = &call.domain.config().s3.region;
    if !matches!(region.as_str(), "us-east-1" | "not-specified") {
        document.root_text(region);
    }
    Ok(xml_response(document.finish()))
}

pub(super) async fn versioning(call: &Call) -> S3Result<Response> {
    call.domain.get_bucket(&call.context, call.bucket()).await?;
    Ok(xml_response(Document::new("VersioningConfiguration").finish()))
}
