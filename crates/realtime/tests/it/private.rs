use serde_json::{Value, json};

use crate::client::Socket;
use crate::service::{Service, http, node_on, sign};

const TOPIC: &str = "realtime:room";

const READ: &str = "create policy read on realtime.messages for select to authenticated
    using (realtime.topic() = 'room' and extension in ('broadcast', 'presence'))";
const WRITE: &str = "create policy write on realtime.messages for insert to authenticated
    with check (realtime.topic() = 'room' and extension in ('broadcast', 'presence'))";

async fn join(service: &Service, topic: &str, config: Value) -> (Socket, Value) {
    let mut socket = service.socket_as("2.0.0", &service.token("authenticated")).await;
    let mut config = config;
    config["private"] = json!(true);
    config["presence"]["enabled"] = json!(true);
    socket.send("1", "1", topic, "phx_join", json!({ "config": config })).await;
    let answer = socket.json().await;
    (socket, answer[4].clone())
}

fn denied(topic: &str) -> Value {
    let reason =
        format!("Unauthorized: You do not have permissions to read from this Channel topic: {topic}");
    json!({ "status": "error", "response": { "reason": reason } })
}

fn hello() -> Value {
    json!({ "type": "broadcast", "event": "hello", "payload": {} })
}

#[tokio::test]
async fn nobody_joins_without_a_policy() {
    let service = Service::start().await;
    assert_eq!(join(&service, TOPIC, json!({})).await.1, denied("room"));
    service.sql(READ).await;
    assert_eq!(join(&service, TOPIC, json!({})).await.1["status"], "ok");
    assert_eq!(join(&service, "realtime:other", json!({})).await.1, denied("other"));
}

#[tokio::test]
async fn a_policy_that_raises_lets_nobody_in() {
    let service = Service::start().await;
    service
        .sql("create policy bad on realtime.messages for select to authenticated using (1 / (length(topic) - length(topic)) = 1)")
        .await;
    assert_eq!(join(&service, TOPIC, json!({})).await.1, denied("room"));
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_told_so_vaguely() {
    let service = Service::start().await;
    let mut socket = service.socket_as("2.0.0", &service.token("nobody")).await;
    socket.send("1", "1", TOPIC, "phx_join", json!({ "config": { "private": true } })).await;
    assert_eq!(
        socket.json().await[4]["response"]["reason"],
        "Realtime was unable to connect to the project database"
    );
}

#[tokio::test]
async fn policies_see_claims_headers_and_topic() {
    let service = Service::start().await;
    service
        .sql(
            "create policy read on realtime.messages for select to authenticated using (
                realtime.topic() = 'room' and topic = 'room'
                and current_setting('request.jwt.claims')::json ->> 'team' = 'a'
                and current_setting('request.jwt.claim.sub') = 'me'
                and current_setting('request.jwt.claim.role') = 'authenticated'
                and current_setting('request.headers')::json is not null)",
        )
        .await;
    for (team, status) in [("a", "ok"), ("b", "error")] {
        let token = service.token_for("authenticated", 60, json!({ "sub": "me", "team": team }));
        let mut socket = service.socket_as("2.0.0", &token).await;
        socket.send("1", "1", TOPIC, "phx_join", json!({ "config": { "private": true } })).await;
        assert_eq!(socket.json().await[4]["status"], status);
    }
}

#[tokio::test]
async fn whoever_may_only_read_is_not_heard_and_not_answered() {
    let service = Service::start().await;
    service.sql(READ).await;
    let (mut reader, _) = join(&service, TOPIC, json!({})).await;
    let (mut sender, _) = join(&service, TOPIC, json!({ "broadcast": { "ack": true } })).await;
    reader.json().await;
    sender.json().await;
    sender.send("1", "2", TOPIC, "broadcast", hello()).await;
    sender.send("1", "3", TOPIC, "presence", json!({ "event": "track", "payload": {} })).await;
    assert_eq!(
        sender.json().await,
        json!(["1", "3", TOPIC, "phx_reply", { "status": "error", "response": {} }])
    );
    reader.silent().await;
}

#[tokio::test]
async fn private_and_public_topics_of_one_name_are_two() {
    let service = Service::start().await;
    service.sql(READ).await;
    service.sql(WRITE).await;
    let (mut private, _) = join(&service, TOPIC, json!({})).await;
    let (mut sender, _) = join(&service, TOPIC, json!({ "broadcast": { "ack": true } })).await;
    private.json().await;
    sender.json().await;
    let mut public = service.socket("2.0.0").await;
    public.join_quietly(TOPIC, json!({})).await;
    sender.send("1", "2", TOPIC, "broadcast", hello()).await;
    assert_eq!(sender.json().await[4], json!({ "status": "ok", "response": {} }));
    assert_eq!(private.json().await, json!([null, null, TOPIC, "broadcast", hello()]));
    public.silent().await;
    sender.send("1", "3", TOPIC, "presence", json!({ "event": "track", "payload": {} })).await;
    assert_eq!(private.json().await[3], "presence_diff");
}

#[tokio::test]
async fn presence_may_be_hidden() {
    let service = Service::start().await;
    service
        .sql("create policy read on realtime.messages for select to authenticated using (extension = 'broadcast')")
        .await;
    let (mut socket, answer) = join(&service, TOPIC, json!({})).await;
    assert_eq!(answer["status"], "ok");
    socket.silent().await;
}

#[tokio::test]
async fn http_broadcasts_ask_the_policies_too() {
    let service = Service::start().await;
    service.sql(READ).await;
    let (mut socket, _) = join(&service, TOPIC, json!({})).await;
    socket.json().await;
    let bearer = format!("Bearer {}", service.token("authenticated"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let batch =
        json!({ "messages": [{ "topic": "room", "event": "hello", "payload": {}, "private": true }] });
    let batch = batch.to_string();
    let path = "/api/broadcast/room/events/hello?private=true";
    // Whoever may not is told so by the newer endpoint only.
    assert_eq!(http(service.address, "POST", "/api/broadcast", &headers, batch.as_bytes()).await.0, 202);
    assert_eq!(
        http(service.address, "POST", path, &headers, b"{}").await,
        (403, r#"{"message":"Unauthorized"}"#.to_owned())
    );
    socket.silent().await;
    service.sql(WRITE).await;
    assert_eq!(http(service.address, "POST", "/api/broadcast", &headers, batch.as_bytes()).await.0, 202);
    assert_eq!(socket.json().await[4]["event"], "hello");
    assert_eq!(http(service.address, "POST", path, &headers, b"{}").await.0, 202);
    assert!(socket.next().await.is_binary());
}

#[tokio::test]
async fn messages_of_the_past_come_oldest_first() {
    let service = Service::start().await;
    service.sql(READ).await;
    service
        .sql(
            "insert into realtime.messages (topic, extension, event, payload, private, inserted_at)
            select 'room', 'broadcast', 'e', jsonb_build_object('n', n), true,
                (now() at time zone 'utc') - interval '1 hour' + n * interval '1 second'
            from generate_series(1, 30) n",
        )
        .await;
    let (mut socket, answer) =
        join(&service, TOPIC, json!({ "broadcast": { "replay": { "since": 0, "limit": 3 } } })).await;
    assert_eq!(answer["status"], "ok");
    assert_eq!(socket.json().await[3], "presence_state");
    for n in 28..=30 {
        let message = socket.json().await;
        let id = message[4]["meta"]["id"].clone();
        assert_eq!(
            message,
            json!(["1", null, TOPIC, "broadcast", {
                "type": "broadcast", "event": "e", "payload": { "n": n }, "meta": { "replayed": true, "id": id }
            }])
        );
    }
    let (_, answer) = join(&service, TOPIC, json!({ "broadcast": { "replay": { "since": "x" } } })).await;
    assert_eq!(answer["response"]["reason"], "UnableToReplayMessages: Replay params are not valid");
    let mut public = service.socket("2.0.0").await;
    let config = json!({ "broadcast": { "replay": { "since": 0 } } });
    public.send("1", "1", TOPIC, "phx_join", json!({ "config": config })).await;
    assert_eq!(
        public.json().await[4]["response"]["reason"],
        "UnableToReplayMessages: Replay is not allowed for public channels"
    );
}

#[tokio::test]
async fn a_new_token_is_judged_anew() {
    let service = Service::start().await;
    service.sql(READ).await;
    let (mut socket, _) = join(&service, TOPIC, json!({})).await;
    socket.json().await;
    let same_rights = service.token_for("authenticated", 1800, json!({}));
    socket.send("1", "2", TOPIC, "access_token", json!({ "access_token": same_rights })).await;
    socket.silent().await;
    let none = service.token("anon");
    socket.send("1", "3", TOPIC, "access_token", json!({ "access_token": none })).await;
    assert_eq!(
        socket.json().await,
        json!(["1", null, TOPIC, "system", {
            "extension": "system", "status": "error", "channel": "room",
            "message": "You do not have permissions to read from this Channel topic: room"
        }])
    );
    assert_eq!(socket.json().await, json!(["1", "1", TOPIC, "phx_close", {}]));
}

#[tokio::test]
async fn heartbeats_are_answered_while_policies_are_evaluated() {
    let service = Service::start().await;
    service
        .sql("create policy slow on realtime.messages for select to authenticated using (pg_sleep(1) is not null)")
        .await;
    let mut socket = service.socket_as("2.0.0", &service.token("authenticated")).await;
    let config = json!({ "private": true, "presence": { "enabled": false } });
    socket.send("1", "1", TOPIC, "phx_join", json!({ "config": config })).await;
    socket.send("1", "2", TOPIC, "broadcast", json!("is not lost")).await;
    socket.send("2", "3", "realtime:other", "phx_leave", json!({})).await;
    socket.text(r#"[null,"4","phoenix","heartbeat",{}]"#).await;
    assert_eq!(socket.json().await[1], "4");
    assert_eq!(socket.json().await[1], "1");
    assert_eq!(socket.json().await[1], "3");
}

#[tokio::test]
async fn a_database_without_room_is_told_of() {
    let cluster = testkit::Cluster::bootstrapped(testkit::servers()[0]).await;
    let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
    admin.simple_query("alter role authenticator connection limit 0").await.unwrap();
    let config = realtime::Config::default();
    let (_realtime, address, ring) = node_on(&|user| cluster.config(user, "postgres"), config).await;
    let token = sign(&ring, "authenticated", 60, json!({}));
    let mut socket = Socket::connect(address, "2.0.0", &token).await.unwrap();
    socket.send("1", "1", TOPIC, "phx_join", json!({ "config": { "private": true } })).await;
    assert_eq!(
        socket.json().await[4]["response"]["reason"],
        "DatabaseLackOfConnections: Database can't accept more connections, Realtime won't connect"
    );
}
