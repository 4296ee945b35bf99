//! PostgREST's access log: a line for each request on standard output, in Apache's `combined` format with the role as the
//! user. `log-level` decides from which status on.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::header::{CONTENT_LENGTH, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName};
use rest::LogLevel;

/// Lines that wait for standard output; more are dropped, since a stuck pipe must not stop requests.
const WAITING_LINES: usize = 4096;

/// Where lines go, and which.
pub(crate) struct AccessLog {
    level: LogLevel,
    lines: SyncSender<String>,
}

impl AccessLog {
    /// Starts the thread that writes; it ends with the log.
    pub(crate) fn start(level: LogLevel) -> std::io::Result<Arc<Self>> {
        let (lines, waiting) = sync_channel::<String>(WAITING_LINES);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let out = std::io::stdout();
            for line in waiting {
                if writeln!(out.lock(), "{line}").is_err() {
                    break;
                }
            }
        })?;
        Ok(Arc::new(Self { level, lines }))
    }
}

/// Answers a request, and logs it.
pub(crate) async fn answer(State(log): State<Arc<AccessLog>>, request: Request, next: Next) -> Response {
    let entry = Entry::of(&request);
    let response = next.run(request).await;
    if log.level.includes(response.status()) && response.extensions().get::<rest::Unlogged>().is_none() {
        // Full, or nobody reads: the request is answered all the same.
        let _ = log.lines.try_send(entry.line(&response, Utc::now()));
    }
    response
}

/// What of a request is logged.
struct Entry {
    peer: Option<SocketAddr>,
    request: String,
    referer: String,
    agent: String,
}

impl Entry {
    fn of(request: &Request) -> Self {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let headers = request.headers();
        Self {
            peer: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0),
            request: format!("{} {target} {:?}", request.method(), request.version()),
            referer: header(headers, &REFERER),
            agent: header(headers, &USER_AGENT),
        }
    }

    fn line(&self, response: &Response, now: DateTime<Utc>) -> String {
        // Who comes through a socket in the file system has no port, and no address either.
        let peer = self.peer.filter(|peer| peer.port() != 0);
        let peer = peer.map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
        let role = response.extensions().get::<rest::Role>().map_or("-", |role| &role.0);
        let length =
            response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).unwrap_or("-");
        format!(
            "{peer} - {role} [{}] \"{}\" {} {length} \"{}\" \"{}\"",
            now.format("%d/%b/%Y:%H:%M:%S %z"),
            quoted(&self.request),
            response.status().as_u16(),
            quoted(&self.referer),
            quoted(&self.agent),
        )
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// Nobody ends a field by sending a quote.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_line_names_the_role() {
        let mut request = Request::builder()
            .uri("/projects?id=eq.1")
            .header("user-agent", "curl\" 200")
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 5000))));
        let entry = Entry::of(&request);
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert("content-length", 17.into());
        response.extensions_mut().insert(rest::Role("web_anon".into()));
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        assert_eq!(
            entry.line(&response, now),
            r#"127.0.0.1 - web_anon [14/Nov/2023:22:13:20 +0000] "GET /projects?id=eq.1 HTTP/1.1" 200 17 "" "curl\" 200""#
        );
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert!(Entry::of(&request).line(&response, now).starts_with("- - web_anon ["));
        let refused = Response::builder().status(401).body(Body::empty()).unwrap();
        assert_eq!(
            entry.line(&refused, now),
            r#"127.0.0.1 - - [14/Nov/2023:22:13:20 +0000] "GET /projects?id=eq.1 HTTP/1.1" 401 - "" "curl\" 200""#
        );
    }
}
