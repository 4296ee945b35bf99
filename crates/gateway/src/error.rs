//! What the door says when it refuses, in Kong's two forms.
//!
//! The compact form is one line of JSON whatever the client accepts. The templated form follows `Accept`; it is what
//! Kong's plugins and its proxy core produce (`kong/pdk/response.lua`, `kong/error_handlers.lua`).

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SERVER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// The `Server` header of answers that no service produced.
pub(crate) const SERVER_NAME: HeaderValue = HeaderValue::from_static("kong/2.8.1");

/// Every reason to turn a request away at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No route matches the path.
    NoRoute,
    /// A target, host or header that nginx refuses to parse.
    BadRequest,
    /// `TRACE` and `CONNECT`.
    MethodNotAllowed,
    /// A protected route without a key.
    NoKey,
    /// A key that is neither configured nor a token that verifies.
    UnknownKey,
    /// The key came twice.
    DuplicateKey,
    /// The key is good, but not for this route.
    WrongGroup,
    /// A route that is closed to everyone.
    Forbidden,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The head is longer than allowed.
    HeaderTooLarge,
    /// The client stopped sending in the middle of the body.
    RequestTimeout,
    /// The service is not part of this build.
    NotBuilt(&'static str),
    /// The service exists, but runs elsewhere or not at all.
    NotRunning(&'static str),
    /// The service is still starting.
    Starting(&'static str),
    /// The database died and is coming back.
    DatabaseRestarting,
    /// The service panicked.
    Crashed,
}

impl Refusal {
    /// The whole answer, in the form that the request's headers ask for.
    pub(crate) fn response(self, request: &HeaderMap) -> Response<Body> {
        let mut response = match self {
            Self::NoRoute => compact(StatusCode::NOT_FOUND, "no Route matched with those values"),
            Self::Forbidden => compact(StatusCode::FORBIDDEN, "Access is forbidden."),
            Self::Crashed => compact(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred"),
            Self::NotBuilt(service) => compact(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("The {service} service is not part of this version of monobase yet"),
            ),
            Self::NotRunning(service) => compact(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("The {service} service is switched off here"),
            ),
            Self::Starting(service) => {
                compact(StatusCode::SERVICE_UNAVAILABLE, &format!("The {service} service is still starting"))
            }
            Self::DatabaseRestarting => {
                compact(StatusCode::SERVICE_UNAVAILABLE, "The database is restarting")
            }
            Self::NoKey => templated(StatusCode::UNAUTHORIZED, "No API key found in request", request),
            Self::UnknownKey => {
                templated(StatusCode::UNAUTHORIZED, "Invalid authentication credentials", request)
            }
            Self::DuplicateKey => templated(StatusCode::UNAUTHORIZED, "Duplicate API key found", request),
            Self::WrongGroup => templated(StatusCode::FORBIDDEN, "You cannot consume this service", request),
            Self::BadRequest => proxy_error(StatusCode::BAD_REQUEST, "Bad request", request),
            Self::MethodNotAllowed => {
                proxy_error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", request)
            }
            Self::BodyTooLarge => proxy_error(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large", request),
            Self::HeaderTooLarge => {
                proxy_error(header_too_large(), "Request header or cookie too large", request)
            }
            Self::RequestTimeout => proxy_error(StatusCode::REQUEST_TIMEOUT, "Request timeout", request),
        };
        let headers = response.headers_mut();
        headers.insert(SERVER, SERVER_NAME);
        match self {
            Self::NoKey => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Key realm=\"kong\""));
            }
            Self::Starting(_) | Self::DatabaseRestarting => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // The rest of the body may still be on its way: nothing after it can be trusted to be a request.
            Self::BodyTooLarge | Self::HeaderTooLarge | Self::RequestTimeout | Self::BadRequest => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// nginx's own status for an oversize head. It has no registered name.
fn header_too_large() -> StatusCode {
    StatusCode::from_u16(494).unwrap_or(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// `{"message":"…"}`, whatever the client accepts.
pub(crate) fn compact(status: StatusCode, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "message": message }).to_string();
    with_body(status, Form::Json.content_type(), Bytes::from(body))
}

/// An error that a plugin raises: the form follows `Accept`, and is JSON without one.
fn templated(status: StatusCode, message: &str, request: &HeaderMap) -> Response<Body> {
    let form = request.get(ACCEPT).map_or(Form::Json, accepted);
    with_body(status, form.content_type(), form.render(message))
}

/// An error that the proxy core raises: without `Accept` the form is that of the request's own body, or plain text.
fn proxy_error(status: StatusCode, message: &str, request: &HeaderMap) -> Response<Body> {
    let form = match (request.get(ACCEPT), request.get(CONTENT_TYPE)) {
        (Some(accept), _) => accepted(accept),
        (None, Some(content_type)) => accepted(content_type),
        (None, None) => Form::Plain,
    };
    with_body(status, form.content_type(), form.render(message))
}

fn with_body(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The bytes of a whole answer to a head that could not be parsed, when there is no request to answer.
pub(crate) fn raw_parse_failure(status: u16) -> Bytes {
    let (reason, message) = match status {
        414 => ("414 URI Too Long", "URI too long"),
        431 => ("494 Request Header Too Large", "Request header or cookie too large"),
        408 => ("408 Request Timeout", "Request timeout"),
        _ => ("400 Bad Request", "Bad request"),
    };
    Bytes::from(format!(
        "HTTP/1.1 {reason}\r\nserver: kong/2.8.1\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{message}\n",
        message.len() + 1
    ))
}

/// The four forms of a templated error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Plain,
    Html,
    Xml,
}

impl Form {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Plain => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
        }
    }

    /// All messages are ours and need no escaping.
    fn render(self, message: &str) -> Bytes {
        Bytes::from(match self {
            Self::Json => format!("{{\n  \"message\":\"{message}\"\n}}"),
            Self::Plain => format!("{message}\n"),
            Self::Html => format!(
                "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Kong Error</title>\n  </head>\n  \
                 <body>\n    <h1>Kong Error</h1>\n    <p>{message}.</p>\n  </body>\n</html>\n"
            ),
            Self::Xml => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>{message}</message>\n</error>\n"
            ),
        })
    }

    fn of_media_type(media_type: &str) -> Self {
        match media_type {
            "text/html" => Self::Html,
            "text/plain" | "text/*" => Self::Plain,
            "application/xml" => Self::Xml,
            _ => Self::Json,
        }
    }
}

/// The form of the media type with the highest quality; the first of equals.
fn accepted(header: &HeaderValue) -> Form {
    let Ok(header) = header.to_str() else {
        return Form::Json;
    };
    let mut best = (0.0, Form::Json);
    for entry in header.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let Some(media_type) = parts.next().filter(|name| name.contains('/')) else {
            continue;
        };
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |value| value.trim().parse::<f32>().unwrap_or(0.0));
        if quality > best.0 {
            best = (quality, Form::of_media_type(&media_type.to_ascii_lowercase()));
        }
    }
    best.1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn written(refusal: Refusal, accept: Option<&str>) -> String {
        let mut request = HeaderMap::new();
        if let Some(accept) = accept {
            request.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        let response = refusal.response(&request);
        let mut text = format!("{}\n", response.status().as_u16());
        for (name, value) in response.headers() {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        format!("{text}\n{}", std::str::from_utf8(&body).unwrap())
    }

    #[tokio::test]
    async fn compact_errors_are_json_whatever_is_accepted() {
        insta::assert_snapshot!("no_route", written(Refusal::NoRoute, Some("text/html")).await);
        insta::assert_snapshot!("forbidden", written(Refusal::Forbidden, None).await);
        insta::assert_snapshot!("crashed", written(Refusal::Crashed, None).await);
        insta::assert_snapshot!("not_built", written(Refusal::NotBuilt("storage"), None).await);
        insta::assert_snapshot!("not_running", written(Refusal::NotRunning("auth"), None).await);
        insta::assert_snapshot!("database_restarting", written(Refusal::DatabaseRestarting, None).await);
        insta::assert_snapshot!("starting", written(Refusal::Starting("rest"), None).await);
    }

    #[tokio::test]
    async fn plugin_errors_are_json_by_default() {
        insta::assert_snapshot!("no_key", written(Refusal::NoKey, None).await);
        insta::assert_snapshot!("unknown_key", written(Refusal::UnknownKey, Some("*/*")).await);
        insta::assert_snapshot!("duplicate_key", written(Refusal::DuplicateKey, None).await);
        insta::assert_snapshot!("wrong_group", written(Refusal::WrongGroup, None).await);
    }

    #[tokio::test]
    async fn proxy_errors_are_plain_text_by_default() {
        insta::assert_snapshot!("bad_request", written(Refusal::BadRequest, None).await);
        insta::assert_snapshot!("method", written(Refusal::MethodNotAllowed, None).await);
        insta::assert_snapshot!("body_too_large", written(Refusal::BodyTooLarge, None).await);
        insta::assert_snapshot!("header_too_large", written(Refusal::HeaderTooLarge, None).await);
        insta::assert_snapshot!("request_timeout", written(Refusal::RequestTimeout, None).await);
    }

    #[tokio::test]
    async fn every_form_of_a_templated_error() {
        insta::assert_snapshot!("json", written(Refusal::UnknownKey, Some("application/json")).await);
        insta::assert_snapshot!("plain", written(Refusal::UnknownKey, Some("text/plain")).await);
        insta::assert_snapshot!("html", written(Refusal::UnknownKey, Some("text/html")).await);
        insta::assert_snapshot!("xml", written(Refusal::UnknownKey, Some("application/xml")).await);
    }

    #[test]
    fn the_highest_quality_decides() {
        for (accept, expected) in [
            ("text/html, application/json;q=0.9", Form::Html),
            ("text/html;q=0.5, application/xml;q=0.8", Form::Xml),
            ("text/*", Form::Plain),
            ("application/*", Form::Json),
            ("image/png", Form::Json),
            ("text/html;q=0", Form::Json),
            ("", Form::Json),
            ("nonsense", Form::Json),
        ] {
            assert_eq!(accepted(&HeaderValue::from_str(accept).unwrap()), expected, "{accept}");
        }
    }

    #[test]
    fn a_raw_answer_is_well_formed() {
        insta::assert_snapshot!(
            "raw_400",
            std::str::from_utf8(&raw_parse_failure(400)).unwrap().replace('\r', "")
        );
        insta::assert_snapshot!(
            "raw_431",
            std::str::from_utf8(&raw_parse_failure(431)).unwrap().replace('\r', "")
        );
    }
}
