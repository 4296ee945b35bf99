//! An error's wire form, in the dialect the caller asked for.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{ApiError, Cause, Error, ErrorCode, WeakPassword, database};
use crate::http::RequestContext;
use crate::json;

/// Names the error code for those who don't read the body.
const ERROR_CODE_HEADER: HeaderName = HeaderName::from_static("x-sb-error-code");

const UNEXPECTED: &str = "Unexpected failure, please check server logs for more information";

/// The dialect of errors, chosen by the request header `X-Supabase-Api-Version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ApiVersion {
    /// `code` is the status, the message is `msg`.
    Initial,
    /// `code` is the error code, the message is `message`.
    V20240101,
}

impl ApiVersion {
    pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-supabase-api-version");

    /// A date at or after 2024-01-01 chooses the newer dialect; anything else the old one.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        headers
            .get(Self::HEADER)
            .and_then(|value| value.to_str().ok())
            .filter(|text| text.len() == 10)
            .and_then(|text| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
            .filter(|date| {
                *date >= chrono::NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or(chrono::NaiveDate::MAX)
            })
            .map_or(Self::Initial, |_| Self::V20240101)
    }
}

#[derive(Serialize)]
struct NewBody<'a> {
    code: ErrorCode,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    weak_password: Option<Reasons<'a>>,
}

#[derive(Serialize)]
struct OldBody<'a> {
    code: u16,
    error_code: ErrorCode,
    msg: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    weak_password: Option<Reasons<'a>>,
}

#[derive(Serialize)]
struct Reasons<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reasons: &'a [&'static str],
}

#[derive(Serialize)]
struct PostgresBody<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

#[derive(Serialize)]
struct OAuthBody<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_description: &'a str,
}

/// Logs an error and answers with it.
pub(crate) fn render(error: &Error, request: &RequestContext) -> Response {
    let mut response = match error {
        Error::Api(api) => render_api(api, request),
        Error::WeakPassword(weak) => render_weak(weak, request),
        Error::OAuth { error, description } => {
            tracing::info!(request_id = %request.id, "{error}: {description}");
            body(StatusCode::BAD_REQUEST, &OAuthBody { error, error_description: description })
        }
        Error::Provider { error, description } => {
            tracing::info!(request_id = %request.id, "{error}: {description}");
            body(StatusCode::BAD_REQUEST, &OAuthBody { error, error_description: description })
        }
        Error::Unexpected(cause) => {
            log_failure("unhandled server error", Some(cause), request);
            plain(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::UnexpectedFailure, UNEXPECTED, "", request)
        }
        Error::RouteNotFound => return route_not_found(),
        Error::MethodNotAllowed => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return response;
        }
    };
    if request.api_version == ApiVersion::V20240101 {
        response.headers_mut().insert(ApiVersion::HEADER, HeaderValue::from_static("2024-01-01"));
    }
    response
}

fn render_api(error: &ApiError, request: &RequestContext) -> Response {
    let status = error.status;
    let error_id = if status.is_server_error() { request.id.as_str() } else { "" };
    if status.is_server_error() {
        log_failure(&error.message, error.cause.as_ref(), request);
    } else if status == StatusCode::TOO_MANY_REQUESTS {
        tracing::warn!(request_id = %request.id, path = %request.path, "{}: {}", status.as_u16(), error.message);
    } else {
        let cause = error.cause.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::info!(request_id = %request.id, path = %request.path, cause, "{}: {}", status.as_u16(), error.message);
    }
    let code = error.code.unwrap_or(match status {
        StatusCode::INTERNAL_SERVER_ERROR => ErrorCode::UnexpectedFailure,
        _ => ErrorCode::Unknown,
    });
    let mut response = match database::behind(error) {
        Some(db)
            if request.api_version == ApiVersion::Initial
                && database::public_status(db.code.as_str()).is_some() =>
        {
            let status =
                database::public_status(db.code.as_str()).and_then(|code| StatusCode::from_u16(code).ok());
            body(
                status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                &PostgresBody {
                    code: db.code.as_str(),
                    message: &db.message,
                    hint: db.hint.as_deref().unwrap_or_default(),
                    detail: db.detail.as_deref().unwrap_or_default(),
                },
            )
        }
        _ => plain(status, code, &error.message, error_id, request),
    };
    if let Some(code) = error.code {
        response.headers_mut().insert(ERROR_CODE_HEADER, HeaderValue::from_static(code.as_str()));
    }
    response
}

fn render_weak(weak: &WeakPassword, request: &RequestContext) -> Response {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let reasons = Some(Reasons { reasons: &weak.reasons });
    if request.api_version == ApiVersion::V20240101 {
        return body(
            status,
            &NewBody { code: ErrorCode::WeakPassword, message: &weak.message, weak_password: reasons },
        );
    }
    let mut response = body(
        status,
        &OldBody {
            code: status.as_u16(),
            error_code: ErrorCode::WeakPassword,
            msg: &weak.message,
            error_id: "",
            weak_password: reasons,
        },
    );
    response
        .headers_mut()
        .insert(ERROR_CODE_HEADER, HeaderValue::from_static(ErrorCode::WeakPassword.as_str()));
    response
}

fn plain(
    status: StatusCode,
    code: ErrorCode,
    message: &str,
    error_id: &str,
    request: &RequestContext,
) -> Response {
    match request.api_version {
        ApiVersion::V20240101 => body(status, &NewBody { code, message, weak_password: None }),
        ApiVersion::Initial => body(
            status,
            &OldBody { code: status.as_u16(), error_code: code, msg: message, error_id, weak_password: None },
        ),
    }
}

fn body(status: StatusCode, value: &impl Serialize) -> Response {
    json::response(status, value)
}

/// What Go's router says of an unknown path.
fn route_not_found() -> Response {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// One line for the operator, with everything the database said: the caller is told none of it.
fn log_failure(message: &str, cause: Option<&Cause>, request: &RequestContext) {
    let Some(db) = cause.and_then(database::root) else {
        let cause = cause.map(ToString::to_string).unwrap_or_default();
        tracing::error!(request_id = %request.id, method = %request.method, path = %request.path, cause, "{message}");
        return;
    };
    let context = db.where_.as_deref().unwrap_or_default();
    let function = database::function(context);
    tracing::error!(
        request_id = %request.id,
        method = %request.method,
        path = %request.path,
        sqlstate = db.code.as_str(),
        cause = %db.message,
        detail = db.detail.as_deref().unwrap_or_default(),
        function = function.unwrap_or_default(),
        context,
        hint = database::hint(db.code.as_str(), function).or_else(|| db.hint.as_deref().map(str::to_owned)).unwrap_or_default(),
        "{message}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(header: &'static str) -> ApiVersion {
        let mut headers = HeaderMap::new();
        headers.insert(ApiVersion::HEADER, HeaderValue::from_static(header));
        ApiVersion::from_headers(&headers)
    }

    #[test]
    fn a_date_from_2024_on_chooses_the_newer_dialect() {
        assert_eq!(version("2024-01-01"), ApiVersion::V20240101);
        assert_eq!(version("2026-07-15"), ApiVersion::V20240101);
        for old in ["2023-12-31", "", "yesterday", "2024-1-1", "2024-01-01T00:00:00Z"] {
            assert_eq!(version(old), ApiVersion::Initial, "{old}");
        }
        assert_eq!(ApiVersion::from_headers(&HeaderMap::new()), ApiVersion::Initial);
    }
}
