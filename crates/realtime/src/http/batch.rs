//! `POST /api/broadcast`: several messages at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{active, invalid, limited, message, rate_headers, token};
use crate::hub::Body;
use crate::protocol::quoted;
use crate::service::Inner;

/// One message of a batch.
#[derive(Debug, PartialEq)]
struct Message {
    /// Without `realtime:`.
    topic: String,
    private: bool,
    id: Option<String>,
    /// The payload of the event `broadcast`.
    payload: String,
}

pub(super) async fn broadcast(
    State(service): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if service.hub.events.triggered() {
        return limited(&service, || StatusCode::ACCEPTED.into_response());
    }
    let mut response = match accept(&service, &headers, &body).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => refusal,
    };
    rate_headers(&service, response.headers_mut());
    response
}

async fn accept(service: &Inner, headers: &HeaderMap, body: &[u8]) -> Result<(), Response> {
    let token = token::authenticate(service, headers)?;
    active(service)?;
    let messages = parse(body).map_err(|problem| match problem {
        Problem::NotJson => StatusCode::BAD_REQUEST.into_response(),
        Problem::Invalid(errors) => invalid(errors),
    })?;
    let hub = &service.hub;
    let (average, limit) = (hub.events.average(), hub.events.limit() as f64);
    if average > limit {
        return Err(message(StatusCode::TOO_MANY_REQUESTS, "You have exceeded your rate limit"));
    }
    if average + messages.len() as f64 > limit {
        let text = "Too many messages to broadcast, please reduce the batch size";
        return Err(message(StatusCode::TOO_MANY_REQUESTS, text));
    }
    let (private, public): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| message.private);
    let send = |message: Message| {
        hub.events.add(1);
        let id = message.id.map(Into::into);
        hub.send(&message.topic, message.private, Body::Map(message.payload.into()), id, None);
    };
    public.into_iter().for_each(send);
    let mut by_topic: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for message in private {
        by_topic.entry(message.topic.clone()).or_default().push(message);
    }
    for (topic, messages) in by_topic {
        let subject = token::subject(&token, headers, &topic);
        let allowed = service.may_write(&subject).await;
        // Whoever may not is not told so.
        if allowed.is_ok_and(|allowed| allowed.broadcast) {
            messages.into_iter().for_each(send);
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Problem {
    NotJson,
    Invalid(Value),
}

const BLANK: &str = "can't be blank";
const INVALID: &str = "is invalid";

fn parse(body: &[u8]) -> Result<Vec<Message>, Problem> {
    let body: BTreeMap<String, &RawValue> = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(_) if serde_json::from_slice::<&RawValue>(body).is_ok() => BTreeMap::new(),
        Err(_) => return Err(Problem::NotJson),
    };
    let whole = |problem: &str| Problem::Invalid(json!({ "messages": [problem] }));
    let given = body.get("messages").map(|messages| messages.get()).filter(|text| *text != "null");
    let given = given.ok_or_else(|| whole(BLANK))?;
    let list: Vec<BTreeMap<String, &RawValue>> = serde_json::from_str(given).map_err(|_| whole(INVALID))?;
    if list.is_empty() {
        return Err(whole(BLANK));
    }
    let parsed: Vec<Result<Message, Map<String, Value>>> = list.iter().map(read).collect();
    if parsed.iter().all(Result::is_ok) {
        return Ok(parsed.into_iter().filter_map(Result::ok).collect());
    }
    let errors: Vec<Value> =
        parsed.into_iter().map(|message| Value::Object(message.err().unwrap_or_default())).collect();
    Err(Problem::Invalid(json!({ "messages": errors })))
}

fn read(given: &BTreeMap<String, &RawValue>) -> Result<Message, Map<String, Value>> {
    let mut errors = Map::new();
    let text = |name: &str| given.get(name).map(|value| value.get()).filter(|text| *text != "null");
    let mut fail = |name: &str, problem: &str| {
        errors.insert(name.to_owned(), json!([problem]));
    };
    let mut string = |name: &str, required: bool| match text(name).map(serde_json::from_str::<String>) {
        Some(Ok(value)) if !(required && value.trim().is_empty()) => Some(value),
        Some(Err(_)) => {
            fail(name, INVALID);
            None
        }
        _ => {
            if required {
                fail(name, BLANK);
            }
            None
        }
    };
    let (topic, event, id) = (string("topic", true), string("event", true), string("id", false));
    let payload = match text("payload") {
        Some(payload) if payload.starts_with('{') => Some(payload),
        Some(_) => {
            fail("payload", INVALID);
            None
        }
        None => {
            fail("payload", BLANK);
            None
        }
    };
    let private = match text("private") {
        None | Some("false" | "\"false\"" | "0" | "\"0\"") => false,
        Some("true" | "\"true\"" | "1" | "\"1\"") => true,
        Some(_) => {
            fail("private", INVALID);
            false
        }
    };
    let (Some(topic), Some(event), Some(payload)) = (topic, event, payload) else { return Err(errors) };
    if !errors.is_empty() {
        return Err(errors);
    }
    let meta = id.as_ref().map(|id| format!("\"meta\":{{\"id\":{}}},", quoted(id))).unwrap_or_default();
    let payload =
        format!("{{\"event\":{},{meta}\"payload\":{payload},\"type\":\"broadcast\"}}", quoted(&event));
    Ok(Message { topic, private, id, payload })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn errors(body: &str) -> Value {
        match parse(body.as_bytes()) {
            Err(Problem::Invalid(errors)) => errors,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn payloads_keep_their_text() {
        let body =
            r#"{"messages":[{"topic":"a","event":"e","payload":{"n":9007199254740993, "z":1},"id":"x"}]}"#;
        assert_eq!(
            parse(body.as_bytes()).unwrap(),
            [Message {
                topic: "a".to_owned(),
                private: false,
                id: Some("x".to_owned()),
                payload: r#"{"event":"e","meta":{"id":"x"},"payload":{"n":9007199254740993, "z":1},"type":"broadcast"}"#
                    .to_owned(),
            }]
        );
    }

    #[test]
    fn problems_are_told_by_position() {
        assert_eq!(errors("{}"), json!({ "messages": [BLANK] }));
        assert_eq!(errors(r#"{"messages":[]}"#), json!({ "messages": [BLANK] }));
        assert_eq!(errors(r#"{"messages":1}"#), json!({ "messages": [INVALID] }));
        assert_eq!(
            errors(r#"{"messages":[{"event":"e","payload":{}},{"topic":"t","event":"e","payload":{}}]}"#),
            json!({ "messages": [{ "topic": [BLANK] }, {}] })
        );
        assert_eq!(
            errors(r#"{"messages":[{"topic":1,"event":" ","payload":"x","private":"perhaps"}]}"#),
            json!({ "messages": [{
                "topic": [INVALID], "event": [BLANK], "payload": [INVALID], "private": [INVALID]
            }] })
        );
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        assert_eq!(parse(b"{"), Err(Problem::NotJson));
    }
}
