//! `Server-Timing`: how long each stage took.

use std::fmt::Write as _;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The stages of one request. Keeps nothing unless it is wanted.
pub(crate) struct Timing {
    last: Option<Instant>,
    text: String,
}

impl Timing {
    pub(crate) fn start(enabled: bool) -> Self {
        Self { last: enabled.then(Instant::now), text: String::new() }
    }

    /// A stage is over.
    pub(crate) fn mark(&mut self, stage: &'static str) {
        let Some(last) = &mut self.last else { return };
        let now = Instant::now();
        let milliseconds = now.duration_since(*last).as_secs_f64() * 1000.0;
        *last = now;
        let separator = if self.text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{separator}{stage};dur={milliseconds:.1}");
    }

    /// Adds the header.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if let (Some(_), Ok(value)) = (self.last, HeaderValue::from_str(&self.text)) {
            headers.insert(HeaderName::from_static("server-timing"), value);
        }
    }
}
