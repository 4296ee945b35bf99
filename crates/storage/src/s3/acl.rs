//! Access control lists, as far as there is anything to say: whoever owns has full control, and everyone may read a public
//! bucket. Who else may do what is a matter of policies in the database.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;

use super::buckets::{MAX_CONFIGURATION, owner, owner_id};
use super::error::{S3Error, S3Result};
use super::xml::Document;
use super::{Call, body, empty, read, xml_response};
use crate::domain::BucketUpdate;

fn list(call: &Call, owned_by: Option<&str>, public: bool) -> Response {
    let id = owner_id(call, owned_by);
    let mut document = Document::new("AccessControlPolicy");
    owner(&mut document, id);
    document.nest("AccessControlList", |list| {
        list.nest("Grant", |grant| {
            grant.grantee("CanonicalUser", |grantee| {
                grantee.text("ID", id);
                grantee.text("DisplayName", id);
            });
            grant.text("Permission", "FULL_CONTROL");
        });
        if public {
            list.nest("Grant", |grant| {
                grant.grantee("Group", |grantee| {
                    grantee.text("URI", "http://acs.amazonaws.com/groups/global/AllUsers");
                });
                grant.text("Permission", "READ");
            });
        }
    });
    xml_response(document.finish())
}

pub(super) async fn bucket(call: &Call) -> S3Result<Response> {
    let bucket = call.domain.get_bucket(&call.context, call.bucket()).await?;
    Ok(list(call, Some(bucket.owner.as_str()).filter(|owner| !owner.is_empty()), bucket.public))
}

pub(super) async fn object(call: &Call) -> S3Result<Response> {
    let object = read::find(call).await?;
    Ok(list(call, object.row.owner_id.as_deref(), call.domain.find_bucket(call.bucket()).await?.public))
}

/// The canned list that a request sets: whether everyone may read. No other list means anything here.
async fn canned(call: &Call, content: Body) -> S3Result<bool> {
    let public = match call.header("x-amz-acl") {
        Some("private") => false,
        Some("public-read") => true,
        Some(other) => return Err(S3Error::not_implemented(&format!("x-amz-acl: {other}"))),
        None => return Err(S3Error::not_implemented("an access control list of its own")),
    };
    body::whole(&call.headers, content, call.verified.as_ref(), MAX_CONFIGURATION).await?;
    Ok(public)
}

/// Needs UPDATE on the bucket.
pub(super) async fn put_bucket(call: &Call, content: Body) -> S3Result<Response> {
    let public = canned(call, content).await?;
    let update = BucketUpdate { public: Some(public), ..BucketUpdate::default() };
    call.domain.update_bucket(&call.context, call.bucket(), &update).await?;
    Ok(empty(StatusCode::OK))
}

/// An object is as public as its bucket: setting that anew changes nothing, and anything else is refused rather than
/// taken for done.
pub(super) async fn put_object(call: &Call, content: Body) -> S3Result<Response> {
    let public = canned(call, content).await?;
    read::find(call).await?;
    if call.domain.find_bucket(call.bucket()).await?.public == public {
        return Ok(empty(StatusCode::OK));
    }
    Err(S3Error::not_implemented("an access control list that differs from the bucket's"))
}
