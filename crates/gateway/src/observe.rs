//! What is counted and logged about each request.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::routes::Route;

/// Status codes with a counter of their own; others share one per class.
const STATUSES: [u16; 28] = [
    101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 400, 401, 403, 404, 405, 406, 408, 409, 412, 413,
    415, 416, 422, 429, 500, 503, 504,
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Registered handles: a request looks nothing up by name.
pub(crate) struct Figures {
    by_route: Vec<RouteFigures>,
    pub(crate) in_flight: Gauge,
}

struct RouteFigures {
    name: &'static str,
    duration: Histogram,
    sent: Counter,
    /// One slot a status, registered when it first occurs: most never do.
    statuses: [OnceLock<Counter>; STATUSES.len() + CLASSES.len()],
}

impl Figures {
    /// One set for each route, and one for requests without any.
    pub(crate) fn new(routes: &[Route]) -> Self {
        let names = routes.iter().map(|route| route.name).chain(["none"]);
        Self {
            by_route: names
                .map(|name| RouteFigures {
                    name,
                    duration: histogram!("monobase_http_request_duration_seconds", "route" => name),
                    sent: counter!("monobase_http_response_bytes_total", "route" => name),
                    statuses: std::array::from_fn(|_| OnceLock::new()),
                })
                .collect(),
            in_flight: gauge!("monobase_http_requests_in_flight"),
        }
    }

    pub(crate) fn record(&self, route: Option<usize>, status: StatusCode, duration: Duration, bytes: u64) {
        let Some(figures) = route.map_or_else(|| self.by_route.last(), |index| self.by_route.get(index))
        else {
            return;
        };
        figures.duration.record(duration.as_secs_f64());
        figures.sent.increment(bytes);
        let (slot, label) = slot(status);
        figures.statuses[slot]
            .get_or_init(|| match label {
                Some(class) => counter!("monobase_http_requests_total", "route" => figures.name, "code" => class),
                None => {
                    counter!("monobase_http_requests_total", "route" => figures.name, "code" => status.as_str().to_owned())
                }
            })
            .increment(1);
    }
}

fn slot(status: StatusCode) -> (usize, Option<&'static str>) {
    match STATUSES.binary_search(&status.as_u16()) {
        Ok(index) => (index, None),
        Err(_) => {
            let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
            (STATUSES.len() + class, Some(CLASSES[class]))
        }
    }
}

/// Makes request ids: 32 hex digits, of which the first half is drawn once a process.
pub(crate) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        let (process, start) = uuid::Uuid::new_v4().as_u64_pair();
        Self { process, next: AtomicU64::new(start) }
    }

    pub(crate) fn next(&self) -> HeaderValue {
        let id = (u128::from(self.process) << 64) | u128::from(self.next.fetch_add(1, Ordering::Relaxed));
        let mut text = [0_u8; 32];
        for (index, digit) in text.iter_mut().enumerate() {
            let nibble = (id >> (124 - 4 * index)) & 15;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_slot() {
        for code in 100..=999 {
            let (slot, _) = slot(StatusCode::from_u16(code).unwrap());
            assert!(slot < STATUSES.len() + CLASSES.len(), "{code}");
        }
        assert_eq!(slot(StatusCode::OK), (1, None));
        assert_eq!(slot(StatusCode::IM_A_TEAPOT), (31, Some("4xx")));
    }

    #[test]
    fn request_ids_differ_and_are_hex() {
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
        assert!(first.as_bytes().iter().all(u8::is_ascii_hexdigit));
    }
}
