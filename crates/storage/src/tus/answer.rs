//! What every answer has, and refusals as plain text.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::Error;

const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,termination,expiration";
const METHODS: &str = "POST, HEAD, PATCH, OPTIONS, DELETE";
const ALLOWED: &str = "Authorization, Content-Type, Location, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, \
     Upload-Concat, Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset, X-HTTP-Method-Override, \
     X-Requested-With, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, X-Upsert, Upload-Expires, ApiKey, x-signature, \
     X-Client-Info";
const EXPOSED: &str = "Authorization, Content-Type, Location, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, \
     Upload-Concat, Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset, Upload-Expires, Tus-Complete, \
     X-HTTP-Method-Override, X-Requested-With, X-Forwarded-Host, X-Forwarded-Proto, Forwarded";

/// A refusal.
#[derive(Debug)]
pub(super) enum TusError {
    /// Plain text with its status. `closes` ends the connection: the client may still be sending.
    Text { status: u16, message: Cow<'static, str>, closes: bool },
    /// A token that is none, in REST's form.
    Json(Error),
}

impl TusError {
    pub(super) fn text(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Text { status, message: message.into(), closes: false }
    }

    /// The same, ending the connection.
    pub(super) fn closing(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Text { status, message: message.into(), closes: true }
    }

    pub(super) fn conflict() -> Self {
        Self::closing(409, "Upload-Offset conflict\n")
    }

    pub(super) fn too_large() -> Self {
        Self::text(413, "Maximum size exceeded\n")
    }
}

impl From<Error> for TusError {
    fn from(error: Error) -> Self {
        match error.code {
            crate::Code::EntityTooLarge => Self::too_large(),
            crate::Code::DatabaseTimeout => Self::text(503, error.message),
            _ => Self::text(error.status, error.message),
        }
    }
}

impl IntoResponse for TusError {
    fn into_response(self) -> Response {
        match self {
            Self::Json(error) => error.into_response(),
            Self::Text { status, message, closes } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response =
                    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], message).into_response();
                if closes {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        }
    }
}

/// Adds the protocol's headers and those for browsers. `max` is the largest upload, for a client that asks what there is.
pub(super) fn complete(response: &mut Response, origin: Option<HeaderValue>, max: Option<u64>) {
    let refused = response.status() == StatusCode::PRECONDITION_FAILED;
    let headers = response.headers_mut();
    let put = |headers: &mut HeaderMap, name: &'static str, value: &'static str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    put(headers, "tus-resumable", "1.0.0");
    if refused || max.is_some() {
        put(headers, "tus-version", "1.0.0");
    }
    if let Some(max) = max {
        put(headers, "tus-extension", EXTENSIONS);
        headers.insert("tus-max-size", HeaderValue::from(max));
    }
    put(headers, "access-control-allow-methods", METHODS);
    put(headers, "access-control-allow-headers", ALLOWED);
    put(headers, "access-control-expose-headers", EXPOSED);
    put(headers, "access-control-max-age", "86400");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(HeaderValue::from_static("*")));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
