//! What the fuzz targets reach of the inside.

use crate::protocol::{Inbound, Payload, Version};

/// Reads a text message in both versions, and what a join asks for.
pub fn text_message(text: &str) {
    for version in [Version::V1, Version::V2] {
        if let Ok(message) = Inbound::from_text(version, text)
            && let Payload::Json(payload) = message.payload
        {
            crate::socket::read_join(payload.get(), &message.topic);
        }
    }
}

/// Reads a binary message, and renders the broadcast in it.
pub fn binary_message(bytes: &[u8]) {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    if let Ok(message) = Inbound::from_binary(Version::V2, bytes)
        && let Payload::User(user) = message.payload
        && user.metadata.is_empty()
        && let Some(text) = user.to_json()
    {
        // Numbers out of range are JSON that only a reader of values refuses.
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok());
    }
}
