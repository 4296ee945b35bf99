//! Refusals in S3's form.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::xml::{Document, Malformed};
use crate::aws_chunked::ChunkError;
use crate::error::{Code, Error};
use crate::sigv4::{PolicyError, SignatureError};

/// A refusal: S3's code, the HTTP status, a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Error {
    /// S3's code.
    pub(crate) code: Cow<'static, str>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// For people.
    pub(crate) message: Cow<'static, str>,
    /// The size of the object, for 416.
    pub(crate) size: Option<u64>,
}

pub(crate) type S3Result<T> = Result<T, S3Error>;

impl S3Error {
    pub(crate) fn new(
        code: impl Into<Cow<'static, str>>,
        status: u16,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code: code.into(), status, message: message.into(), size: None }
    }

    pub(crate) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidArgument", 400, message)
    }

    pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidRequest", 400, message)
    }

    pub(crate) fn malformed_xml() -> Self {
        Malformed.into()
    }

    pub(crate) fn not_implemented(what: &str) -> Self {
        Self::new(
            "NotImplemented",
            501,
            format!("A header or query you provided implies functionality that is not implemented: {what}"),
        )
    }

    pub(crate) fn precondition_failed() -> Self {
        Self::new("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold")
    }

    pub(crate) fn no_such_upload() -> Self {
        Self::new(
            "NoSuchUpload",
            404,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
        )
    }

    pub(crate) fn no_such_key() -> Self {
        Self::new("NoSuchKey", 404, "The specified key does not exist.")
    }

    pub(crate) fn bad_digest(what: &str) -> Self {
        Self::new(
            "BadDigest",
            400,
            format!("The {what} you specified did not match the calculated checksum."),
        )
    }

    pub(crate) fn invalid_range(size: u64) -> Self {
        Self { size: Some(size), ..Self::new("InvalidRange", 416, "The requested range is not satisfiable") }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
    }

    /// The answer; `resource` is `bucket/key`.
    pub(crate) fn respond(&self, resource: &str, request_id: &str, has_body: bool) -> Response {
        let mut document = Document::bare("Error");
        document.text("Resource", resource);
        document.text("Code", &self.code);
        document.text("Message", &self.message);
        document.text("RequestId", request_id);
        let body = if has_body { Body::from(document.finish()) } else { Body::empty() };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        if let Some(size) = self.size
            && let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}"))
        {
            headers.insert(header::CONTENT_RANGE, value);
        }
        response
    }
}

impl From<Malformed> for S3Error {
    fn from(error: Malformed) -> Self {
        Self::new("MalformedXML", 400, error.to_string())
    }
}

impl From<SignatureError> for S3Error {
    fn from(error: SignatureError) -> Self {
        let (code, status) = error.code();
        Self::new(code, status, error.to_string())
    }
}

impl From<PolicyError> for S3Error {
    fn from(error: PolicyError) -> Self {
        let (code, status) = error.code();
        Self::new(code, status, error.to_string())
    }
}

impl From<ChunkError> for S3Error {
    fn from(error: ChunkError) -> Self {
        let (code, status) = match error {
            ChunkError::Incomplete => ("IncompleteBody", 400),
            ChunkError::Malformed(_) => ("InvalidRequest", 400),
            ChunkError::Signature => ("SignatureDoesNotMatch", 403),
        };
        Self::new(code, status, error.to_string())
    }
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        let (code, status) = match error.code {
            Code::NoSuchKey => return Self::no_such_key(),
            Code::NotFound => return Self::no_such_key(),
            Code::NoSuchBucket => {
                return Self::new("NoSuchBucket", 404, "The specified bucket does not exist");
            }
            Code::NoSuchUpload => return Self::no_such_upload(),
            Code::PreconditionFailed => return Self::precondition_failed(),
            Code::InvalidRange => ("InvalidRange", 416),
            // Other than on REST, a second owner cannot be: whoever sees the bucket owns it.
            Code::BucketAlreadyExists => ("BucketAlreadyExists", 409),
            Code::EntityTooLarge => ("EntityTooLarge", 413),
            // What SDKs try again.
            Code::DatabaseTimeout | Code::SlowDown | Code::LockTimeout | Code::ResourceLocked => {
                ("SlowDown", 503)
            }
            Code::InvalidKey if error.message.len() > 1100 => ("KeyTooLongError", 400),
            Code::MissingParameter | Code::Validation => ("InvalidArgument", 400),
            Code::DatabaseError => ("InternalError", 500),
            code => (code.as_str(), error.status),
        };
        Self::new(code, status, error.message)
    }
}
