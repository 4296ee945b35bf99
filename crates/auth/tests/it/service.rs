//! A running service, and the smallest HTTP client that shows everything of an answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::{Config, Jwt, Mailer, Password, State};
use serde_json::Value;
use testkit::TestDatabase;
use tokens::{KeyRing, KeySet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

pub(crate) struct Service {
    pub(crate) database: Arc<TestDatabase>,
    /// Of a service with its background work.
    pub(crate) running: Option<auth::Service>,
    address: SocketAddr,
    keys: KeyRing,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// As the local stack configures it: addresses confirm themselves.
pub(crate) fn config() -> Config {
    Config {
        jwt: Jwt {
            aud: "authenticated".into(),
            default_group_name: "authenticated".into(),
            ..Jwt::default()
        },
        mailer: Mailer { autoconfirm: true, ..Mailer::default() },
        password: Password { bcrypt_cost: 4, ..Password::default() },
        // Hashing yields to everything else on the machine, other tests and compilers included.
        max_request_duration: Duration::from_secs(60),
        ..Config::default()
    }
}

/// The same with addresses that must be confirmed.
pub(crate) fn config_with_confirmation() -> Config {
    let mut config = config();
    config.mailer.autoconfirm = false;
    config
}

fn keys() -> KeyRing {
    KeyRing::new(KeySet::from_secret(SECRET).unwrap())
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        Self::start_on(testkit::database().await, config).await
    }

    /// A service of its own on a database that others may use, too.
    pub(crate) async fn start_on(database: impl Into<Arc<TestDatabase>>, config: Config) -> Self {
        let database = database.into();
        let pool = database.pool("supabase_auth_admin");
        let state = State::new(config, pool, keys(), None).unwrap();
        Self::listen(database, auth::router(state), None).await
    }

    /// A service that signs with a key of a JSON array of private JWKs.
    pub(crate) async fn start_with_keys(config: Config, keys: &str) -> Self {
        let database = Arc::new(testkit::database().await);
        let ring = KeyRing::new(KeySet::from_signing_keys(keys).unwrap());
        let state = State::new(config, database.pool("supabase_auth_admin"), ring, None).unwrap();
        Self::listen(database, auth::router(state), None).await
    }

    /// Another instance on the same database.
    pub(crate) async fn beside(&self, config: Config) -> Self {
        Self::start_on(self.database.clone(), config).await
    }

    /// A service with its background work.
    pub(crate) async fn start_running(config: Config) -> Self {
        let database = Arc::new(testkit::database().await);
        let pool = database.pool("supabase_auth_admin");
        let running = auth::Service::start(config, pool, keys(), None).unwrap();
        Self::listen(database, running.router(), Some(running)).await
    }

    async fn listen(
        database: Arc<TestDatabase>,
        router: axum::Router,
        running: Option<auth::Service>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { database, running, address, keys: keys(), server }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request {
            address: self.address,
            method: method.into(),
            path: path.into(),
            headers: vec![("host".into(), "auth".into()), ("connection".into(), "close".into())],
            body: String::new(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Request {
        self.request("POST", path).body(body.to_string())
    }

    pub(crate) fn put(&self, path: &str, body: Value) -> Request {
        self.request("PUT", path).body(body.to_string())
    }

    /// A token with the claims of an administrator.
    pub(crate) fn admin(&self) -> String {
        self.sign(serde_json::json!({"role": "service_role"}))
    }

    pub(crate) fn sign(&self, claims: Value) -> String {
        self.keys.sign(&claims).unwrap()
    }

    /// Signs up and returns the answer.
    pub(crate) async fn sign_up(&self, email: &str) -> Value {
        let answer =
            self.post("/signup", serde_json::json!({"email": email, "password": "secret1"})).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Signs in with the password of [`Service::sign_up`].
    pub(crate) async fn sign_in(&self, email: &str) -> Value {
        let body = serde_json::json!({"email": email, "password": "secret1"});
        let answer = self.post("/token?grant_type=password", body).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    pub(crate) async fn refresh(&self, token: &Value) -> Answer {
        let body = serde_json::json!({"refresh_token": token});
        self.post("/token?grant_type=refresh_token", body).send().await
    }

    /// Runs SQL as the superuser and returns the first column of the first row, as text.
    pub(crate) async fn sql(&self, sql: &str) -> String {
        let mut connection = self.database.admin().await;
        let results = connection.simple_query(sql).await.unwrap();
        let row = results.iter().rev().find_map(|result| result.rows.first());
        row.and_then(|row| row.get(0))
            .map(|text| String::from_utf8(text.to_vec()).unwrap())
            .unwrap_or_default()
    }
}

pub(crate) struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
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

    /// Asks for the newer dialect of errors.
    pub(crate) fn newer(self) -> Self {
        self.header("x-supabase-api-version", "2024-01-01")
    }

    pub(crate) fn body(mut self, body: String) -> Self {
        self.body = body;
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body);
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answer::parse(&String::from_utf8(answer).unwrap())
    }
}

/// Asks somebody else.
pub(crate) async fn get_at(address: SocketAddr, path: &str) -> Answer {
    let headers = vec![("host".into(), address.to_string()), ("connection".into(), "close".into())];
    Request { address, method: "GET".into(), path: path.into(), headers, body: String::new() }.send().await
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: HashMap<String, String> = HashMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
            let entry = headers.entry(name.to_lowercase()).or_default();
            if !entry.is_empty() {
                entry.push_str(", ");
            }
            entry.push_str(value);
        }
        Self { status, headers, body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status and body, with everything that differs from run to run replaced.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.status, redact(&self.body))
    }
}

/// A text with its ids, times, tokens and hashes replaced by their kinds.
pub(crate) fn redact(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let end = start + 1 + rest[start + 1..].find('"').unwrap_or(rest.len() - start - 1);
        let word = &rest[start + 1..end];
        shown.push_str(&rest[..=start]);
        shown.push_str(kind(word, &shown).unwrap_or(word));
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('"') {
            shown.push('"');
            rest = after;
        }
        for name in ["expires_at", "exp", "iat", "timestamp"] {
            if word == name
                && let Some(number) = rest.strip_prefix(':')
            {
                shown.push_str(":0");
                rest = number.trim_start_matches(|char: char| char.is_ascii_digit());
            }
        }
    }
    shown + rest
}

fn kind(word: &str, before: &str) -> Option<&'static str> {
    if uuid::Uuid::try_parse(word).is_ok() && word.len() == 36 {
        return Some("[id]");
    }
    if chrono::DateTime::parse_from_rfc3339(word).is_ok() {
        return Some("[time]");
    }
    if word.starts_with("eyJ") && word.matches('.').count() == 2 {
        return Some("[jwt]");
    }
    let hex = |char: char| char.is_ascii_digit() || ('a'..='f').contains(&char);
    if word.len() == 56 && word.chars().all(hex) {
        return Some("[hash]");
    }
    before.ends_with("\"refresh_token\":\"").then_some("[refresh token]")
}
