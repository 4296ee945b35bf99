use std::time::Duration;

use realtime::{Config, Limits, QueueLimits};
use serde_json::json;

use crate::client::Socket;
use crate::service::Service;

const TOPIC: &str = "realtime:room";

async fn limited(limits: Limits) -> Service {
    Service::with(Config { limits, ..Config::default() }).await
}

async fn refusal(socket: &mut Socket, topic: &str) -> String {
    socket.send("1", "1", topic, "phx_join", json!({ "config": {} })).await;
    socket.json().await[4]["response"]["reason"].as_str().unwrap().to_owned()
}

/// Until the next second's count has been taken.
async fn tick() {
    tokio::time::sleep(Duration::from_millis(1300)).await;
}

#[tokio::test]
async fn channels_users_and_privacy_are_limited() {
    let limits = Limits { max_channels_per_client: 1, max_concurrent_users: 1, ..Limits::default() };
    let service = limited(limits).await;
    let mut first = service.socket("2.0.0").await;
    first.join_quietly(TOPIC, json!({})).await;
    assert_eq!(refusal(&mut first, "realtime:b").await, "ChannelRateLimitReached: Too many channels");
    let mut second = service.socket("2.0.0").await;
    assert_eq!(refusal(&mut second, TOPIC).await, "ConnectionRateLimitReached: Too many connected users");
    drop(first.stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    second.join_quietly(TOPIC, json!({})).await;

    let service = Service::with(Config { private_only: true, ..Config::default() }).await;
    let mut socket = service.socket("2.0.0").await;
    assert_eq!(refusal(&mut socket, TOPIC).await, "PrivateOnly: This project only allows private channels");
}

#[tokio::test]
async fn joins_are_limited_by_the_second() {
    let service = limited(Limits { max_joins_per_second: 1, ..Limits::default() }).await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({})).await;
    // The count of a second may be taken while they come, or behind them.
    let mut reason = None;
    for name in 0..5 {
        let quiet = json!({ "config": { "presence": { "enabled": false } } });
        socket.send("1", "1", &format!("realtime:{name}"), "phx_join", quiet).await;
        let answer = socket.json().await;
        reason = reason.or(answer[4]["response"]["reason"].as_str().map(str::to_owned));
    }
    if reason.is_none() {
        tick().await;
        reason = Some(refusal(&mut socket, "realtime:late").await);
    }
    assert_eq!(reason.as_deref(), Some("ClientJoinRateLimitReached: Too many joins per second"));
}

#[tokio::test]
async fn whoever_receives_while_too_much_is_sent_is_closed() {
    let service = limited(Limits { max_events_per_second: 2, ..Limits::default() }).await;
    let (mut sender, mut receiver) = (service.socket("2.0.0").await, service.socket("2.0.0").await);
    sender.join_quietly(TOPIC, json!({})).await;
    receiver.join_quietly(TOPIC, json!({})).await;
    let hello = json!({ "type": "broadcast", "event": "e", "payload": {} });
    for _ in 0..10 {
        sender.send("1", "2", TOPIC, "broadcast", hello.clone()).await;
        receiver.json().await;
    }
    tick().await;
    sender.send("1", "2", TOPIC, "broadcast", hello).await;
    assert_eq!(
        receiver.json().await,
        json!(["1", null, TOPIC, "system", {
            "extension": "system", "status": "error", "channel": "room",
            "message": "Too many messages per second"
        }])
    );
    assert_eq!(receiver.json().await, json!(["1", "1", TOPIC, "phx_close", {}]));
    sender.silent().await;
}

#[tokio::test]
async fn too_much_presence_closes_whoever_tells() {
    let service = limited(Limits { max_presence_events_per_second: 1, ..Limits::default() }).await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({})).await;
    for _ in 0..4 {
        socket.send("1", "2", TOPIC, "presence", json!({ "event": "untrack" })).await;
        socket.json().await;
    }
    tick().await;
    socket.send("1", "3", TOPIC, "presence", json!({ "event": "untrack" })).await;
    assert_eq!(socket.json().await[4]["message"], "Too many presence messages per second");
    assert_eq!(socket.json().await, json!(["1", "1", TOPIC, "phx_close", {}]));
}

#[tokio::test]
async fn idle_sockets_are_closed() {
    let idle = Config { idle_timeout: Duration::from_millis(500), ..Config::default() };
    let service = Service::with(idle).await;
    let mut quiet = service.socket("2.0.0").await;
    assert_eq!(u16::from(quiet.closed().await.unwrap().code), 1000);
    let left = Config { no_channel_timeout: Duration::from_millis(500), ..Config::default() };
    let service = Service::with(left).await;
    let mut never_joined = service.socket("2.0.0").await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({})).await;
    socket.send("1", "2", TOPIC, "phx_leave", json!({})).await;
    assert_eq!(u16::from(socket.closed().await.unwrap().code), 1000);
    never_joined.silent().await;
}

#[tokio::test]
async fn messages_and_headers_have_a_longest() {
    let service = limited(Limits { max_message_size: 1000, ..Limits::default() }).await;
    let mut socket = service.socket("2.0.0").await;
    socket.text("x".repeat(2000)).await;
    socket.closed().await;
    let long = format!("/socket/websocket?vsn=2.0.0&apikey={}", service.token("anon"));
    assert!(Socket::connect_to(service.address, &long).await.is_ok());
}

#[tokio::test]
async fn a_slow_reader_is_closed_and_delays_nobody() {
    let queue = QueueLimits { messages: 64, bytes: 1 << 20 };
    let service = Service::with(Config { queue, ..Config::default() }).await;
    let (mut sender, mut slow, mut quick) =
        (service.socket("2.0.0").await, service.socket("2.0.0").await, service.socket("2.0.0").await);
    for socket in [&mut sender, &mut slow, &mut quick] {
        socket.join_quietly(TOPIC, json!({})).await;
    }
    let big = json!({ "type": "broadcast", "event": "e", "payload": { "text": "x".repeat(100_000) } });
    for _ in 0..200 {
        sender.send("1", "2", TOPIC, "broadcast", big.clone()).await;
        assert_eq!(quick.json().await[3], "broadcast");
    }
    // What was already under way arrives, and then the reason.
    let frame = slow.closed().await;
    if let Some(frame) = frame {
        assert_eq!(
            (u16::from(frame.code), frame.reason.as_str()),
            (1008, "slow reader: too many messages waiting")
        );
    }
    quick.silent().await;
}
