//! A service of one's own for each test.

use std::net::SocketAddr;

use database::{ConnectConfig, Pool, PoolConfig};
use realtime::http::Management;
use realtime::{Config, Realtime, Surroundings};
use serde_json::{Value, json};
use testkit::TestDatabase;
use tokens::{KeyRing, KeySet};
use tokio::net::TcpListener;

use crate::client::Socket;

pub(crate) const SECRET: &str = "a secret for tests that is long enough";

pub(crate) struct Service {
    pub(crate) database: TestDatabase,
    pub(crate) realtime: Realtime,
    pub(crate) address: SocketAddr,
    pub(crate) ring: KeyRing,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let database = testkit::database().await;
        let mut admin = database.admin().await;
        // What the service would do a moment after its start: policies are asked with rows of today.
        admin.simple_query(bootstrap::REALTIME_UPKEEP).await.unwrap();
        Self::on(database, config).await
    }

    async fn on(database: TestDatabase, config: Config) -> Self {
        let (realtime, address, ring) = node(&database, config).await;
        Self { database, realtime, address, ring }
    }

    /// A token of this role that lasts for `seconds`.
    pub(crate) fn token_for(&self, role: &str, seconds: i64, more: Value) -> String {
        sign(&self.ring, role, seconds, more)
    }

    pub(crate) fn token(&self, role: &str) -> String {
        self.token_for(role, 3600, json!({}))
    }

    pub(crate) async fn socket(&self, vsn: &str) -> Socket {
        Socket::connect(self.address, vsn, &self.token("anon")).await.unwrap()
    }

    pub(crate) async fn socket_as(&self, vsn: &str, token: &str) -> Socket {
        Socket::connect(self.address, vsn, token).await.unwrap()
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.database.admin().await.simple_query(sql).await.unwrap();
    }
}

pub(crate) fn sign(ring: &KeyRing, role: &str, seconds: i64, more: Value) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut claims = json!({ "role": role, "exp": now + seconds });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ring.sign(&claims).unwrap()
}

/// One more service on the same database.
pub(crate) async fn node(database: &TestDatabase, config: Config) -> (Realtime, SocketAddr, KeyRing) {
    node_on(&|user| database.config(user), config).await
}

/// A service on the database to which `login` leads a role.
pub(crate) async fn node_on(
    login: &dyn Fn(&str) -> ConnectConfig,
    config: Config,
) -> (Realtime, SocketAddr, KeyRing) {
    let pool = |user| Pool::new(login(user), PoolConfig { max_size: 4, ..PoolConfig::default() });
    // As Realtime takes its tenant's secret.
    let ring = KeyRing::new(KeySet::from_secret(SECRET).unwrap()).for_any_hmac();
    let realtime = Realtime::start(
        config,
        Surroundings {
            pool: pool("supabase_admin"),
            authorization: pool("authenticator"),
            replication: login("supabase_admin"),
            evaluation: login("authenticator"),
            ring: ring.clone(),
            management: Management { api: Some(ring.clone()), ..Management::default() },
            upkeep: realtime::changes::Upkeep {
                prepare: bootstrap::REALTIME_UPKEEP,
                expire: bootstrap::REALTIME_EXPIRY,
            },
        },
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = realtime.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (realtime, address, ring)
}

/// An HTTP request: the status and the body.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, String) {
    let (head, body) = ask(address, method, path, headers, body).await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// An HTTP request, by hand: the head of the answer and its body.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
