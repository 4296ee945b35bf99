//! Every way in which the service refuses, and its form on the wire.

use std::borrow::Cow;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::blob::{BodyError, StoreError};

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($code:ident $status:literal $(as $legacy:literal)?),* $(,)?) => {
        /// Storage's documented error codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Code { $($code),* }

        impl Code {
            /// The code as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code)),* }
            }

            /// The status that goes with it, which most routes write into the body only.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status),* }
            }

            /// The word in `error`: an older one where clients know one, else the code.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$code => codes!(@word $code $($legacy)?)),* }
            }
        }
    };
    (@word $code:ident $legacy:literal) => { $legacy };
    (@word $code:ident) => { stringify!($code) };
}

codes! {
    NoSuchBucket 404 as "Bucket not found",
    NoSuchKey 404 as "not_found",
    NoSuchUpload 404,
    InvalidRequest 400,
    MissingParameter 400,
    InvalidJWT 400,
    MissingContentLength 400,
    AccessDenied 403 as "Unauthorized",
    ResourceAlreadyExists 409 as "Duplicate",
    KeyAlreadyExists 409 as "Duplicate",
    BucketAlreadyExists 409 as "Duplicate",
    SignatureDoesNotMatch 403,
    InvalidSignature 400,
    ExpiredToken 400,
    TenantNotFound 400,
    InvalidUploadId 400,
    InvalidMimeType 415 as "invalid_mime_type",
    InvalidRange 400 as "invalid_range",
    EntityTooLarge 413 as "Payload too large",
    InternalError 500,
    InvalidBucketName 400 as "Invalid Input",
    InvalidKey 400,
    InvalidUploadSignature 400,
    DatabaseTimeout 544,
    ResourceLocked 423,
    DatabaseError 500,
    LockTimeout 503 as "acquiring_lock_timeout",
    InvalidAccessKeyId 403,
    MaximumCredentialsLimit 400,
    InvalidChecksum 400,
    MissingPart 400,
    SlowDown 429 as "too_many_connections",
    PreconditionFailed 412,
    NotFound 404 as "Not found",
    // What the framework of the original says about a request's form: no code of its own.
    Validation 400 as "Error",
    Syntax 400 as "SyntaxError",
    Framework 400 as "FastifyError",
}

/// A refusal: a code, the status it stands for, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Which.
    pub code: Code,
    /// The real status: on the wire of TUS and S3, in the body of REST.
    pub status: u16,
    /// What clients show.
    pub message: Cow<'static, str>,
    /// The role of the token does not open this route: a real 403 even on REST.
    pub(crate) by_role: bool,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// A refusal with its code's own status.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status: code.status(), message: message.into(), by_role: false }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// `Bucket not found`
    #[must_use]
    pub fn no_such_bucket() -> Self {
        Self::new(Code::NoSuchBucket, "Bucket not found")
    }

    /// `Object not found`
    #[must_use]
    pub fn no_such_key() -> Self {
        Self::new(Code::NoSuchKey, "Object not found")
    }

    /// A key that breaks the rules.
    pub fn invalid_key(key: &str) -> Self {
        Self::new(Code::InvalidKey, format!("Invalid key: {key}"))
    }

    /// `Bucket name invalid`
    #[must_use]
    pub fn invalid_bucket_name() -> Self {
        Self::new(Code::InvalidBucketName, "Bucket name invalid")
    }

    /// `The resource already exists`
    #[must_use]
    pub fn key_exists() -> Self {
        Self::new(Code::KeyAlreadyExists, "The resource already exists")
    }

    /// `new row violates row-level security policy`
    #[must_use]
    pub fn row_security() -> Self {
        Self::new(Code::AccessDenied, "new row violates row-level security policy")
    }

    /// Access is denied in the given words.
    pub fn access_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::AccessDenied, message)
    }

    /// `The object exceeded the maximum allowed size`
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(Code::EntityTooLarge, "The object exceeded the maximum allowed size")
    }

    /// A type that the bucket does not take, or that is none.
    pub fn invalid_mime_type(mime: &str) -> Self {
        Self::new(Code::InvalidMimeType, format!("mime type {mime} is not supported"))
    }

    /// A request that makes no sense, in the given words.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// What the original's schema validation says.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Validation, message)
    }

    /// Row there, blob gone.
    #[must_use]
    pub fn blob_missing() -> Self {
        Self::new(Code::NotFound, "The resource was not found")
    }

    /// Something is broken here. The reason goes to the log, not to the client.
    pub fn internal(reason: impl fmt::Display) -> Self {
        tracing::error!(%reason, "the request failed");
        Self::new(Code::InternalError, "Internal server error")
    }

    /// A role-restricted route.
    pub(crate) fn wrong_role(message: &'static str) -> Self {
        Self { by_role: true, ..Self::new(Code::AccessDenied, message) }
    }

    /// The status on REST's wire: 400 for nearly everything, as clients expect. The real one is in the body.
    #[must_use]
    pub fn rest_status(&self) -> StatusCode {
        let status = match self.status {
            500 | 544 | 429 => self.status,
            403 if self.by_role => 403,
            // The framework's own refusals are no storage errors.
            413 if self.code == Code::Framework => 413,
            _ => 400,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = json!({
            "statusCode": self.status.to_string(),
            "error": self.code.word(),
            "message": self.message,
        });
        if !matches!(self.code, Code::Validation | Code::Syntax | Code::Framework | Code::NotFound) {
            body["code"] = self.code.as_str().into();
        }
        let mut response = (self.rest_status(), axum::Json(body)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if self.code == Code::NotFound {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }
}

impl From<database::Error> for Error {
    fn from(error: database::Error) -> Self {
        if let database::Error::PoolTimeout { .. } = error {
            return Self::new(Code::DatabaseTimeout, "The connection to the database timed out");
        }
        let Some(report) = error.as_db() else {
            tracing::warn!(%error, "the database failed");
            return if error.is_unavailable() {
                Self::new(Code::DatabaseTimeout, "The connection to the database timed out")
            } else {
                Self::new(Code::DatabaseError, "The database failed")
            };
        };
        match report.code.as_str() {
            // In the preamble it is the role that was refused.
            "42501" | "22023" if report.statement.is_none() => {
                Self::access_denied("Access denied: Invalid role")
            }
            "42501" => Self::row_security(),
            "23505" => Self::new(Code::ResourceAlreadyExists, "The resource already exists"),
            "23503" => Self::invalid_request("The related resource does not exist").with_status(404),
            "55P03" => Self::new(Code::ResourceLocked, "The resource is locked"),
            "53300" => Self::new(Code::SlowDown, "Too many connections issued to the database"),
            "57014" | "57P01" | "57P02" | "57P03" => {
                Self::new(Code::DatabaseTimeout, "The connection to the database timed out")
            }
            // What the user's own policy or trigger raises is said to the user; the server's own words name internals.
            code if code.starts_with("P0") || code.starts_with("PT") => {
                Self::new(Code::DatabaseError, report.message.clone())
            }
            _ => {
                tracing::error!(%error, "a statement failed");
                Self::new(Code::DatabaseError, "A statement on the database failed")
            }
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::blob_missing(),
            StoreError::Body(error) => error.into(),
            StoreError::Range => Self::new(Code::InvalidRange, "invalid range provided"),
            StoreError::Full => Self::internal("the store is full"),
            StoreError::Unavailable(_) | StoreError::Failed(_) | StoreError::Io(_) => Self::internal(error),
        }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::too_large(),
            BodyError::Incomplete(reason) => Self::invalid_request(reason),
            BodyError::Refused(error) => *error,
        }
    }
}
