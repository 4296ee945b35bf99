//! Cross-origin requests.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Response};

use crate::config::Config;

const METHODS: &str = "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD";
const EXPOSED: &str = "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, \
                       Transfer-Encoding, Range-Unit";

/// The answer to a browser that asks whether it may ask.
pub(crate) fn preflight(parts: &http::request::Parts, config: &Config) -> Option<Response<Body>> {
    let wanted = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()?;
    if parts.method != Method::OPTIONS || !METHODS.split(", ").any(|method| method == wanted) {
        return None;
    }
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    if !allow_origin(&parts.headers, headers, config) {
        return None;
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    // Who does not ask is not told.
    if let Some(asked) = parts.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        let mut allowed = vec!["Authorization"];
        allowed.extend(asked.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()));
        for simple in ["Accept", "Accept-Language", "Content-Language"] {
            if !allowed.iter().any(|name| name.eq_ignore_ascii_case(simple)) {
                allowed.push(simple);
            }
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_str(&allowed.join(", ")).ok()?);
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    Some(response)
}

/// Lets the page that asked see the answer. OPTIONS that is no preflight is answered as if no page had asked.
pub(crate) fn decorate(method: &Method, request: &HeaderMap, response: &mut HeaderMap, config: &Config) {
    if method != Method::OPTIONS
        && request.contains_key(ORIGIN)
        && !request.contains_key(UPGRADE)
        && allow_origin(request, response, config)
    {
        response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

fn allow_origin(request: &HeaderMap, response: &mut HeaderMap, config: &Config) -> bool {
    let Some(origin) = request.get(ORIGIN) else { return false };
    match &config.cors_origins {
        None => {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        Some(allowed) => {
            if !allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
                return false;
            }
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
    true
}
