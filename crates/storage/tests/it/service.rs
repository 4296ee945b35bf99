//! A running service, and the smallest HTTP client that shows everything of an answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use storage::blob::{LocalStore, Store};
use storage::config::Sweeper;
use storage::{Config, Storage};
use tempfile::TempDir;
use testkit::TestDatabase;
use tokens::{KeyRing, KeySet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

/// Two users, by the `sub` of their tokens.
pub(crate) const ANNA: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const BERT: &str = "22222222-2222-4222-8222-222222222222";

pub(crate) struct Service {
    pub(crate) database: TestDatabase,
    pub(crate) folder: TempDir,
    pub(crate) storage: Storage,
    pub(crate) address: SocketAddr,
    keys: KeyRing,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Small limits, and a sweeper that runs when it is told to.
pub(crate) fn config() -> Config {
    Config {
        file_size_limit: 1 << 20,
        tenant: "stub".into(),
        sweeper: Sweeper { interval: Duration::ZERO, grace: Duration::ZERO },
        ..Config::default()
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            LocalStore::open(folder.path().join("blobs"), Some(folder.path().join("volume")), false).unwrap();
        Self::start_on(config, Arc::new(store), folder).await
    }

    pub(crate) async fn start_on(config: Config, store: Arc<dyn Store>, folder: TempDir) -> Self {
        let database = testkit::database().await;
        let keys = KeyRing::new(KeySet::from_secret(SECRET).unwrap());
        let pool = database.pool("supabase_storage_admin");
        let storage = Storage::start(config, pool, keys.clone(), store, true);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = storage.router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { database, folder, storage, address, keys, server }
    }

    /// One with the bucket `b`, in which everyone may do everything.
    pub(crate) async fn open() -> Self {
        let service = Self::start().await;
        service.bucket("b", json!({})).await;
        service.allow_all().await;
        service
    }

    pub(crate) async fn bucket(&self, id: &str, mut settings: Value) {
        settings["name"] = id.into();
        let answer = self.post("/bucket", settings).admin(self).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(crate) async fn allow_all(&self) {
        self.sql(
            "create policy all_objects on storage.objects for all to public using (true) with check (true);
             create policy all_buckets on storage.buckets for all to public using (true) with check (true)",
        )
        .await;
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request {
            address: self.address,
            method: method.into(),
            path: path.into(),
            headers: vec![("host".into(), "storage".into()), ("connection".into(), "close".into())],
            body: Vec::new(),
            sized: true,
            announced: true,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Request {
        self.request("POST", path).header("content-type", "application/json").body(body.to_string())
    }

    /// Puts an object there as the service role.
    pub(crate) async fn put(&self, path: &str, body: &str) {
        let answer = self
            .request("PUT", &format!("/object/{path}"))
            .admin(self)
            .header("content-type", "text/plain")
            .body(body)
            .send()
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The content of an object, as the service role sees it.
    pub(crate) async fn content(&self, path: &str) -> Option<String> {
        let answer = self.get(&format!("/object/authenticated/{path}")).admin(self).send().await;
        (answer.status == 200).then(|| answer.text())
    }

    pub(crate) fn sign(&self, claims: Value) -> String {
        self.keys.sign(&claims).unwrap()
    }

    pub(crate) fn user(&self, subject: &str) -> String {
        self.sign(json!({ "role": "authenticated", "sub": subject }))
    }

    /// Runs SQL as the superuser and returns the first column of the first row, as text.
    pub(crate) async fn sql(&self, sql: &str) -> String {
        let mut connection = self.database.admin().await;
        let results = connection.simple_query(sql).await.unwrap();
        let row = results.iter().rev().find_map(|result| result.rows.first());
        row.and_then(|row| row.text(0).map(str::to_owned)).unwrap_or_default()
    }

    /// How many files there are below the folder of blobs, once the sweeper has had time for what it was handed.
    pub(crate) async fn blobs(&self, expected: usize) -> usize {
        let mut count = 0;
        for _ in 0..200 {
            count = files(&self.folder.path().join("blobs"));
            if count == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        count
    }
}

fn files(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

pub(crate) struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    sized: bool,
    announced: bool,
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn bearer(self, token: impl AsRef<str>) -> Self {
        let value = format!("Bearer {}", token.as_ref());
        self.header("authorization", &value)
    }

    /// In the name of the service role.
    pub(crate) fn admin(self, service: &Service) -> Self {
        self.bearer(service.sign(json!({ "role": "service_role" })))
    }

    /// In the name of nobody, by the anonymous key.
    pub(crate) fn anon(self, service: &Service) -> Self {
        self.bearer(service.sign(json!({ "role": "anon" })))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Says nothing about a body at all.
    pub(crate) fn bare(mut self) -> Self {
        self.announced = false;
        self
    }

    /// Sends the body in chunks, without saying how long it is.
    pub(crate) fn chunked(mut self) -> Self {
        self.sized = false;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.announced {
            (text + "\r\n").into_bytes()
        } else if self.sized {
            text += &format!("content-length: {}\r\n\r\n", self.body.len());
            [text.as_bytes(), &self.body].concat()
        } else {
            text += "transfer-encoding: chunked\r\n\r\n";
            let mut bytes = text.into_bytes();
            for chunk in self.body.chunks(64 << 10) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            bytes
        }
    }

    pub(crate) async fn send(self) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&self.bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answer::parse(&answer)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: bytes[at + 4..].to_vec() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Status on the wire, then `statusCode`, `error` and `message` of the body.
    pub(crate) fn refusal(&self) -> (u16, String, String, String) {
        let body = self.json();
        let member = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (self.status, member("statusCode"), member("error"), member("message"))
    }
}

/// What [`Answer::refusal`] is compared with.
pub(crate) fn refused(status: u16, code: &str, error: &str, message: &str) -> (u16, String, String, String) {
    (status, code.to_owned(), error.to_owned(), message.to_owned())
}

pub(crate) fn row_security() -> (u16, String, String, String) {
    refused(400, "403", "Unauthorized", "new row violates row-level security policy")
}

pub(crate) fn no_object() -> (u16, String, String, String) {
    refused(400, "404", "not_found", "Object not found")
}
