use http::StatusCode;

/// What goes wrong, as imgproxy tells it: a status, words for everybody, and words for the log (and for everybody in
/// development mode).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Of the answer.
    pub status: StatusCode,
    /// The answer's body.
    pub public: &'static str,
    /// What really happened.
    pub message: String,
}

impl Error {
    fn new(status: StatusCode, public: &'static str, message: impl Into<String>) -> Self {
        Self { status, public, message: message.into() }
    }

    /// The path, an option, an encoding or a preset is wrong.
    pub(crate) fn invalid_url(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Invalid URL", message)
    }

    /// The source is not among the allowed ones.
    pub(crate) fn invalid_source(source: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Invalid source", format!("Source URL is not allowed: {source}"))
    }

    /// The source's fault.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Source image is unreachable", message)
    }

    /// The source's server's fault, or the way's to it.
    pub(crate) fn failing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Source image is unreachable", message)
    }

    /// No picture, or too much of one.
    pub(crate) fn invalid_image(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid source image", message)
    }

    /// A type that cannot be read or written.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid URL", message)
    }

    /// Signature or secret.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// More requests than may wait.
    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", "Too many requests")
    }

    /// The time is up.
    pub(crate) fn timeout() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Timeout", "Timeout")
    }

    /// Anything else.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error", message)
    }
}

impl From<imaging::Error> for Error {
    fn from(error: imaging::Error) -> Self {
        use imaging::Error as E;
        let message = error.to_string();
        match error {
            E::UnknownFormat | E::TooManyPixels { .. } | E::TooManyBytes(_) => Self::invalid_image(message),
            E::CannotRead(_) | E::CannotWrite(_) => Self::unsupported(message),
            E::Busy => Self::too_many(),
            E::Timeout => Self::timeout(),
            E::Damaged { .. } | E::Encoder { .. } | E::Cancelled => Self::internal(message),
        }
    }
}
