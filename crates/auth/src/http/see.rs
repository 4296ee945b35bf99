//! Redirects as Go's server writes them.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use super::escape_query;
use crate::error::{Cause, Error, Result};

/// Sends somebody elsewhere. `GET` is answered with a small page, too.
pub(crate) fn see(status: StatusCode, location: &str, method: &Method) -> Result<Response> {
    let escaped: String = location
        .chars()
        .map(|char| if char.is_ascii() { char.to_string() } else { escape_query(&char.to_string()) })
        .collect();
    let target =
        HeaderValue::from_str(&escaped).map_err(|error| Error::Unexpected(Cause::Other(error.into())))?;
    let mut response = Response::new(Body::empty());
    if *method == Method::GET {
        let html = location
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;");
        let reason = status.canonical_reason().unwrap_or_default();
        *response.body_mut() = Body::from(format!("<a href=\"{html}\">{reason}</a>.\n\n"));
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    *response.status_mut() = status;
    response.headers_mut().insert(header::LOCATION, target);
    Ok(response)
}
