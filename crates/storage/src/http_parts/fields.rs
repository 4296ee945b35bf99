//! JSON bodies, read with the coercions and in the words of the original's validator.

use axum::body::Body;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};

/// The longest JSON body, in bytes: the original's limit.
const MAX: usize = 1 << 20;

/// The members of a JSON object body, or of an object in it.
#[derive(Debug)]
pub(crate) struct Fields {
    members: Map<String, Value>,
    /// Where they are, in the validator's words.
    place: String,
}

/// Reads a body as JSON; none when there is no body at all. A body of another type counts as the text that it is.
pub(crate) async fn json(headers: &HeaderMap, body: Body) -> Result<Option<Value>> {
    let bytes = match Limited::new(body, MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Error::new(Code::Framework, "Request body is too large").with_status(413));
        }
        Err(error) => return Err(Error::invalid_request(error.to_string())),
    };
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_ascii_lowercase);
    let is_json = kind.as_ref().map(|kind| kind.starts_with("application/json") || kind.contains("+json"));
    if bytes.is_empty() {
        // A request that speaks of no body at all has none, whatever its type would be.
        let announced = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
        return if announced && is_json == Some(true) {
            let message = "Body cannot be empty when content-type is set to 'application/json'";
            Err(Error::new(Code::Framework, message))
        } else {
            Ok(None)
        };
    }
    if is_json == Some(false) {
        return Ok(Some(Value::String(String::from_utf8_lossy(&bytes).into_owned())));
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::new(Code::Syntax, format!("Body is not valid JSON: {error}")))
}

impl Fields {
    fn of(members: Map<String, Value>) -> Self {
        Self { members, place: "body".to_owned() }
    }

    fn named(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    fn missing(&self, name: &str) -> Error {
        Error::validation(format!("{} must have required property '{name}'", self.place))
    }

    /// Reads a body that must be a JSON object.
    pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Self> {
        match json(headers, body).await? {
            Some(Value::Object(members)) => Ok(Self::of(members)),
            _ => Err(Error::validation("body must be object")),
        }
    }

    /// The same where no body counts as an empty object.
    pub(crate) async fn read_or_empty(headers: &HeaderMap, body: Body) -> Result<Self> {
        match json(headers, body).await? {
            Some(Value::Object(members)) => Ok(Self::of(members)),
            None => Ok(Self::of(Map::new())),
            Some(_) => Err(Error::validation("body must be object")),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    pub(crate) fn required_text(&self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        text(self.members.get(name), &self.named(name))
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(Some(false)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(Value::Number(number)) if number.as_u64() == Some(1) => Ok(Some(true)),
            Some(Value::Number(number)) if number.as_u64() == Some(0) => Ok(Some(false)),
            Some(_) => Err(Error::validation(format!("{} must be boolean", self.named(name)))),
        }
    }

    /// An integer of at least `least`.
    pub(crate) fn integer(&self, name: &str, least: i64) -> Result<Option<u64>> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        integer(value, &self.named(name), least).map(Some)
    }

    pub(crate) fn required_integer(&self, name: &str, least: i64) -> Result<u64> {
        self.integer(name, least)?.ok_or_else(|| self.missing(name))
    }

    /// An object member, for reading its own members.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Fields>> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { members: map.clone(), place: self.named(name) })),
            Some(_) => Err(Error::validation(format!("{} must be object", self.named(name)))),
        }
    }

    /// An array of texts with at least `least` of them.
    pub(crate) fn required_texts(&self, name: &str, least: usize) -> Result<Vec<String>> {
        match self.members.get(name) {
            None => Err(self.missing(name)),
            Some(value) => {
                let items = texts(value, &self.named(name))?;
                if items.len() < least {
                    let message = format!("{} must NOT have fewer than {least} items", self.named(name));
                    return Err(Error::validation(message));
                }
                Ok(items)
            }
        }
    }
}

/// Array members as texts; a single text counts as an array of one.
pub(crate) fn texts(value: &Value, at: &str) -> Result<Vec<String>> {
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| Ok(text(Some(item), &format!("{at}/{index}"))?.unwrap_or_default()))
            .collect(),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            Ok(vec![text(Some(value), at)?.unwrap_or_default()])
        }
        _ => Err(Error::validation(format!("{at} must be array"))),
    }
}

fn text(value: Option<&Value>, at: &str) -> Result<Option<String>> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Null) => Ok(Some(String::new())),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
        Some(_) => Err(Error::validation(format!("{at} must be string"))),
    }
}

/// A number, also as text.
pub(crate) fn integer(value: &Value, at: &str, least: i64) -> Result<u64> {
    let not_integer = || Error::validation(format!("{at} must be integer"));
    let number = match value {
        Value::Number(number) => number.as_f64().ok_or_else(not_integer)?,
        Value::String(text) => text.trim().parse().map_err(|_| not_integer())?,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Null => 0.0,
        _ => return Err(not_integer()),
    };
    if number.fract() != 0.0 || number > 9.0e15 {
        return Err(not_integer());
    }
    if number < least as f64 {
        return Err(Error::validation(format!("{at} must be >= {least}")));
    }
    // Whole and at least `least`, which no caller puts below zero.
    Ok(number as u64)
}
