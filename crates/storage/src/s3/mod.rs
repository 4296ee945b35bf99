//! The S3 door: path-style S3 on the domain's operations.
//!
//! A request is verified ([`auth`]), its operation found ([`dispatch`]), its parameters read, one or two operations of
//! the domain called, and the answer written as XML. Everything runs under the policies of whoever signed.

mod acl;
mod attributes;
mod auth;
mod body;
mod buckets;
mod complete;
mod conditions;
mod copy;
mod cors;
mod delete;
mod dispatch;
mod error;
mod headers;
mod list;
mod multipart;
mod post_object;
mod public;
mod read;
mod store;
mod uploads;
mod write;
pub(crate) mod xml;

pub use self::public::router as public_router;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use self::dispatch::{Address, Operation, dispatch};
use self::error::{S3Error, S3Result};
use crate::domain::{Domain, ObjectKey};
use crate::sigv4::{Verified, decode_query};
use crate::{Caller, Context};

/// Where the door is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mount {
    /// Under `/s3` of the service, behind a front door that answers for CORS.
    Service,
    /// At the root of a listener of its own.
    Root,
}

/// The S3 door at the root of a listener of its own.
pub fn router(domain: Domain) -> Router {
    Router::new()
        .fallback(|State(domain): State<Domain>, request: Request| async move {
            serve(&domain, Mount::Root, request).await
        })
        .with_state(domain)
}

/// A verified request whose operation is known.
struct Call {
    domain: Domain,
    context: Context,
    address: Address,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    verified: Option<Verified>,
    request_id: Arc<str>,
}

impl Call {
    /// A parameter of the query.
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header's text.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The bucket's name, which every operation that is called with it has.
    fn bucket(&self) -> &str {
        self.address.bucket.as_deref().unwrap_or_default()
    }

    /// The same call in the name of somebody else.
    fn acting_as(&self, context: Context) -> Self {
        Self {
            domain: self.domain.clone(),
            context,
            address: self.address.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            verified: self.verified.clone(),
            request_id: self.request_id.clone(),
        }
    }

    fn key_text(&self) -> &str {
        self.address.key.as_deref().unwrap_or_default()
    }

    fn key(&self) -> S3Result<ObjectKey> {
        key(&self.domain, self.key_text())
    }
}

/// A key under the installation's rules.
fn key(domain: &Domain, key: &str) -> S3Result<ObjectKey> {
    if key.len() > 1024 {
        return Err(S3Error::new("KeyTooLongError", 400, "Your key is too long"));
    }
    Ok(domain.key(key)?)
}

/// Answers a request, whose path is as it was sent to the service.
pub(crate) async fn serve(domain: &Domain, mount: Mount, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let request_id: Arc<str> = match parts.headers.get("x-request-id").and_then(|id| id.to_str().ok()) {
        Some(id) => id.into(),
        None => uuid::Uuid::new_v4().simple().to_string().into(),
    };
    let (method, headers, path) = (parts.method.clone(), parts.headers.clone(), parts.uri.path().to_owned());
    let path = match mount {
        Mount::Service => path.strip_prefix("/s3").unwrap_or(&path).to_owned(),
        Mount::Root => path,
    };
    let address = Address::parse(&path);
    let resource = address.as_ref().map_or_else(|_| path.clone(), Address::resource);
    let bucket = address.as_ref().ok().and_then(|address| address.bucket.clone());
    let is_cross = mount == Mount::Root && headers.contains_key(header::ORIGIN);
    let outcome = match (address, method == Method::OPTIONS) {
        (Ok(address), true) => cors::preflight(domain, &address, &headers).await,
        (Ok(address), false) => answer(domain, address, parts, body, request_id.clone()).await,
        (Err(error), _) => Err(error),
    };
    let mut response = outcome.unwrap_or_else(|error| {
        tracing::debug!(code = %error.code, message = %error.message, "S3 refusal");
        error.respond(&resource, &request_id, method != Method::HEAD)
    });
    if is_cross
        && method != Method::OPTIONS
        && let Some(bucket) = bucket
    {
        cors::annotate(domain, &bucket, &method, &headers, &mut response).await;
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amz-request-id", value);
    }
    response
}

async fn answer(
    domain: &Domain,
    address: Address,
    mut parts: http::request::Parts,
    body: Body,
    request_id: Arc<str>,
) -> S3Result<Response> {
    let query = decode_query(parts.uri.query().unwrap_or_default());
    let identity = auth::identify(domain, &parts, &query)?;
    if identity.is_some() {
        headers::from_presigned(&query, &mut parts.headers);
    }
    let operation = dispatch(&parts.method, &address, &query, &parts.headers)?;
    let (caller, verified) = match identity {
        Some((caller, verified)) => (caller, Some(verified)),
        // A form brings its signature with it. Objects of public buckets are everybody's.
        None if matches!(operation, Operation::PostObject | Operation::GetObject | Operation::HeadObject) => {
            (Caller::anonymous(&domain.config().anon_role), None)
        }
        None => {
            // That a bucket is not there is said to everyone.
            if let Some(bucket) = &address.bucket {
                domain.find_bucket(bucket).await?;
            }
            return Err(crate::sigv4::SignatureError::Missing.into());
        }
    };
    let context = Context::new(caller, operation.name(), &parts);
    let call = Call {
        domain: domain.clone(),
        context,
        address,
        query,
        headers: parts.headers,
        verified,
        request_id,
    };
    run(&call, operation, body).await
}

async fn run(call: &Call, operation: Operation, body: Body) -> S3Result<Response> {
    match operation {
        Operation::ListBuckets => buckets::list(call).await,
        Operation::CreateBucket => buckets::create(call, body).await,
        Operation::HeadBucket => buckets::head(call).await,
        Operation::DeleteBucket => buckets::delete(call).await,
        Operation::GetBucketLocation => buckets::location(call).await,
        Operation::GetBucketVersioning => buckets::versioning(call).await,
        Operation::GetBucketAcl => acl::bucket(call).await,
        Operation::PutBucketAcl => acl::put_bucket(call, body).await,
        Operation::GetObjectAcl => acl::object(call).await,
        Operation::PutObjectAcl => acl::put_object(call, body).await,
        Operation::GetObjectAttributes => attributes::get(call).await,
        Operation::GetBucketCors => cors::get(call).await,
        Operation::PutBucketCors => cors::put(call, body).await,
        Operation::DeleteBucketCors => cors::delete(call).await,
        Operation::ListObjects => list::v1(call).await,
        Operation::ListObjectsV2 => list::v2(call).await,
        Operation::ListObjectVersions => list::versions(call).await,
        Operation::ListMultipartUploads => uploads::list(call).await,
        Operation::ListParts => uploads::list_parts(call).await,
        Operation::DeleteObjects => delete::many(call, body).await,
        Operation::DeleteObject => delete::one(call).await,
        Operation::PostObject => post_object::post(call, body).await,
        Operation::GetObject | Operation::HeadObject => {
            read::object(call, operation == Operation::HeadObject).await
        }
        Operation::GetObjectTagging => read::tagging(call).await,
        Operation::PutObject => write::put(call, body).await,
        Operation::CopyObject => copy::object(call).await,
        Operation::CreateMultipartUpload => multipart::create(call).await,
        Operation::UploadPart => multipart::part(call, body).await,
        Operation::UploadPartCopy => multipart::part_copy(call).await,
        Operation::CompleteMultipartUpload => complete::complete(call, body).await,
        Operation::AbortMultipartUpload => multipart::abort(call).await,
    }
}

/// An answer with a document.
fn xml_response(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], document).into_response()
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response {
    status.into_response()
}

/// Sets a header whose value comes from strangers; one that cannot stand in a header is left out.
fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
