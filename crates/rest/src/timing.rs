//! `Server-Timing`: how long each stage took.

use std::fmt::Write as _;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};

const STAGES: [&str; 5] = ["jwt", "parse", "plan", "transaction", "response"];

/// A stage of a request.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    Jwt,
    Parse,
    Plan,
    Transaction,
    Response,
}

/// How long the stages of one request took. Looks at the clock only if that is wanted.
pub(crate) struct Timing {
    last: Option<Instant>,
    milliseconds: [f64; STAGES.len()],
}

impl Timing {
    pub(crate) fn start(enabled: bool) -> Self {
        Self { last: enabled.then(Instant::now), milliseconds: [0.0; STAGES.len()] }
    }

    /// A stage is over.
    pub(crate) fn mark(&mut self, stage: Stage) {
        let Some(last) = &mut self.last else { return };
        let now = Instant::now();
        self.milliseconds[stage as usize] = now.duration_since(*last).as_secs_f64() * 1000.0;
        *last = now;
    }

    /// Adds the header.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if self.last.is_none() {
            return;
        }
        let mut text = String::with_capacity(96);
        for (stage, milliseconds) in STAGES.iter().zip(self.milliseconds) {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}{stage};dur={milliseconds:.1}");
        }
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static("server-timing"), value);
        }
    }
}
