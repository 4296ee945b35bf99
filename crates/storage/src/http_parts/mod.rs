//! What requests and answers have in common, whichever door they pass: who asks, JSON bodies, query strings, conditions
//! and ranges.

pub(crate) mod auth;
pub(crate) mod conditions;
pub(crate) mod fields;
pub(crate) mod inflow;
pub(crate) mod query;
pub(crate) mod range;

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;

/// The body of an upload as the store reads it.
pub(crate) use inflow::of_body;

/// How much of a body is read and thrown away after a refusal, so that clients which write first and read later see the
/// answer instead of a broken connection.
const DRAINED: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Reads the rest of a refused body, within reason.
pub(crate) async fn drain(mut body: Body) {
    let read = async {
        let mut read = 0;
        while read < DRAINED
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
        }
    };
    // Whoever is slower than that does not get to read the answer.
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}

/// Text with everything escaped that `encodeURIComponent` escapes.
pub(crate) fn encode_component(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'!')
        .remove(b'~')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')');
    utf8_percent_encode(text, KEPT).to_string()
}

/// A path segment or key, percent-decoded once. `None` when that is no UTF-8.
pub(crate) fn decode(raw: &str) -> Option<String> {
    percent_encoding::percent_decode_str(raw).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A moment as HTTP writes it.
pub(crate) fn http_date(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
