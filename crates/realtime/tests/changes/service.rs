//! The service on a throw-away database, and clients of it over real sockets.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use database::{ConnectConfig, Connection, Pool, PoolConfig};
use futures_util::{SinkExt, StreamExt};
use realtime::changes::Upkeep;
use realtime::{Config, Realtime, Surroundings};
use serde_json::{Value, json};
use tokens::{KeyRing, KeySet};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running service.
pub struct Service {
    realtime: Realtime,
    pub address: std::net::SocketAddr,
    server: JoinHandle<()>,
    ring: KeyRing,
}

impl Service {
    /// Starts on the database that `login` (a superuser) leads to.
    pub async fn start(login: ConnectConfig) -> Service {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let ring = KeyRing::new(KeySet::from_secret(SECRET).unwrap());
        // Slots belong to the whole cluster, which tests share.
        let slot_suffix = format!("{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Clients of tests say nothing while they wait for each other.
        let idle_timeout = Duration::from_secs(600);
        let config = Config { slot_suffix, idle_timeout, ..Config::default() };
        let evaluation = login.clone().with_user("authenticator").with_password(Some(testkit::PASSWORD));
        let pool = Pool::new(login.clone(), PoolConfig { max_size: 4, ..PoolConfig::default() });
        let realtime = Realtime::start(
            config,
            Surroundings {
                pool,
                authorization: Pool::new(evaluation.clone(), PoolConfig::default()),
                replication: login,
                evaluation,
                ring: ring.clone(),
                management: realtime::http::Management::default(),
                upkeep: Upkeep { prepare: bootstrap::REALTIME_UPKEEP, expire: bootstrap::REALTIME_EXPIRY },
            },
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = realtime.router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Service { realtime, address, server, ring }
    }

    pub fn token(&self, mut claims: Value) -> String {
        claims["exp"] = json!(4_102_444_800u64);
        self.ring.sign(&claims).unwrap()
    }

    /// A client whose token has these claims.
    pub async fn client(&self, claims: Value) -> Client {
        let token = self.token(claims);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}/socket/websocket?vsn=2.0.0&apikey={token}", self.address);
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Client { socket, waiting: VecDeque::new(), refs: 0 }
    }

    pub async fn stop(self) {
        self.realtime.stop().await;
        self.server.abort();
    }
}

/// One socket.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    /// What arrived while something else was waited for.
    waiting: VecDeque<[Value; 5]>,
    refs: u32,
}

impl Client {
    pub async fn send(&mut self, topic: &str, event: &str, payload: Value) -> String {
        self.refs += 1;
        let reference = self.refs.to_string();
        let text = json!([reference, reference, topic, event, payload]).to_string();
        self.socket.send(Message::text(text)).await.unwrap();
        reference
    }

    async fn receive(&mut self) -> [Value; 5] {
        loop {
            match self.socket.next().await.expect("the socket is open").unwrap() {
                Message::Text(text) => {
                    if let Ok(message) = serde_json::from_str::<[Value; 5]>(&text) {
                        return message;
                    }
                    panic!("not a message: {text}");
                }
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The payload of the first message that `wanted` accepts; others wait.
    pub async fn find(&mut self, what: &str, wanted: impl Fn(&str, &str, &Value) -> bool) -> Value {
        let accepts = |message: &[Value; 5]| {
            wanted(message[2].as_str().unwrap_or(""), message[3].as_str().unwrap_or(""), &message[4])
        };
        if let Some(at) = self.waiting.iter().position(accepts) {
            return self.waiting.remove(at).unwrap()[4].take();
        }
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut message = self.receive().await;
                if accepts(&message) {
                    return message[4].take();
                }
                self.waiting.push_back(message);
            }
        });
        match found.await {
            Ok(payload) => payload,
            Err(_) => panic!("no {what}; instead: {:?}", self.waiting),
        }
    }

    /// Joins a channel with these entries of `postgres_changes`; the ids it is told.
    pub async fn join(&mut self, topic: &str, entries: Value) -> Vec<Value> {
        let config = json!({"config": {"postgres_changes": entries, "presence": {"enabled": false}}});
        let topic = format!("realtime:{topic}");
        self.send(&topic, "phx_join", config).await;
        let reply = self.find("reply to the join", |to, event, _| to == topic && event == "phx_reply").await;
        assert_eq!(reply["status"], "ok", "{reply}");
        reply["response"]["postgres_changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["id"].clone())
            .collect()
    }

    /// The next system message: its status and text.
    pub async fn system(&mut self) -> (String, String) {
        let payload = self.find("system message", |_, event, _| event == "system").await;
        let text = |name: &str| payload[name].as_str().unwrap().to_owned();
        (text("status"), text("message"))
    }

    /// Joins, and waits until the subscription is active.
    pub async fn listen(&mut self, topic: &str, entries: Value) -> Vec<Value> {
        let ids = self.join(topic, entries).await;
        assert_eq!(self.system().await, ("ok".to_owned(), "Subscribed to PostgreSQL".to_owned()));
        ids
    }

    /// The next change, without its time.
    pub async fn change(&mut self) -> Value {
        let mut payload = self.find("change", |_, event, _| event == "postgres_changes").await;
        let time = payload["data"].as_object_mut().unwrap().remove("commit_timestamp").unwrap();
        if let Some(time) = time.as_str() {
            assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        }
        payload
    }

    /// All changes up to the row of `table` (`last`), which everybody sees.
    pub async fn changes_until(&mut self, last: &str) -> Vec<Value> {
        let mut changes = Vec::new();
        loop {
            let change = self.change().await;
            if change["data"]["table"] == last {
                return changes;
            }
            changes.push(change);
        }
    }
}

/// Runs SQL that has to succeed.
pub async fn run(connection: &mut Connection, sql: &str) {
    connection.simple_query(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

/// A table by which a client knows that it has heard of everything before.
pub const MARK: &str = "create table public.mark (id serial primary key); grant all on public.mark to anon, authenticated; \
    alter publication supabase_realtime add table public.mark;";

/// The entries for tables without any filter, [`MARK`] with them.
pub fn tables(names: &[&str]) -> Value {
    names
        .iter()
        .chain(&["mark"])
        .map(|name| json!({"event": "*", "schema": "public", "table": name}))
        .collect()
}

pub fn authenticated(subject: &str) -> Value {
    json!({"role": "authenticated", "sub": subject})
}
