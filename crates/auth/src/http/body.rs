//! Request bodies: JSON whatever the content type says, with a limit.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::Form;
use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result};
use crate::json::{self, Decode};

/// A body that has been read whole and not yet understood.
pub(crate) struct Body {
    bytes: Bytes,
    urlencoded: bool,
}

impl FromRequest<State> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &State) -> Result<Self> {
        let urlencoded = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        let limited = Limited::new(request.into_body(), state.config().max_body_bytes);
        match limited.collect().await {
            Ok(body) => Ok(Self { bytes: body.to_bytes(), urlencoded }),
            Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Error::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::RequestEntityTooLarge,
                "Request body is too large",
            )),
            Err(error) => {
                Err(Error::internal("Could not read body into byte slice").because(Cause::Other(error)))
            }
        }
    }
}

impl Body {
    /// The body as a struct.
    pub(crate) fn read<T: Decode>(&self) -> Result<T> {
        json::decode(&self.bytes).map_err(|error| {
            Error::bad_request(ErrorCode::BadJson, format!("Could not parse request body as JSON: {error}"))
        })
    }

    /// The body's first value as a struct, with the words of the routes that decode a stream.
    pub(crate) fn read_stream<T: Decode>(&self) -> Result<T> {
        json::decode_stream(&self.bytes).map_err(|error| {
            Error::bad_request(ErrorCode::BadJson, format!("Could not read verification params: {error}"))
        })
    }

    /// The body's first value as a struct; what is wrong is for the caller to say.
    pub(crate) fn read_first<T: Decode>(&self) -> std::result::Result<T, String> {
        json::decode_stream(&self.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The body as a form, if that is what it claims to be. Reading it as a form leaves nothing to
    /// read as JSON, as in Go.
    pub(crate) fn take_form(&mut self) -> Form {
        if !self.urlencoded {
            return Form::default();
        }
        let bytes = std::mem::take(&mut self.bytes);
        Form::parse(&String::from_utf8_lossy(&bytes))
    }
}
