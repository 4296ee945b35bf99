//! Routes about the service itself.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Call, decoded, not_found, ok};
use crate::error::{Code, Error, Result};
use crate::http_parts::auth;

/// How long the purge of a cache may take.
const PURGE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn answer(call: &Call, area: &str, rest: Option<&str>) -> Result<Response> {
    match (&call.parts.method, area, rest) {
        (&Method::GET | &Method::HEAD, "status", None) => Ok(StatusCode::OK.into_response()),
        (&Method::GET | &Method::HEAD, "version", None) => {
            Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], call.domain.config().version.clone())
                .into_response())
        }
        (&Method::GET | &Method::HEAD, "health", None) => health(call).await,
        (&Method::DELETE, "cdn", Some(path)) if path.contains('/') => purge(call, path).await,
        _ => Ok(not_found(call)),
    }
}

/// Whether database and store answer, for holders of a token.
async fn health(call: &Call) -> Result<Response> {
    auth::verified(&call.domain, &call.parts)?;
    Ok(ok(json!({ "healthy": call.domain.healthy().await.is_ok() })))
}

/// Tells the cache before the service to forget an object.
async fn purge(call: &Call, path: &str) -> Result<Response> {
    if !call.parts.headers.contains_key(AUTHORIZATION) {
        return Err(Error::validation("headers must have required property 'authorization'"));
    }
    let caller = auth::service_role(&call.domain, &call.parts)?;
    let context = call.context_of(caller, "storage.object.purge_cache");
    let (bucket, key) = super::split(path)?;
    let cdn = &call.domain.config().cdn;
    let Some(url) = &cdn.purge_url else {
        let message = "Missing Required Parameter CDN_PURGE_ENDPOINT_URL is not set";
        return Err(Error::new(Code::MissingParameter, message));
    };
    let key = call.domain.key(&decoded(key)?)?;
    call.domain.find(&context, &bucket, &key).await?;
    let failed =
        |error: reqwest::Error| Error::internal(format!("the cache was not purged: {}", error.without_url()));
    let client = crate::outgoing::client(PURGE_TIMEOUT).map_err(failed)?;
    let body = json!({
        "tenant": { "ref": call.domain.config().tenant },
        "bucketId": bucket,
        "objectName": key.as_str(),
    });
    let mut request = client
        .post(format!("{}/purge", url.trim_end_matches('/')))
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string());
    if let Some(key) = &cdn.purge_key {
        request = request.bearer_auth(key);
    }
    request.send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    Ok(ok(json!({ "message": "success" })))
}
