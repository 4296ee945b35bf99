//! The REST door: which path and method is which operation.
//!
//! Paths are matched as they were sent: an object's key may hold `//`, `%2F` and whatever else a router would tidy up.
//! Fixed words win over a bucket of that name.

pub(crate) mod admin;
mod buckets;
mod copy_move;
mod delete;
mod download;
mod form;
mod list;
mod render;
mod sign;
mod status;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::context::{Caller, Context};
use crate::domain::{Domain, ObjectKey, ObjectRow};
use crate::error::{Error, Result};
use crate::http_parts::{self, auth, query::Query};
use crate::{s3, tus};

/// A request on its way through the door.
pub(crate) struct Call {
    pub(crate) domain: Domain,
    pub(crate) parts: Parts,
    pub(crate) query: Query,
}

impl Call {
    /// A context under the token's name; the header is required.
    pub(crate) fn context(&self, operation: &'static str) -> Result<Context> {
        Ok(self.context_of(auth::required(&self.domain, &self.parts)?, operation))
    }

    pub(crate) fn context_of(&self, caller: Caller, operation: &'static str) -> Context {
        let header = &self.domain.config().request_id_header;
        Context::new(caller, operation, &self.parts).named_by(header, &self.parts)
    }

    /// A context for what needs a signature instead of a token.
    pub(crate) fn anonymous(&self, operation: &'static str) -> Context {
        self.context_of(Caller::anonymous(&self.domain.config().anon_role), operation)
    }

    fn key(&self, raw: &str) -> Result<ObjectKey> {
        self.domain.key(&decoded(raw)?)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }
}

/// A segment or key, decoded once.
fn decoded(raw: &str) -> Result<String> {
    http_parts::decode(raw).ok_or_else(|| Error::invalid_key(raw))
}

pub(crate) fn router(domain: Domain) -> Router {
    let locks = Arc::new(tus::Locks::new(domain.config().tus.max_concurrent));
    Router::new().fallback(answer).with_state((domain, locks))
}

async fn answer(
    State((domain, locks)): State<(Domain, Arc<tus::Locks>)>,
    request: Request<Body>,
) -> Response {
    let path = request.uri().path();
    if domain.config().s3.enabled && (path == "/s3" || path.starts_with("/s3/")) {
        return Box::pin(s3::serve(&domain, s3::Mount::Service, request)).await;
    }
    if let Some(rest) = path.strip_prefix("/upload/resumable")
        && (rest.is_empty() || rest.starts_with('/'))
    {
        let rest = rest.to_owned();
        return Box::pin(tus::serve(&domain, locks, &rest, request)).await;
    }
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let call = Call { domain, parts, query };
    let path = call.parts.uri.path().to_owned();
    let (area, rest) = match path.trim_start_matches('/').split_once('/') {
        Some((area, rest)) => (area, Some(rest)),
        None => (path.trim_start_matches('/'), None),
    };
    // What is asked for by far the most is not moved about in the future of everything else.
    let outcome = match (area, rest) {
        ("object", Some(rest)) => match public(&call, rest) {
            Some(path) => public_object(&call, path).await,
            None => Box::pin(object(&call, rest, body)).await,
        },
        ("bucket", rest) => Box::pin(buckets::answer(&call, rest.unwrap_or_default(), body)).await,
        ("render", Some(rest)) if call.domain.renderer().is_some() => Box::pin(rendered(&call, rest)).await,
        _ => Box::pin(status::answer(&call, area, rest)).await,
    };
    outcome.unwrap_or_else(IntoResponse::into_response)
}

/// Bucket and key of an object that is read as a public one.
fn public<'p>(call: &Call, path: &'p str) -> Option<&'p str> {
    let reads = matches!(call.parts.method, Method::GET | Method::HEAD);
    path.strip_prefix("public/").filter(|rest| reads && rest.contains('/'))
}

async fn public_object(call: &Call, path: &str) -> Result<Response> {
    let (bucket, key) = split(path)?;
    download::public(call, &bucket, key).await
}

/// Everything below `/object/` but public objects.
async fn object(call: &Call, path: &str, body: Body) -> Result<Response> {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    // A bucket and what follows it.
    let within = |path: Option<&str>| -> Option<(Result<String>, String)> {
        let (bucket, key) = path?.split_once('/')?;
        Some((decoded(bucket), key.to_owned()))
    };
    match (&call.parts.method, first, rest) {
        (&Method::GET | &Method::HEAD, "authenticated", Some(rest)) if rest.contains('/') => {
            let (bucket, key) = split(rest)?;
            download::authenticated(call, &bucket, key).await
        }
        (&Method::GET | &Method::HEAD, "sign", Some(rest)) if rest.contains('/') => {
            let (bucket, key) = split(rest)?;
            download::signed(call, &bucket, key).await
        }
        (&Method::GET | &Method::HEAD, "info", Some(rest)) => info(call, rest).await,
        (&Method::GET | &Method::HEAD, _, Some(_)) => {
            let (bucket, key) = split(path)?;
            download::either(call, &bucket, key).await
        }
        (&Method::POST, "move", None) => copy_move::r#move(call, body).await,
        (&Method::POST, "copy", None) => copy_move::copy(call, body).await,
        (&Method::POST, "list", Some(bucket)) if !bucket.contains('/') => {
            list::v1(call, &decoded(bucket)?, body).await
        }
        (&Method::POST, "list-v2", Some(bucket)) if !bucket.contains('/') => {
            list::v2(call, &decoded(bucket)?, body).await
        }
        (&Method::POST, "sign", Some(rest)) => match rest.split_once('/') {
            Some((bucket, key)) => sign::one(call, &decoded(bucket)?, key, body).await,
            None => sign::many(call, &decoded(rest)?, body).await,
        },
        (&Method::POST | &Method::PUT, "upload", Some(rest)) if rest.starts_with("sign/") => {
            match within(rest.strip_prefix("sign/")) {
                Some((bucket, key)) if call.parts.method == Method::POST => {
                    sign::upload(call, &bucket?, &key).await
                }
                Some((bucket, key)) => upload::signed(call, &bucket?, &key, body).await,
                None => Ok(not_found(call)),
            }
        }
        (&Method::POST, _, Some(_)) => {
            let (bucket, key) = split(path)?;
            upload::create(call, &bucket, key, body).await
        }
        (&Method::PUT, _, Some(_)) => {
            let (bucket, key) = split(path)?;
            upload::replace(call, &bucket, key, body).await
        }
        (&Method::DELETE, bucket, None) => delete::many(call, &decoded(bucket)?, body).await,
        (&Method::DELETE, _, Some(_)) => {
            let (bucket, key) = split(path)?;
            delete::one(call, &bucket, key).await
        }
        _ => Ok(not_found(call)),
    }
}

/// Everything below `/render/`.
async fn rendered(call: &Call, path: &str) -> Result<Response> {
    let reads = matches!(call.parts.method, Method::GET | Method::HEAD);
    let parts = path.strip_prefix("image/").and_then(|rest| rest.split_once('/'));
    let Some((door, rest)) = parts.filter(|(_, rest)| reads && rest.contains('/')) else {
        return Ok(not_found(call));
    };
    if let Some(refusal) = render::limited(call) {
        return Ok(refusal);
    }
    let (bucket, key) = split(rest)?;
    match door {
        "public" => render::public(call, &bucket, key).await,
        "authenticated" => render::authenticated(call, &bucket, key).await,
        "sign" => render::signed(call, &bucket, key).await,
        _ => Ok(not_found(call)),
    }
}

async fn info(call: &Call, rest: &str) -> Result<Response> {
    let (first, tail) = rest.split_once('/').unwrap_or((rest, ""));
    match first {
        "public" if tail.contains('/') => {
            let (bucket, key) = split(tail)?;
            download::info_public(call, &bucket, key).await
        }
        "authenticated" if tail.contains('/') => {
            let (bucket, key) = split(tail)?;
            download::info_authenticated(call, &bucket, key).await
        }
        _ if rest.contains('/') => {
            let (bucket, key) = split(rest)?;
            download::info_either(call, &bucket, key).await
        }
        // A bucket called `info`.
        _ => download::either(call, "info", rest).await,
    }
}

/// A decoded bucket and a raw key.
fn split(path: &str) -> Result<(String, &str)> {
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    Ok((decoded(bucket)?, key))
}

/// The framework's answer to a path that is none.
fn not_found(call: &Call) -> Response {
    let path = call.parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let message = format!("Route {}:{path} not found", call.parts.method);
    let body = json!({ "message": message, "error": "Not Found", "statusCode": 404 });
    let mut response = ok(body);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// A row as clients get it: an owner that nobody is is an empty text, as the original's schema of answers makes it.
fn shown(row: &ObjectRow) -> Value {
    let mut row = json!(row);
    for name in ["owner", "owner_id"] {
        if row[name].is_null() {
            row[name] = "".into();
        }
    }
    row
}

/// A JSON answer.
fn ok(body: Value) -> Response {
    ([(CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}
