//! Two nodes that share a Redis.

use std::time::Duration;

use realtime::Config;
use serde_json::json;
use testkit::Redis;

use crate::client::Socket;
use crate::service::{Service, http, node};

const TOPIC: &str = "realtime:room";

pub(crate) fn on(redis: &Redis) -> Config {
    Config { redis_url: Some(redis.url()), ..Config::default() }
}

async fn joined(address: std::net::SocketAddr, token: &str, key: &str) -> Socket {
    let mut socket = Socket::connect(address, "2.0.0", token).await.unwrap();
    socket.join(TOPIC, json!({ "presence": { "key": key } })).await;
    socket
}

#[tokio::test]
async fn messages_and_presences_reach_every_node() {
    let redis = Redis::start().await;
    let first = Service::with(on(&redis)).await;
    let (second, address, _) = node(&first.database, on(&redis)).await;
    let token = first.token("anon");
    let mut here = joined(first.address, &token, "here").await;
    assert_eq!(here.json().await[3], "presence_state");
    let mut there = joined(address, &token, "there").await;
    assert_eq!(there.json().await[4], json!({}));
    // The nodes may need a moment to find each other.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let hello = json!({ "type": "broadcast", "event": "hello", "payload": { "n": 1 } });
    here.send("1", "2", TOPIC, "broadcast", hello.clone()).await;
    assert_eq!(there.json().await, json!([null, null, TOPIC, "broadcast", hello]));

    there.send("1", "2", TOPIC, "presence", json!({ "event": "track", "payload": { "n": 2 } })).await;
    let diff = here.json().await;
    assert_eq!(diff[4]["joins"]["there"]["metas"][0]["n"], 2);
    let mut late = joined(first.address, &token, "late").await;
    let state = late.json().await;
    assert_eq!(state[4]["there"]["metas"][0], diff[4]["joins"]["there"]["metas"][0]);

    // A third node learns who was present before it.
    let (_third, address, _) = node(&first.database, on(&redis)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut newcomer = joined(address, &token, "newcomer").await;
    assert_eq!(newcomer.json().await[4]["there"]["metas"][0]["n"], 2);

    second.stop().await;
    assert_eq!(here.json().await[4]["leaves"]["there"]["metas"][0]["n"], 2);
    assert_eq!(newcomer.json().await[4]["leaves"]["there"]["metas"][0]["n"], 2);
}

/// Waits until a query about the database says `t`.
pub(crate) async fn until(admin: &mut database::Connection, sql: &str) {
    for _ in 0..400 {
        if admin.simple_query(sql).await.unwrap()[0].scalar() == Some("t") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came true: {sql}");
}

#[tokio::test]
async fn what_the_database_sends_is_read_by_one_node_and_heard_on_all() {
    const READS: &str = "select count(*) = 1 from pg_replication_slots where active and confirmed_flush_lsn is not null \
        and database = current_database() \
        and slot_name like 'supabase_realtime_replication_slot%'";
    const SEND: &str = "select realtime.send('{\"id\": 1}', 'hello', 'room', false)";
    let redis = Redis::start().await;
    let first = Service::with(on(&redis)).await;
    let (_second, address, _) = node(&first.database, on(&redis)).await;
    let token = first.token("anon");
    let mut here = Socket::connect(first.address, "2.0.0", &token).await.unwrap();
    here.join("realtime:room", json!({ "presence": { "enabled": false } })).await;
    let mut there = Socket::connect(address, "2.0.0", &token).await.unwrap();
    there.join("realtime:room", json!({ "presence": { "enabled": false } })).await;
    let mut admin = first.database.admin().await;
    for round in 1..=2 {
        until(&mut admin, READS).await;
        // The other node asks for the lock meanwhile.
        tokio::time::sleep(Duration::from_secs(3)).await;
        until(&mut admin, READS).await;
        // Were it read twice, the second message of a round would be the first once more.
        for _ in 0..2 {
            admin.simple_query(SEND).await.unwrap();
            let (one, other) = (here.json().await, there.json().await);
            assert_eq!(
                (&one[3], &one[4]["payload"]),
                (&json!("broadcast"), &json!({"id": 1})),
                "round {round}"
            );
            assert_eq!(one, other);
            assert_ne!(one[4]["meta"]["id"], json!(null));
        }
        // Whoever reads is lost: somebody takes over.
        let kill = "select pg_terminate_backend(active_pid) from pg_replication_slots \
            where slot_name like 'supabase_realtime_replication_slot%' and database = current_database()";
        admin.simple_query(kill).await.unwrap();
    }
}

#[tokio::test]
async fn table_changes_are_read_once_and_judged_where_the_subscriber_is() {
    const ONE_READER: &str =
        "select count(*) = 1 from pg_replication_slots where active and database = current_database()";
    let redis = Redis::start().await;
    let first = Service::with(on(&redis)).await;
    first
        .sql(
            "create table public.note (id serial primary key, owner text); alter table public.note enable row level security; \
             create policy own on public.note for select using (auth.jwt() ->> 'sub' = owner); \
             grant all on public.note to authenticated; alter publication supabase_realtime add table public.note",
        )
        .await;
    let (second, address, _) = node(&first.database, on(&redis)).await;
    let mut admin = first.database.admin().await;
    let entries = json!([{ "event": "*", "schema": "public", "table": "note" }]);
    let mut sockets = Vec::new();
    for (subject, address) in [("1", first.address), ("2", address), ("3", address)] {
        let token = first.token_for("authenticated", 3600, json!({ "sub": subject }));
        let mut socket = Socket::connect(address, "2.0.0", &token).await.unwrap();
        socket.join_quietly(TOPIC, json!({ "postgres_changes": entries })).await;
        assert_eq!(socket.json().await[4]["message"], "Subscribed to PostgreSQL");
        sockets.push(socket);
    }
    until(&mut admin, ONE_READER).await;
    for round in 0..2 {
        admin
            .simple_query(
                "insert into public.note (owner) select (g % 3 + 1)::text from generate_series(1, 300) g",
            )
            .await
            .unwrap();
        for (number, socket) in sockets.iter_mut().enumerate() {
            let mut last = 0;
            for _ in 0..100 {
                let change = socket.json().await;
                let record = &change[4]["data"]["record"];
                assert_eq!(record["owner"], (number + 1).to_string());
                assert!(record["id"].as_i64().unwrap() > last, "in their order");
                last = record["id"].as_i64().unwrap();
            }
        }
        if round == 0 {
            // The reader is lost: whoever follows says so, and somebody takes over.
            let kill = "select pg_terminate_backend(active_pid) from pg_replication_slots \
                where active and database = current_database()";
            admin.simple_query(kill).await.unwrap();
            for socket in &mut sockets {
                assert_eq!(socket.json().await[4]["message"], "Subscribed to PostgreSQL");
            }
            until(&mut admin, ONE_READER).await;
        }
    }
    // An orderly end is followed by the other node at once.
    second.stop().await;
    let socket = &mut sockets[0];
    until(&mut admin, ONE_READER).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    until(&mut admin, ONE_READER).await;
    admin.simple_query("insert into public.note (owner) values ('1')").await.unwrap();
    let mut message = socket.json().await;
    while message[3] == "system" {
        message = socket.json().await;
    }
    assert_eq!(message[4]["data"]["record"]["owner"], "1");
}

#[tokio::test]
async fn limits_of_the_tenant_hold_on_every_node() {
    let redis = Redis::start().await;
    let first = Service::with(on(&redis)).await;
    let (_second, address, _) = node(&first.database, on(&redis)).await;
    let token = first.token("anon");
    let mut there = Socket::connect(address, "2.0.0", &token).await.unwrap();
    there.join_quietly(TOPIC, json!({})).await;
    // The nodes may need a moment to find each other.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let bearer = format!("Bearer {}", first.token("service_role"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let path = "/api/tenants/realtime-dev";
    let tenant = json!({ "tenant": { "max_channels_per_client": 1 } }).to_string();
    assert_eq!(http(first.address, "PUT", path, &headers, tenant.as_bytes()).await.0, 201);
    for attempt in 0.. {
        let topic = format!("realtime:other{attempt}");
        there
            .send("1", "1", &topic, "phx_join", json!({ "config": { "presence": { "enabled": false } } }))
            .await;
        let answer = there.json().await;
        if answer[4]["response"]["reason"] == "ChannelRateLimitReached: Too many channels" {
            break;
        }
        assert!(attempt < 50, "{answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(http(first.address, "POST", &format!("{path}/reload"), &headers, b"").await.0, 204);
    assert_eq!(there.json().await[4]["message"], "Server requested disconnect");
}
