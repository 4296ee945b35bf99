//! The request log: an event a request on the process's bus, and on demand a line in nginx's `combined` format.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use chrono::Utc;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use serde_json::{Value, json};
use telemetry::events::{Bus, Event, Level};

use crate::forward::Peer;
use crate::query;

/// Lines that wait for standard output; more are dropped and counted, since a stuck pipe must not stop requests.
const WAITING_LINES: usize = 4096;

/// The request headers that an event names. None of them carries a credential.
const NAMED_HEADERS: [(HeaderName, &str); 11] = [
    (HOST, "host"),
    (USER_AGENT, "user_agent"),
    (REFERER, "referer"),
    (CONTENT_TYPE, "content_type"),
    (CONTENT_LENGTH, "content_length"),
    (RANGE, "range"),
    (HeaderName::from_static("prefer"), "prefer"),
    (HeaderName::from_static("x-client-info"), "x_client_info"),
    (HeaderName::from_static("x-forwarded-proto"), "x_forwarded_proto"),
    (HeaderName::from_static("x-forwarded-for"), "x_forwarded_for"),
    (HeaderName::from_static("x-real-ip"), "x_real_ip"),
];

/// A request as it came, kept until its answer is through.
pub(crate) struct Entry {
    time: SystemTime,
    method: Method,
    uri: Uri,
    version: Version,
    headers: Vec<(&'static str, HeaderValue)>,
    client: IpAddr,
    id: HeaderValue,
}

impl Entry {
    pub(crate) fn of(parts: &Parts, peer: &Peer, id: &HeaderValue) -> Self {
        Self {
            time: SystemTime::now(),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers: named_headers(&parts.headers),
            client: peer.client(&parts.headers),
            id: id.clone(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| *known == name)?;
        value.to_str().ok()
    }

    /// Path and query, without credentials.
    fn target(&self) -> String {
        match self.uri.query() {
            Some(query) => format!("{}?{}", self.uri.path(), query::redacted(query)),
            None => self.uri.path().to_owned(),
        }
    }

    fn event(self, outcome: &Outcome) -> Event {
        let target = self.target();
        let host = self.header("host").unwrap_or("");
        let message = format!(
            "{} | {} | {} | {} | http://{host}{target} | {}",
            self.method,
            outcome.status.as_u16(),
            self.client,
            self.id.to_str().unwrap_or(""),
            self.header("user_agent").unwrap_or("-"),
        );
        let headers: serde_json::Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        let fields = BTreeMap::from([
            ("route", json!(outcome.route)),
            ("consumer", json!(outcome.consumer)),
            ("client", json!(self.client)),
            ("request_id", json!(self.id.to_str().unwrap_or(""))),
            (
                "request",
                json!({
                    "method": self.method.as_str(),
                    "path": self.uri.path(),
                    "search": self.uri.query().map(|query| format!("?{}", query::redacted(query))),
                    "host": host,
                    "url": format!("http://{host}{target}"),
                    "protocol": format!("{:?}", self.version),
                    "headers": headers,
                }),
            ),
            (
                "response",
                json!({
                    "status_code": outcome.status.as_u16(),
                    "origin_time": u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
                    "bytes": outcome.bytes,
                }),
            ),
        ]);
        Event {
            time: self.time,
            service: "gateway",
            level: match outcome.status.as_u16() {
                500.. => Level::Error,
                400..500 => Level::Warn,
                _ => Level::Info,
            },
            message,
            fields,
        }
    }

    /// nginx's `combined` format.
    fn line(&self, outcome: &Outcome, now: chrono::DateTime<Utc>) -> String {
        format!(
            "{} - - [{}] \"{} {} {:?}\" {} {} \"{}\" \"{}\"",
            self.client,
            now.format("%d/%b/%Y:%H:%M:%S %z"),
            self.method,
            self.target(),
            self.version,
            outcome.status.as_u16(),
            outcome.bytes,
            quoted(self.header("referer")),
            quoted(self.header("user_agent")),
        )
    }
}

/// What became of a request.
pub(crate) struct Outcome {
    pub(crate) route: Option<&'static str>,
    pub(crate) consumer: Option<&'static str>,
    pub(crate) status: StatusCode,
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
}

/// Where requests are told.
pub(crate) struct Journal {
    bus: Bus,
    lines: Option<SyncSender<String>>,
}

impl Journal {
    pub(crate) fn new(bus: Bus, lines: bool) -> Self {
        Self { bus, lines: lines.then(line_writer).flatten() }
    }

    /// Whether anyone wants to know. Otherwise a request collects nothing.
    pub(crate) fn is_read(&self) -> bool {
        self.lines.is_some() || self.bus.is_read()
    }

    pub(crate) fn write(&self, entry: Entry, outcome: Outcome) {
        if let Some(lines) = &self.lines
            && lines.try_send(entry.line(&outcome, Utc::now())).is_err()
        {
            metrics::counter!("monobase_access_log_lines_dropped_total").increment(1);
        }
        self.bus.publish(|| entry.event(&outcome));
    }
}

/// A thread of its own, since a write to standard output may block. It ends when the last sender is gone.
fn line_writer() -> Option<SyncSender<String>> {
    let (sender, lines) = sync_channel::<String>(WAITING_LINES);
    let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
        let out = std::io::stdout();
        for line in lines {
            if writeln!(out.lock(), "{line}").is_err() {
                break;
            }
        }
    });
    match thread {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::error!(%error, "cannot write the access log");
            None
        }
    }
}

fn named_headers(headers: &HeaderMap) -> Vec<(&'static str, HeaderValue)> {
    NAMED_HEADERS
        .iter()
        .filter_map(|(header, name)| Some((*name, without_secrets(header, headers.get(header)?))))
        .collect()
}

/// The page that a request came from may carry a token in its query: only the page itself is told.
fn without_secrets(header: &HeaderName, value: &HeaderValue) -> HeaderValue {
    let page = |value: &HeaderValue| {
        let page = value.as_bytes().split(|byte| *byte == b'?').next()?;
        HeaderValue::from_bytes(page).ok()
    };
    if *header == REFERER { page(value).unwrap_or(HeaderValue::from_static("")) } else { value.clone() }
}

/// A header value inside quotes: what could end the quotes or the line is escaped as nginx does it.
fn quoted(value: Option<&str>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    value.chars().fold(String::with_capacity(value.len()), |mut out, letter| {
        match letter {
            '"' => out.push_str("\\x22"),
            '\\' => out.push_str("\\x5C"),
            _ => out.push(letter),
        }
        out
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Trusted;

    fn entry() -> Entry {
        let (parts, ()) = http::Request::builder()
            .method("GET")
            .uri("/rest/v1/todos?select=*&apikey=secret")
            .header("host", "127.0.0.1:54321")
            .header("user-agent", "te\"st\\")
            .header("authorization", "Bearer secret")
            .header("referer", "http://app/page?access_token=secret")
            .header("apikey", "secret")
            .body(())
            .unwrap()
            .into_parts();
        let peer = Peer::new("127.0.0.1".parse().unwrap(), 54321, &Trusted::Private);
        let mut entry = Entry::of(&parts, &peer, &HeaderValue::from_static("0123"));
        entry.time = SystemTime::UNIX_EPOCH;
        entry
    }

    fn outcome() -> Outcome {
        Outcome {
            route: Some("rest-v1"),
            consumer: Some("anon"),
            status: StatusCode::OK,
            bytes: 17,
            duration: Duration::from_millis(3),
        }
    }

    #[test]
    fn a_line_is_nginx_combined() {
        let now = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        assert_eq!(
            entry().line(&outcome(), now),
            "127.0.0.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /rest/v1/todos?select=*&apikey= HTTP/1.1\" 200 17 \
             \"http://app/page\" \"te\\x22st\\x5C\""
        );
    }

    #[test]
    fn an_event_describes_the_request_without_any_secret() {
        let event = serde_json::to_string_pretty(&entry().event(&outcome())).unwrap();
        assert!(!event.contains("secret"));
        insta::assert_snapshot!(event);
    }
}
