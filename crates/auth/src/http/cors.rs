//! Cross-origin requests: any origin, credentials allowed, as rs/cors answers them.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

const HEADERS: [&str; 8] = [
    "accept",
    "authorization",
    "content-type",
    "x-client-ip",
    "x-client-info",
    "x-jwt-aud",
    "x-use-cookie",
    "x-supabase-api-version",
];

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Whether this is a question of a browser rather than a request.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.get(ACCESS_CONTROL_REQUEST_METHOD).is_some_and(|value| !value.is_empty())
}

/// The answer to a preflight. What is not allowed is simply not mentioned.
pub(super) fn preflight(request: &HeaderMap, extra: &[String]) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        VARY,
        HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    );
    let (Some(_), Some(method)) = (request.get(ORIGIN), request.get(ACCESS_CONTROL_REQUEST_METHOD)) else {
        return response;
    };
    if !method_allowed(method.as_bytes()) {
        return response;
    }
    let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(asked) = asked {
        if !headers_allowed(asked, extra) {
            return response;
        }
        if !asked.is_empty() {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    response
}

/// Marks the answer to an actual request.
pub(super) fn mark(response: &mut HeaderMap, has_origin: bool, method: &Method) {
    response.append(VARY, HeaderValue::from_static("Origin"));
    if !has_origin || !method_allowed(method.as_str().as_bytes()) {
        return;
    }
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("X-Total-Count, Link, X-Supabase-Api-Version"),
    );
    response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
}

fn method_allowed(method: &[u8]) -> bool {
    [b"GET".as_slice(), b"POST", b"PUT", b"DELETE", b"OPTIONS"].contains(&method)
}

fn headers_allowed(asked: &HeaderValue, extra: &[String]) -> bool {
    let Ok(asked) = asked.to_str() else { return false };
    asked.split(',').map(str::trim).filter(|name| !name.is_empty()).all(|name| {
        HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name))
            || extra.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &'static str)]) -> Response {
        let headers = pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        preflight(&headers, &["x-custom".into()])
    }

    #[test]
    fn allowed_questions_are_echoed() {
        let response = asked(&[
            ("origin", "http://localhost:3000"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization,x-client-info,x-custom"),
        ]);
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()["access-control-allow-methods"], "PUT");
        assert_eq!(
            response.headers()["access-control-allow-headers"],
            "authorization,x-client-info,x-custom"
        );
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }

    #[test]
    fn foreign_headers_and_methods_get_no_permission() {
        for question in [
            [("access-control-request-method", "PATCH"), ("access-control-request-headers", "")],
            [("access-control-request-method", "PUT"), ("access-control-request-headers", "x-other")],
        ] {
            let response = asked(&[&question[..], &[("origin", "http://a")]].concat());
            assert!(!response.headers().contains_key("access-control-allow-origin"));
        }
    }
}
