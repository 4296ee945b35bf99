//! A node that is killed: it runs in a process of its own, this very program started once more.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use realtime::Config;
use serde_json::{Value, json};
use testkit::{Redis, TestDatabase};

use crate::client::Socket;
use crate::nodes::{on, until};
use crate::service::{Service, node_on};

const TOPIC: &str = "realtime:room";
const REDIS: &str = "NODE_REDIS";
const FOLDER: &str = "NODE_FOLDER";
const DATABASE: &str = "NODE_DATABASE";

/// Within this, presences of a node that was killed are gone (ten seconds of silence, looked at every two).
const STATED: Duration = Duration::from_secs(13);

/// Not a test: the other node.
#[tokio::test]
#[ignore = "started by other tests"]
#[expect(clippy::print_stdout, reason = "whoever started it reads where it listens")]
async fn node_process() {
    let value = |name| std::env::var(name).unwrap();
    let config = Config { redis_url: Some(value(REDIS)), ..Config::default() };
    let login = |user: &str| {
        let url = format!("postgresql://{user}@/{}?host={}", value(DATABASE), value(FOLDER));
        url.parse::<database::ConnectConfig>().unwrap()
    };
    let (_realtime, address, _) = node_on(&login, config).await;
    println!("listening on {address}");
    std::future::pending::<()>().await;
}

struct Node {
    process: Child,
    address: std::net::SocketAddr,
}

impl Node {
    fn start(redis: &Redis, database: &TestDatabase) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::node_process", "--ignored", "--nocapture"])
            .env(REDIS, redis.url())
            .env(FOLDER, database.cluster().socket_folder())
            .env(DATABASE, database.name())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening on ").map(|(_, address)| address.parse().unwrap()));
        Self { process, address: address.expect("the node starts") }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The next message of this event.
async fn event(socket: &mut Socket, wanted: &str) -> Value {
    loop {
        let mut message = socket.json().await;
        if message[3] == wanted {
            return message[4].take();
        }
    }
}

#[tokio::test]
async fn a_killed_node_loses_its_presences_and_its_part_of_reader() {
    let redis = Redis::start().await;
    let first = Service::with(on(&redis)).await;
    first
        .sql(
            "create table public.item (id serial primary key); grant all on public.item to anon; \
             alter publication supabase_realtime add table public.item",
        )
        .await;
    let mut admin = first.database.admin().await;
    let mut other = Node::start(&redis, &first.database);
    let token = first.token("anon");
    let entries = json!([{ "event": "*", "schema": "public", "table": "item" }]);
    let config = |key: &str| json!({ "postgres_changes": entries, "presence": { "key": key } });

    // The node to be killed reads: it was the first with a channel.
    let mut there = Socket::connect(other.address, "2.0.0", &token).await.unwrap();
    there.join(TOPIC, config("there")).await;
    assert_eq!(event(&mut there, "system").await["message"], "Subscribed to PostgreSQL");
    until(&mut admin, ONE_READER).await;
    let mut here = Socket::connect(first.address, "2.0.0", &token).await.unwrap();
    here.join(TOPIC, config("here")).await;
    assert_eq!(event(&mut here, "system").await["message"], "Subscribed to PostgreSQL");
    until(&mut admin, ONE_READER).await;
    there.send("1", "2", TOPIC, "presence", json!({ "event": "track", "payload": { "n": 1 } })).await;
    assert_eq!(event(&mut here, "presence_diff").await["joins"]["there"]["metas"][0]["n"], 1);
    admin.simple_query("insert into public.item default values").await.unwrap();
    for socket in [&mut here, &mut there] {
        assert_eq!(event(socket, "postgres_changes").await["data"]["record"], json!({ "id": 1 }));
    }

    other.kill();
    let killed = Instant::now();
    // Both happen, in whichever order.
    let (mut left, mut subscribed) = (false, false);
    while !(left && subscribed) {
        let beat = json!([null, "9", "phoenix", "heartbeat", {}]);
        here.text(beat.to_string()).await;
        let mut message = here.json().await;
        match message[3].as_str() {
            Some("presence_diff") => {
                assert_eq!(message[4]["leaves"]["there"]["metas"][0]["n"].take(), json!(1));
                left = true;
            }
            Some("system") => {
                assert_eq!(message[4]["message"].take(), "Subscribed to PostgreSQL");
                subscribed = true;
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        assert!(killed.elapsed() < STATED, "left {left}, subscribed {subscribed}");
    }
    until(&mut admin, ONE_READER).await;
    admin.simple_query("insert into public.item default values").await.unwrap();
    assert_eq!(event(&mut here, "postgres_changes").await["data"]["record"], json!({ "id": 2 }));
}

/// Exactly one slot is read.
const ONE_READER: &str =
    "select count(*) = 1 from pg_replication_slots where active and database = current_database()";
