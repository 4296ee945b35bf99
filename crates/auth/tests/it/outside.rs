//! The outside world of a service: a mail server, and HTTP servers that answer as they are told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use auth::{Config, Secret};
use inbox::{Inbox, Limits};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

/// A mail server that catches what it is given.
pub(crate) struct Post {
    inbox: Inbox,
    pub(crate) port: u16,
    server: JoinHandle<()>,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Post {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::on(listener, port)
    }

    pub(crate) fn on(listener: TcpListener, port: u16) -> Self {
        let inbox = Inbox::new(Limits::default());
        let serving = inbox::serve_smtp(listener, inbox.clone(), std::future::pending());
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self { inbox, port, server }
    }

    /// A configuration whose mails come here.
    pub(crate) fn configure(&self, mut config: Config) -> Config {
        config.smtp.host = "127.0.0.1".into();
        config.smtp.port = self.port;
        config.smtp.admin_email = "team@site.test".into();
        config.smtp.sender_name = "The Team".into();
        config.smtp.user = "anybody".into();
        config.smtp.password = Secret::new("hush");
        config
    }

    async fn ask(&self, path: &str) -> Value {
        let request = axum::http::Request::builder()
            .uri(path)
            .header("host", "localhost")
            .body(axum::body::Body::empty());
        let answer = inbox::router(self.inbox.clone(), "1", false).oneshot(request.unwrap()).await.unwrap();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    pub(crate) async fn count(&self) -> u64 {
        self.ask("/api/v1/messages").await["total"].as_u64().unwrap()
    }

    /// The newest mail to an address.
    pub(crate) async fn to(&self, address: &str) -> Mail {
        let found = self.ask(&format!("/api/v1/search?query=to:{address}")).await;
        let id =
            found["messages"][0]["ID"].as_str().unwrap_or_else(|| panic!("no mail to {address}")).to_owned();
        Mail(
            self.ask(&format!("/api/v1/message/{id}")).await,
            self.ask(&format!("/api/v1/message/{id}/headers")).await,
        )
    }
}

/// A mail and its headers.
pub(crate) struct Mail(pub(crate) Value, pub(crate) Value);

impl Mail {
    pub(crate) fn subject(&self) -> &str {
        self.0["Subject"].as_str().unwrap()
    }

    pub(crate) fn html(&self) -> &str {
        self.0["HTML"].as_str().unwrap()
    }

    /// The path and query of the link in it.
    pub(crate) fn link(&self) -> String {
        let html = self.html();
        let start = html.find("href=\"").unwrap_or_else(|| panic!("no link: {html}")) + 6;
        let link = html[start..].split('"').next().unwrap().replace("&amp;", "&");
        link[link.find("/verify").unwrap()..].to_owned()
    }

    /// The digits in it.
    pub(crate) fn code(&self) -> String {
        let html = self.html();
        let start = html.find("code: ").unwrap_or_else(|| panic!("no code: {html}")) + 6;
        html[start..].chars().take_while(char::is_ascii_digit).collect()
    }
}

/// An HTTP server that remembers what it was asked and answers from a list; the last answer stays.
pub(crate) struct StandIn {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl StandIn {
    /// Answers are status lines with headers, a blank line, and a body.
    pub(crate) async fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let answers: Arc<Mutex<VecDeque<String>>> =
            Arc::new(Mutex::new(answers.iter().map(|answer| (*answer).to_owned()).collect()));
        let heard = asked.clone();
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (heard, answers) = (heard.clone(), answers.clone());
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    loop {
                        let mut piece = [0; 4096];
                        let read = stream.read(&mut piece).await.unwrap_or(0);
                        request.extend_from_slice(&piece[..read]);
                        let text = String::from_utf8_lossy(&request).into_owned();
                        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                            let length = head.lines().find_map(|line| {
                                let (name, value) = line.split_once(": ")?;
                                name.eq_ignore_ascii_case("content-length")
                                    .then(|| value.parse::<usize>().ok())?
                            });
                            body.len() >= length.unwrap_or(0)
                        });
                        if whole || read == 0 {
                            break;
                        }
                    }
                    heard.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                    let answer = {
                        let mut answers = answers.lock().unwrap();
                        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
                    };
                    if answer == "hang" {
                        std::future::pending::<()>().await;
                    }
                    let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
                    let head = head.replace('\n', "\r\n");
                    let text = format!(
                        "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(text.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { url, asked, server }
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A JSON answer with status 200.
pub(crate) fn json(body: &str) -> String {
    format!("200 OK\ncontent-type: application/json\n\n{body}")
}

/// The body of a request.
pub(crate) fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}
