//! One message on its way to everybody, rendered at most once for each serializer version.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::protocol::{self, Encoding, Frame, Ref, UserBroadcast, Version, quoted};

/// A broadcast to the members of one topic.
#[derive(Debug)]
pub(crate) struct Broadcast {
    /// The topic as clients join it: `realtime:…`.
    topic: Arc<str>,
    body: Body,
    /// `meta.id`, by which a replayed message is recognised.
    pub(crate) id: Option<Box<str>>,
    forms: [OnceLock<Option<Frame>>; 2],
}

/// Where a broadcast came from decides how it goes out.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// The whole payload of the event `broadcast`, a JSON object: from a text message, the batch endpoint, the database.
    Map(Box<str>),
    /// The user's payload apart: from a binary frame, the endpoint of one event.
    User(UserBroadcast),
}

impl Body {
    /// Bytes of the payload.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Map(payload) => payload.len(),
            Self::User(user) => user.payload.len(),
        }
    }
}

impl Broadcast {
    pub(crate) fn new(topic: Arc<str>, body: Body, id: Option<Box<str>>) -> Self {
        Self { topic, body, id, forms: [OnceLock::new(), OnceLock::new()] }
    }

    /// The message for a socket of this version; none when the version cannot carry it (opaque bytes in the first).
    pub(crate) fn frame(&self, version: Version) -> Option<&Frame> {
        self.forms[version as usize].get_or_init(|| self.render(version)).as_ref()
    }

    fn render(&self, version: Version) -> Option<Frame> {
        match (&self.body, version) {
            (Body::Map(payload), _) => {
                Some(protocol::push(version, &Ref::NULL, &self.topic, "broadcast", payload))
            }
            (Body::User(user), Version::V2) => protocol::user_broadcast(
                &self.topic,
                &user.event,
                &user.metadata,
                user.encoding,
                &user.payload,
            )
            .or_else(|| self.text(user, version)),
            (Body::User(user), Version::V1) => self.text(user, version),
        }
    }

    fn text(&self, user: &UserBroadcast, version: Version) -> Option<Frame> {
        let payload = user.to_json()?;
        Some(protocol::push(version, &Ref::NULL, &self.topic, "broadcast", &payload))
    }
}

impl UserBroadcast {
    /// The payload of the event `broadcast` that says the same; none for opaque bytes.
    pub(crate) fn to_json(&self) -> Option<String> {
        if self.encoding != Encoding::Json {
            return None;
        }
        let payload = std::str::from_utf8(&self.payload).ok()?;
        // It is embedded in our JSON, so it must be some itself.
        serde_json::from_str::<&serde_json::value::RawValue>(payload).ok()?;
        let mut text =
            format!("{{\"type\":\"broadcast\",\"event\":{},\"payload\":{payload}", quoted(&self.event));
        if !self.metadata.is_empty() {
            text.push_str(",\"meta\":");
            text.push_str(&self.metadata);
        }
        text.push('}');
        Some(text)
    }
}

/// A broadcast that the database asks for: one row of `realtime.messages`.
#[derive(Debug, Clone)]
pub struct DatabaseBroadcast {
    /// The row's `id`.
    pub id: Box<str>,
    /// The topic, without `realtime:`.
    pub topic: Box<str>,
    /// The event.
    pub event: Box<str>,
    /// Whether it goes to the private topic of that name.
    pub private: bool,
    /// When the row says that it was inserted, in microseconds since 2000; none if it says so in no known form.
    pub inserted: Option<i64>,
    /// What it carries.
    pub payload: DatabasePayload,
}

/// The payload of a [`DatabaseBroadcast`].
#[derive(Debug, Clone)]
pub enum DatabasePayload {
    /// `payload`: the text of a JSON object.
    Json(Box<str>),
    /// `binary_payload`: any bytes.
    Binary(Bytes),
}
