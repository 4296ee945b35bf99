//! A public bucket at an address of its own, as R2 publishes one (`https://pub-….r2.dev/<key>`).
//!
//! No bucket in the path, no signature, no listing. Content is served with its own type: pages of this origin can reach
//! nothing but this bucket.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::dispatch::{Address, Operation};
use super::error::{S3Error, S3Result};
use super::{Call, cors, read};
use crate::domain::Domain;
use crate::sigv4::decode_path;
use crate::{Caller, Context};

#[derive(Clone)]
struct Site {
    domain: Domain,
    bucket: Arc<str>,
}

/// The objects of a public bucket, at the root.
pub fn router(domain: Domain, bucket: &str) -> Router {
    Router::new().fallback(answer).with_state(Site { domain, bucket: bucket.into() })
}

async fn answer(State(site): State<Site>, request: Request) -> Response {
    let method = request.method().clone();
    let headers = request.headers().clone();
    let address = match decode_path(request.uri().path()) {
        Some(path) => {
            let key = path.strip_prefix('/').unwrap_or(&path);
            let key = (!key.is_empty()).then(|| key.to_owned());
            Address { bucket: Some(site.bucket.to_string()), key }
        }
        None => return refusal(400),
    };
    let mut response = match method {
        Method::OPTIONS => {
            preflight(&site, &address, &headers).await.unwrap_or_else(|error| refusal(error.status))
        }
        Method::GET | Method::HEAD => {
            read(&site, address, request).await.unwrap_or_else(|error| match error.code.as_ref() {
                "InvalidRange" => error.respond("", "", false),
                _ => refusal(error.status),
            })
        }
        _ => refusal(405),
    };
    if method != Method::OPTIONS && headers.contains_key(header::ORIGIN) {
        if cors::is_configured(&site.domain, &site.bucket).await {
            cors::annotate(&site.domain, &site.bucket, &method, &headers, &mut response).await;
        } else {
            everyone(response.headers_mut());
        }
    }
    response
}

async fn read(site: &Site, address: Address, request: Request) -> S3Result<Response> {
    if address.key.is_none() {
        return Err(S3Error::no_such_key());
    }
    let is_head = request.method() == Method::HEAD;
    let (parts, _) = request.into_parts();
    let operation = if is_head { Operation::HeadObject } else { Operation::GetObject };
    let caller = Caller::anonymous(&site.domain.config().anon_role);
    let call = Call {
        domain: site.domain.clone(),
        context: Context::new(caller, operation.name(), &parts),
        address,
        // Nothing in the query means anything here: caches are broken with it.
        query: Vec::new(),
        headers: parts.headers,
        verified: None,
        request_id: Arc::from(""),
    };
    read::object(&call, is_head).await
}

async fn preflight(site: &Site, address: &Address, headers: &HeaderMap) -> S3Result<Response> {
    if cors::is_configured(&site.domain, &site.bucket).await {
        return cors::preflight(&site.domain, address, headers).await;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    everyone(response.headers_mut());
    let allowed = response.headers_mut();
    allowed.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    allowed.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        allowed.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    Ok(response)
}

/// What everyone may read anyway, every page may read.
fn everyone(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag, Content-Length, Content-Range, Content-Encoding, Last-Modified"),
    );
}

/// What is private is as little there as what does not exist.
fn refusal(status: u16) -> Response {
    let status = match status {
        403 => StatusCode::NOT_FOUND,
        status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let reason = status.canonical_reason().unwrap_or("Error");
    (status, [(header::CACHE_CONTROL, "no-store")], reason).into_response()
}
