use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::service::{Service, http};

const TOPIC: &str = "realtime:room";

fn hello() -> Value {
    json!({ "type": "broadcast", "event": "hello", "payload": { "n": 1 } })
}

/// A broadcast in a binary frame.
fn push(
    join_ref: &str,
    reference: &str,
    event: &str,
    metadata: &str,
    encoding: u8,
    payload: &[u8],
) -> Vec<u8> {
    let parts = [join_ref, reference, TOPIC, event, metadata];
    let mut frame = vec![3];
    frame.extend(parts.iter().map(|part| part.len() as u8));
    frame.push(encoding);
    parts.iter().for_each(|part| frame.extend(part.as_bytes()));
    frame.extend(payload);
    frame
}

fn user_broadcast(event: &str, metadata: &str, encoding: u8, payload: &[u8]) -> Message {
    let mut frame = vec![4, TOPIC.len() as u8, event.len() as u8, metadata.len() as u8, encoding];
    frame.extend([TOPIC, event, metadata].concat().as_bytes());
    frame.extend(payload);
    Message::binary(frame)
}

#[tokio::test]
async fn everybody_else_hears_it_and_nobody_answers() {
    let service = Service::start().await;
    let (mut sender, mut v1, mut v2) =
        (service.socket("2.0.0").await, service.socket("1.0.0").await, service.socket("2.0.0").await);
    for socket in [&mut sender, &mut v1, &mut v2] {
        socket.join_quietly(TOPIC, json!({})).await;
    }
    sender.send("1", "2", TOPIC, "broadcast", hello()).await;
    assert_eq!(
        v1.json().await,
        json!({ "topic": TOPIC, "event": "broadcast", "payload": hello(), "ref": null })
    );
    assert_eq!(v2.json().await, json!([null, null, TOPIC, "broadcast", hello()]));
    sender.silent().await;
}

#[tokio::test]
async fn a_channel_may_hear_itself_and_be_told_that_it_was_heard() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({ "broadcast": { "self": true, "ack": true } })).await;
    socket.send("1", "2", TOPIC, "broadcast", hello()).await;
    assert_eq!(socket.json().await, json!([null, null, TOPIC, "broadcast", hello()]));
    assert_eq!(
        socket.json().await,
        json!(["1", "2", TOPIC, "phx_reply", { "status": "ok", "response": {} }])
    );
}

#[tokio::test]
async fn payloads_pass_as_they_were_written() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({ "broadcast": { "self": true } })).await;
    let payload = r#"{"z":9007199254740993, "a" : 1.10,"é":"\u00e9"}"#;
    socket.text(format!(r#"["1","2","{TOPIC}","broadcast",{payload}]"#)).await;
    let expected = format!(r#"[null,null,"{TOPIC}","broadcast",{payload}]"#);
    assert_eq!(socket.next().await, Message::text(expected));
    // What is no object is no broadcast.
    socket.send("1", "3", TOPIC, "broadcast", json!("text")).await;
    socket.silent().await;
}

#[tokio::test]
async fn binary_broadcasts_reach_both_versions_where_they_can() {
    let service = Service::start().await;
    let (mut sender, mut v1, mut v2) =
        (service.socket("2.0.0").await, service.socket("1.0.0").await, service.socket("2.0.0").await);
    sender.join_quietly(TOPIC, json!({ "broadcast": { "ack": true } })).await;
    v1.join_quietly(TOPIC, json!({})).await;
    v2.join_quietly(TOPIC, json!({})).await;

    sender.binary(push("1", "2", "json", "", 1, br#"{"a": [1]}"#)).await;
    assert_eq!(
        sender.json().await,
        json!(["1", "2", TOPIC, "phx_reply", { "status": "ok", "response": {} }])
    );
    assert_eq!(v2.next().await, user_broadcast("json", "", 1, br#"{"a": [1]}"#));
    let payload = json!({ "type": "broadcast", "event": "json", "payload": { "a": [1] } });
    assert_eq!(
        v1.json().await,
        json!({ "topic": TOPIC, "event": "broadcast", "payload": payload, "ref": null })
    );

    sender.binary(push("1", "3", "bytes", r#"{"m":1}"#, 0, &[0, 255])).await;
    assert_eq!(v2.next().await, user_broadcast("bytes", r#"{"m":1}"#, 0, &[0, 255]));

    sender.binary(push("1", "4", "json", r#"{"m":1}"#, 1, b"7")).await;
    assert_eq!(v2.next().await, user_broadcast("json", r#"{"m":1}"#, 1, b"7"));
    let payload = json!({ "type": "broadcast", "event": "json", "payload": 7, "meta": { "m": 1 } });
    assert_eq!(v1.json().await["payload"], payload);

    // What claims to be JSON and is not would break whoever reads it.
    sender.binary(push("1", "5", "json", "", 1, b"{")).await;
    v2.silent().await;
    v1.silent().await;
}

#[tokio::test]
async fn a_batch_over_http_reaches_the_public_topic() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({})).await;
    let bearer = format!("Bearer {}", service.token("anon"));
    let body = json!({ "messages": [
        { "topic": "room", "event": "hello", "payload": { "n": 1 } },
        { "topic": "room", "event": "hello", "payload": { "n": 1 }, "id": "x" },
        { "topic": "room", "event": "secret", "payload": {}, "private": true },
    ] });
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = http(service.address, "POST", "/api/broadcast", &headers, body.to_string().as_bytes()).await;
    assert_eq!(answer, (202, String::new()));
    assert_eq!(socket.json().await, json!([null, null, TOPIC, "broadcast", hello()]));
    let mut with_id = hello();
    with_id["meta"] = json!({ "id": "x" });
    assert_eq!(socket.json().await, json!([null, null, TOPIC, "broadcast", with_id]));
    socket.silent().await;

    let refused = (401, r#"{"message":"Unauthorized"}"#.to_owned());
    assert_eq!(http(service.address, "POST", "/api/broadcast", &[], b"{}").await, refused);
    let blank = (422, r#"{"errors":{"messages":["can't be blank"]}}"#.to_owned());
    assert_eq!(http(service.address, "POST", "/api/broadcast", &headers, b"{}").await, blank);
}

#[tokio::test]
async fn one_event_over_http_carries_its_payload_as_the_body() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({})).await;
    let key = service.token("anon");
    let path = "/api/broadcast/room/events/hello%20there";
    let send = async |kind: &str, body: &[u8]| {
        http(service.address, "POST", path, &[("apikey", key.as_str()), ("content-type", kind)], body).await
    };
    assert_eq!(send("application/json", b"[1]").await, (202, String::new()));
    assert_eq!(socket.next().await, user_broadcast("hello there", "", 1, b"[1]"));
    assert_eq!(send("application/octet-stream", &[0, 1]).await, (202, String::new()));
    assert_eq!(socket.next().await, user_broadcast("hello there", "", 0, &[0, 1]));
    assert_eq!(
        send("text/plain", b"x").await,
        (
            415,
            r#"{"error":"Unsupported Media Type. Use application/json or application/octet-stream"}"#
                .to_owned()
        )
    );
    for (kind, encoding, payload) in
        [("application/json", 1, &b"{}"[..]), ("application/octet-stream", 0, b"")]
    {
        assert_eq!(send(kind, b"").await, (202, String::new()));
        assert_eq!(socket.next().await, user_broadcast("hello there", "", encoding, payload));
    }
    assert_eq!(
        send("application/octet-stream", &vec![0; 3_000_501]).await,
        (422, r#"{"errors":{"payload":["Payload size exceeds tenant limit"]}}"#.to_owned())
    );
}
