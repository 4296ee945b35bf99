//! JSON messages.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{Frame, Inbound, Malformed, Payload, Ref, Status, Version};

#[derive(Deserialize)]
struct ObjectForm<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    // The key must be there, even if it is null.
    #[serde(rename = "ref", borrow)]
    reference: &'a RawValue,
    #[serde(borrow, default)]
    join_ref: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ArrayForm<'a>(
    #[serde(borrow)] &'a RawValue,
    #[serde(borrow)] &'a RawValue,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] &'a RawValue,
);

pub(super) fn parse(version: Version, text: &str) -> Result<Inbound<'_>, Malformed> {
    match version {
        Version::V1 => {
            let form: ObjectForm<'_> = serde_json::from_str(text).map_err(|_| Malformed)?;
            Ok(Inbound {
                join_ref: Ref::raw(form.join_ref),
                reference: Ref::raw(Some(form.reference)),
                topic: form.topic,
                event: form.event,
                payload: Payload::Json(form.payload),
            })
        }
        Version::V2 => {
            let ArrayForm(join_ref, reference, topic, event, payload) =
                serde_json::from_str(text).map_err(|_| Malformed)?;
            Ok(Inbound {
                join_ref: Ref::raw(Some(join_ref)),
                reference: Ref::raw(Some(reference)),
                topic,
                event,
                payload: Payload::Json(payload),
            })
        }
    }
}

/// A string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(&mut out, text);
    out
}

/// Appends a string as JSON.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..=0x1f => {
                out.push_str(&text[start..at]);
                out.push_str("\\u00");
                for nibble in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
                start = at + 1;
                continue;
            }
            _ => continue,
        };
        out.push_str(&text[start..at]);
        out.push_str(escaped);
        start = at + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

fn message(
    version: Version,
    join_ref: &Ref,
    reference: &Ref,
    topic: &str,
    event: &str,
    payload: &[&str],
) -> Frame {
    let (topic, event) = (quoted(topic), quoted(event));
    let mut parts: SmallVec<[&str; 16]> = SmallVec::new();
    match version {
        Version::V1 => {
            parts.extend(["{\"topic\":", &topic, ",\"event\":", &event, ",\"payload\":"]);
            parts.extend_from_slice(payload);
            parts.extend([",\"ref\":", reference.as_json(), "}"]);
        }
        Version::V2 => {
            parts.extend(["[", join_ref.as_json(), ",", reference.as_json(), ",", &topic, ",", &event, ","]);
            parts.extend_from_slice(payload);
            parts.push("]");
        }
    }
    Frame::text(&parts)
}

/// The answer to a request; `response` is a JSON object.
pub(crate) fn reply(
    version: Version,
    join_ref: &Ref,
    reference: &Ref,
    topic: &str,
    status: Status,
    response: &str,
) -> Frame {
    let payload = ["{\"status\":\"", status.as_str(), "\",\"response\":", response, "}"];
    message(version, join_ref, reference, topic, "phx_reply", &payload)
}

/// A message that answers nothing. To all members of a topic alike it goes with a null `join_ref`.
pub(crate) fn push(version: Version, join_ref: &Ref, topic: &str, event: &str, payload: &str) -> Frame {
    message(version, join_ref, &Ref::NULL, topic, event, &[payload])
}

/// `phx_close` or `phx_error`: the end of a channel, named by its `join_ref` in both places.
pub(crate) fn closing(version: Version, join_ref: &Ref, topic: &str, event: &str) -> Frame {
    message(version, join_ref, join_ref, topic, event, &["{}"])
}
