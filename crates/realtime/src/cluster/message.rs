//! What nodes tell each other: a head of JSON, a line feed, and the bytes of a payload.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::hub::{Body, Meta, Origin, TopicKey};
use crate::protocol::{Encoding, UserBroadcast};

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Message {
    /// Who speaks.
    pub(super) node: u64,
    /// Counts what this node said, so that others notice a gap.
    pub(super) number: u64,
    #[serde(flatten)]
    pub(super) what: What,
    #[serde(skip)]
    pub(super) payload: Bytes,
}

/// Its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum What {
    /// Send the payload to the members of a topic.
    Broadcast { topic: Topic, id: Option<Box<str>>, user: Option<User> },
    /// Somebody is present.
    Track { topic: Topic, meta: Present },
    /// Somebody is present no more.
    Untrack { topic: Topic, channel: u64 },
    /// I am here, and want to know who is present with you.
    Hello,
    /// All who are present with me.
    State { present: Vec<(Topic, Vec<Present>)> },
    /// The tenant's row has changed (`adopt`), or all sockets are to begin anew.
    Tenant { adopt: bool, disconnect: bool },
    /// I am still here.
    Alive,
    /// I am going.
    Bye,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Topic {
    pub(super) name: Box<str>,
    pub(super) private: bool,
}

/// How a binary broadcast differs from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct User {
    event: Box<str>,
    metadata: Box<str>,
    json: bool,
}

/// A presence without its node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Present {
    pub(super) channel: u64,
    key: Box<str>,
    reference: Box<str>,
    previous: Option<Box<str>>,
    fields: Box<str>,
}

impl From<&TopicKey> for Topic {
    fn from(key: &TopicKey) -> Self {
        Self { name: (*key.name).into(), private: key.private }
    }
}

impl Topic {
    pub(super) fn key(&self) -> TopicKey {
        TopicKey { name: (*self.name).into(), private: self.private }
    }
}

impl From<&Meta> for Present {
    fn from(meta: &Meta) -> Self {
        Self {
            channel: meta.origin.channel,
            key: (*meta.key).into(),
            reference: meta.reference.clone(),
            previous: meta.previous.clone(),
            fields: meta.fields.clone(),
        }
    }
}

impl Present {
    pub(super) fn meta(&self, node: u64) -> Meta {
        Meta {
            origin: Origin { node, channel: self.channel },
            key: (*self.key).into(),
            reference: self.reference.clone(),
            previous: self.previous.clone(),
            fields: self.fields.clone(),
        }
    }
}

/// A body as kind and payload.
pub(super) fn split(body: &Body) -> (Option<User>, Bytes) {
    match body {
        Body::Map(payload) => (None, Bytes::copy_from_slice(payload.as_bytes())),
        Body::User(user) => {
            let head = User {
                event: user.event.clone(),
                metadata: user.metadata.clone(),
                json: user.encoding == Encoding::Json,
            };
            (Some(head), user.payload.clone())
        }
    }
}

/// The reverse; none if the payload is not what it should be.
pub(super) fn join(user: Option<User>, payload: Bytes) -> Option<Body> {
    match user {
        None => Some(Body::Map(std::str::from_utf8(&payload).ok()?.into())),
        Some(User { event, metadata, json }) => {
            let encoding = if json { Encoding::Json } else { Encoding::Opaque };
            Some(Body::User(UserBroadcast { event, metadata, encoding, payload }))
        }
    }
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        // Strings and numbers are JSON.
        let mut out = serde_json::to_vec(self).unwrap_or_default();
        out.push(b'\n');
        out.extend_from_slice(&self.payload);
        out
    }

    /// JSON has no bare line feed, so the first one ends the head.
    pub(super) fn decode(bytes: Bytes) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let mut message: Self = serde_json::from_slice(&bytes[..end]).ok()?;
        message.payload = bytes.slice(end + 1..);
        Some(message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_one_node_says_another_hears(
            name in "\\PC{0,20}",
            payload in prop::collection::vec(any::<u8>(), 0..64),
            json in any::<bool>(),
            private in any::<bool>(),
        ) {
            let message = Message {
                node: u64::MAX,
                number: 1,
                what: What::Broadcast {
                    topic: Topic { name: name.clone().into(), private },
                    id: Some("a\nb".into()),
                    user: Some(User { event: name.into(), metadata: "{}".into(), json }),
                },
                payload: payload.into(),
            };
            prop_assert_eq!(Message::decode(message.encode().into()).unwrap(), message);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(bytes.into());
        }
    }
}
