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
    use chrono::{Datelike as _, Timelike as _};
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // By hand: every answer has one, and a pattern would be taken apart each time.
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS[at.weekday().num_days_from_monday() as usize],
        at.day(),
        MONTHS[at.month0() as usize],
        at.year(),
        at.hour(),
        at.minute(),
        at.second(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chrono::DateTime;

    use super::*;

    #[test]
    fn dates_are_written_as_the_pattern_says() {
        for seconds in (0..4_000_000_000).step_by(86_399 * 17) {
            let at = DateTime::from_timestamp(seconds, 0).unwrap();
            assert_eq!(http_date(at), at.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
        }
    }
}
