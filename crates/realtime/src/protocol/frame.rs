//! Websocket frames, built once and shared by all sockets: a server's frames carry no mask, so they are the same bytes for
//! everyone.

use bytes::Bytes;

/// Room for the longest head of a frame.
const HEAD: usize = 10;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// A whole websocket frame; clones share the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame(Bytes);

impl Frame {
    /// A message of text, made of these parts.
    pub(crate) fn text(parts: &[&str]) -> Self {
        Self::build(TEXT, parts.iter().map(|part| part.as_bytes()))
    }

    /// A binary message, made of these parts.
    pub(crate) fn binary(parts: &[&[u8]]) -> Self {
        Self::build(BINARY, parts.iter().copied())
    }

    fn build<'a>(kind: u8, parts: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let len: usize = parts.clone().map(<[u8]>::len).sum();
        let mut bytes = Vec::with_capacity(HEAD + len);
        bytes.push(kind);
        // What fits is what the protocol says: one byte, two, or eight.
        match (u8::try_from(len), u16::try_from(len)) {
            (Ok(len @ 0..=125), _) => bytes.push(len),
            (_, Ok(len)) => {
                bytes.push(126);
                bytes.extend(len.to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        parts.for_each(|part| bytes.extend_from_slice(part));
        Self(bytes.into())
    }

    /// How long it is on the wire.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The message without its frame.
    #[cfg(test)]
    pub(crate) fn payload(&self) -> &[u8] {
        match self.0[1] {
            126 => &self.0[4..],
            127 => &self.0[10..],
            _ => &self.0[2..],
        }
    }
}
