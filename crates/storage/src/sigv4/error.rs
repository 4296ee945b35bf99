//! Why a signature is refused, in S3's words.

/// A request whose signature is missing, malformed or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// 403 `AccessDenied`: nothing is signed.
    #[error("Missing signature")]
    Missing,
    /// 400 `AuthorizationHeaderMalformed`.
    #[error("The authorization header is malformed; {0}")]
    HeaderMalformed(String),
    /// 400 `AuthorizationQueryParametersError`.
    #[error("{0}")]
    QueryMalformed(String),
    /// 403 `AccessDenied`: `X-Amz-Expires` is negative, zero or over a week.
    #[error("{0}")]
    ExpiresOutOfRange(&'static str),
    /// 400 `InvalidRequest`: another algorithm, or none that is known.
    #[error("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")]
    Unsupported,
    /// 403 `AccessDenied`: no usable date.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    MissingDate,
    /// 403 `RequestTimeTooSkewed`.
    #[error("The difference between the request time and the current time is too large.")]
    Skewed,
    /// 403 `AccessDenied`: a presigned URL from the future.
    #[error("Request is not valid yet")]
    NotYetValid,
    /// 403 `AccessDenied`: a presigned URL from the past.
    #[error("Request has expired")]
    Expired,
    /// 403 `InvalidAccessKeyId`.
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    UnknownKey,
    /// 400 `InvalidToken`: the session token is not one.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken,
    /// 403 `AccessDenied`: a header that changes the request's meaning is not covered by the signature.
    #[error("There were headers present in the request which were not signed: {0}")]
    HeadersNotSigned(String),
    /// 400 `InvalidRequest`: no `x-amz-content-sha256` beside a signature in a header.
    #[error("Missing required header for this request: x-amz-content-sha256")]
    MissingPayloadHash,
    /// 400 `InvalidArgument`: `x-amz-content-sha256` holds something else.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
    )]
    InvalidPayloadHash,
    /// 403 `SignatureDoesNotMatch`.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    )]
    Mismatch,
}

impl SignatureError {
    /// S3's code and HTTP status.
    #[must_use]
    pub fn code(&self) -> (&'static str, u16) {
        match self {
            Self::Missing
            | Self::ExpiresOutOfRange(_)
            | Self::MissingDate
            | Self::NotYetValid
            | Self::Expired
            | Self::HeadersNotSigned(_) => ("AccessDenied", 403),
            Self::HeaderMalformed(_) => ("AuthorizationHeaderMalformed", 400),
            Self::QueryMalformed(_) => ("AuthorizationQueryParametersError", 400),
            Self::Unsupported | Self::MissingPayloadHash => ("InvalidRequest", 400),
            Self::InvalidPayloadHash => ("InvalidArgument", 400),
            Self::Skewed => ("RequestTimeTooSkewed", 403),
            Self::UnknownKey => ("InvalidAccessKeyId", 403),
            Self::InvalidToken => ("InvalidToken", 400),
            Self::Mismatch => ("SignatureDoesNotMatch", 403),
        }
    }
}
