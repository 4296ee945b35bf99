//! JSON as Go's `encoding/json` reads and writes it: clients and stored rows depend on its habits.

mod decode;
mod encode;
mod parse;
mod time;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

pub(crate) use decode::{Decode, Field, Mismatch, Pointer, decode, decode_stream, field_name, params};
pub(crate) use encode::to_string;
pub(crate) use parse::parse_value as parse;
pub(crate) use time::Timestamp;

/// A JSON object with its keys sorted, as Go's maps are written.
pub(crate) type Object = serde_json::Map<String, serde_json::Value>;

/// An answer of JSON.
pub(crate) fn response(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(to_string(value)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 200 with JSON.
pub(crate) fn ok(value: &impl Serialize) -> Response {
    response(StatusCode::OK, value)
}

/// 200 with an empty object.
pub(crate) fn ok_empty() -> Response {
    ok(&Object::new())
}
