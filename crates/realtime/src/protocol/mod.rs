//! The wire: what a websocket message says, in both of Phoenix's serializer versions.
//!
//! Everything here is a pure function. Payloads are never parsed further than a reader needs: they are passed on as the
//! text they arrived in.

mod binary;
mod frame;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

pub(crate) use binary::{Encoding, UserBroadcast, user_broadcast};
pub(crate) use frame::Frame;
pub(crate) use text::{closing, push, quoted, reply};

/// How a socket spells its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// `vsn=1.0.0`: JSON objects.
    V1,
    /// `vsn=2.0.0`: JSON arrays, and binary frames.
    V2,
}

impl Version {
    /// The version that a `vsn` parameter asks for: `~> 1.0.0` or `~> 2.0.0`, the former when there is none.
    pub(crate) fn of(vsn: Option<&str>) -> Option<Self> {
        let vsn = vsn.unwrap_or("1.0.0");
        let (number, _build) = vsn.split_once('+').unwrap_or((vsn, ""));
        let mut parts = number.splitn(3, '.');
        let major = parts.next()?;
        let (minor, patch) = (parts.next()?, parts.next()?);
        let digits = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_digit())
                && (text.len() == 1 || !text.starts_with('0'))
        };
        match (major, minor) {
            ("1", "0") if digits(patch) => Some(Self::V1),
            ("2", "0") if digits(patch) => Some(Self::V2),
            _ => None,
        }
    }
}

/// A message reference as the client wrote it: any JSON value, nearly always a string or null.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Ref(Option<Box<str>>);

impl Ref {
    /// JSON null.
    pub(crate) const NULL: Self = Self(None);

    /// A reference that is a string.
    pub(crate) fn string(text: &str) -> Self {
        Self(Some(quoted(text).into()))
    }

    fn raw(value: Option<&RawValue>) -> Self {
        Self(value.map(RawValue::get).filter(|text| *text != "null").map(Into::into))
    }

    pub(crate) fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// Its JSON.
    pub(crate) fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_json())
    }
}

/// What a client sent.
#[derive(Debug)]
pub(crate) struct Inbound<'a> {
    pub(crate) join_ref: Ref,
    pub(crate) reference: Ref,
    pub(crate) topic: Cow<'a, str>,
    pub(crate) event: Cow<'a, str>,
    pub(crate) payload: Payload<'a>,
}

/// What a message carries.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    /// JSON, as it was written.
    Json(&'a RawValue),
    /// A broadcast in a binary frame (kind 3).
    User(UserBroadcast),
}

/// A message that is none: the connection cannot go on, because nothing says which request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub(crate) struct Malformed;

/// Whether a request succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It did.
    Ok,
    /// It did not.
    Error,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

impl<'a> Inbound<'a> {
    /// Reads a text message.
    pub(crate) fn from_text(version: Version, text: &'a str) -> Result<Self, Malformed> {
        text::parse(version, text)
    }

    /// Reads a binary message; only the second version has them.
    pub(crate) fn from_binary(version: Version, data: bytes::Bytes) -> Result<Self, Malformed> {
        match version {
            Version::V1 => Err(Malformed),
            Version::V2 => binary::parse(data),
        }
    }
}
