//! What the transaction itself wants the answer to be: `response.headers` and `response.status`.

use http::{HeaderName, StatusCode};
use serde_json::{Map, Value};

use super::Answer;
use crate::error::Error;
use crate::execute::Outcome;

/// Applies the settings that the transaction left.
pub(super) fn apply(mut answer: Answer, outcome: &Outcome) -> Result<Answer, Error> {
    let status = outcome.status.as_deref().map(status).transpose()?;
    if let Some(headers) = &outcome.headers {
        let headers = parse(headers).ok_or(Error::ResponseHeaders)?;
        // Theirs take the place of ours; among themselves they may repeat.
        answer.headers.retain(|(name, _)| headers.iter().all(|(theirs, _)| theirs != name));
        for (name, value) in headers {
            answer.header(name, value);
        }
    }
    if let Some(status) = status {
        answer.status = status;
    }
    Ok(answer)
}

/// The digits that a text begins with.
fn status(text: &str) -> Result<StatusCode, Error> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok().and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Error::ResponseStatus)
}

fn parse(json: &str) -> Option<Vec<(HeaderName, String)>> {
    let objects: Vec<Map<String, Value>> = serde_json::from_str(json).ok()?;
    objects
        .into_iter()
        .map(|object| {
            let mut members = object.into_iter();
            match (members.next(), members.next()) {
                (Some((name, Value::String(value))), None) => Some((name.parse().ok()?, value)),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_headers() {
        assert!(parse(r#"[{"X-A":"1"},{"x-a":"2"}]"#).is_some_and(|headers| headers.len() == 2));
        for text in [r#"{"a":"b"}"#, r#"[{"a":"b","c":"d"}]"#, r#"[{"a":1}]"#, "[{}]", "x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn leading_digits_are_a_status() {
        assert_eq!(status("332 My Custom Status").ok().map(|s| s.as_u16()), Some(332));
        assert!(status("x").is_err());
        assert!(status("99999").is_err());
    }
}
