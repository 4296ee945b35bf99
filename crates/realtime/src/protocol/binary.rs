//! Binary messages of the second version: broadcasts of the user's own bytes.
//!
//! Client to server, kind 3: the lengths of join_ref, ref, topic, event and metadata in one byte each, the encoding of the
//! payload, then those five and the payload. Server to client, kind 4: the same without references. Phoenix's own binary
//! kinds (0, 1, 2) are sent by no client, and understood by none.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Frame, Inbound, Malformed, Payload, Ref};

const PUSH: u8 = 3;
const BROADCAST: u8 = 4;

/// What the bytes of a payload are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Anything.
    Opaque = 0,
    /// JSON text.
    Json = 1,
}

/// A broadcast as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserBroadcast {
    pub(crate) event: Box<str>,
    /// A JSON object, or empty.
    pub(crate) metadata: Box<str>,
    pub(crate) encoding: Encoding,
    pub(crate) payload: Bytes,
}

fn text(data: &Bytes, at: &mut usize, len: u8) -> Result<Box<str>, Malformed> {
    let end = *at + usize::from(len);
    let bytes = data.get(*at..end).ok_or(Malformed)?;
    *at = end;
    std::str::from_utf8(bytes).map(Into::into).map_err(|_| Malformed)
}

pub(super) fn parse(data: Bytes) -> Result<Inbound<'static>, Malformed> {
    let &[PUSH, join_ref, reference, topic, event, metadata, encoding, ..] = data.as_ref() else {
        return Err(Malformed);
    };
    let mut at = 7;
    let join_ref = text(&data, &mut at, join_ref)?;
    let reference = text(&data, &mut at, reference)?;
    let topic = text(&data, &mut at, topic)?;
    let event = text(&data, &mut at, event)?;
    let metadata = text(&data, &mut at, metadata)?;
    let encoding = match encoding {
        0 => Encoding::Opaque,
        1 => Encoding::Json,
        _ => return Err(Malformed),
    };
    let named = |text: &str| if text.is_empty() { Ref::NULL } else { Ref::string(text) };
    Ok(Inbound {
        join_ref: named(&join_ref),
        reference: named(&reference),
        topic: Cow::Owned(topic.into()),
        event: Cow::Borrowed("broadcast"),
        payload: Payload::User(UserBroadcast { event, metadata, encoding, payload: data.slice(at..) }),
    })
}

/// A broadcast as it goes out; none when a name is longer than a length byte can say.
pub(crate) fn user_broadcast(
    topic: &str,
    event: &str,
    metadata: &str,
    encoding: Encoding,
    payload: &[u8],
) -> Option<Frame> {
    let lengths = [topic, event, metadata].map(|text| u8::try_from(text.len()));
    let [Ok(topic_len), Ok(event_len), Ok(metadata_len)] = lengths else { return None };
    let head = [BROADCAST, topic_len, event_len, metadata_len, encoding as u8];
    Some(Frame::binary(&[&head, topic.as_bytes(), event.as_bytes(), metadata.as_bytes(), payload]))
}
