//! Everything that can go wrong while answering a request, in one type.
//!
//! Handlers return [`Error`]; [`respond`] turns it into the wire form of the API version that the
//! caller asked for. The two dialects are GoTrue's `internal/api/errors.go`.

mod code;
mod database;
mod respond;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use ::database::Error as DatabaseError;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

pub use code::ErrorCode;
pub(crate) use respond::{ApiVersion, render};

/// Why a request was not answered with success.
#[derive(Debug)]
pub enum Error {
    /// An error with a status, a code and a message: nearly all.
    Api(Box<ApiError>),
    /// A new password does not meet the rules.
    WeakPassword(WeakPassword),
    /// An error in OAuth's form, always 400.
    OAuth {
        /// OAuth's error name.
        error: &'static str,
        /// Text for people.
        description: Cow<'static, str>,
    },
    /// A provider sent somebody back with an error of its own.
    Provider {
        /// The provider's error name.
        error: String,
        /// The provider's text.
        description: String,
    },
    /// Something nobody foresaw; the caller learns nothing but that it happened.
    Unexpected(Cause),
    /// No such route.
    RouteNotFound,
    /// The route has other methods.
    MethodNotAllowed,
}

/// An error with status, code and message.
#[derive(Debug)]
pub struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) message: Cow<'static, str>,
    pub(crate) cause: Option<Cause>,
}

/// What lies behind an error. It is logged; only a few database errors are ever shown.
#[derive(Debug)]
pub enum Cause {
    /// The database refused or failed.
    Database(DatabaseError),
    /// The cause was already an error of this service.
    Nested(Box<Error>),
    /// Anything else.
    Other(Box<dyn StdError + Send + Sync>),
}

/// Which rules a password breaks.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct WeakPassword {
    /// One sentence for each broken rule, joined by spaces.
    pub message: String,
    /// `length`, `characters`, `pwned`.
    pub reasons: Vec<&'static str>,
}

/// The result of a handler or of a domain function.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Api(Box::new(ApiError { status, code: Some(code), message: message.into(), cause: None }))
    }

    pub(crate) fn bad_request(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 `validation_failed`: the most common of all.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(ErrorCode::ValidationFailed, message)
    }

    pub(crate) fn forbidden(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(crate) fn not_found(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn unprocessable(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn too_many(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
    }

    /// 500 `unexpected_failure` with a message that names the step that failed.
    pub(crate) fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::UnexpectedFailure, message)
    }

    /// Remembers what lies behind this error.
    pub(crate) fn because(self, cause: impl Into<Cause>) -> Self {
        match self {
            Self::Api(mut api) => {
                api.cause = Some(cause.into());
                Self::Api(api)
            }
            other => other,
        }
    }

    /// The code on the wire, if the error has one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Api(api) => api.code,
            Self::WeakPassword(_) => Some(ErrorCode::WeakPassword),
            _ => None,
        }
    }
}

/// Names the step of a database call that failed: `query.await.step("Database error saving new user")?`.
pub(crate) trait Step<T> {
    fn step(self, message: &'static str) -> Result<T>;
}

impl<T, E: Into<Cause>> Step<T> for std::result::Result<T, E> {
    fn step(self, message: &'static str) -> Result<T> {
        self.map_err(|cause| Error::internal(message).because(cause))
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Self::Unexpected(Cause::Database(error))
    }
}

impl From<DatabaseError> for Cause {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        match error {
            // The cause itself is what matters, not that nobody had named it yet.
            Error::Unexpected(cause) => cause,
            other => Self::Nested(Box::new(other)),
        }
    }
}

impl From<Box<dyn StdError + Send + Sync>> for Cause {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::Other(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(api) => write!(f, "{}: {}", api.status.as_u16(), api.message),
            Self::WeakPassword(weak) => f.write_str(&weak.message),
            Self::OAuth { error, description } => write!(f, "{error}: {description}"),
            Self::Provider { error, description } => write!(f, "{error}: {description}"),
            Self::Unexpected(cause) => cause.fmt(f),
            Self::RouteNotFound => f.write_str("no such route"),
            Self::MethodNotAllowed => f.write_str("method not allowed"),
        }
    }
}

impl StdError for Error {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Nested(error) => match &**error {
                Error::Api(api) => match &api.cause {
                    Some(cause) => write!(f, "{}: {cause}", api.message),
                    None => error.fmt(f),
                },
                _ => error.fmt(f),
            },
            Self::Other(error) => error.fmt(f),
        }
    }
}

/// Carries an error from a handler to the outermost layer, which knows the caller's API version.
#[derive(Clone)]
pub(crate) struct Pending(pub(crate) std::sync::Arc<Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Pending(std::sync::Arc::new(self)));
        response
    }
}
