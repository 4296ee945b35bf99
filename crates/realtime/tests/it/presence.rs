use serde_json::{Value, json};

use crate::client::Socket;
use crate::service::Service;

const TOPIC: &str = "realtime:room";

async fn joined(service: &Service, key: &str) -> Socket {
    let mut socket = service.socket("2.0.0").await;
    socket.join(TOPIC, json!({ "presence": { "key": key, "enabled": true } })).await;
    assert_eq!(socket.json().await[3], "presence_state");
    socket
}

/// Tracks, and takes in the answer and the diff.
async fn track(socket: &mut Socket, payload: Value) -> Value {
    socket
        .send(
            "1",
            "2",
            TOPIC,
            "presence",
            json!({ "type": "presence", "event": "track", "payload": payload }),
        )
        .await;
    let diff = socket.json().await;
    let answer = socket.json().await;
    assert_eq!(answer, json!(["1", "2", TOPIC, "phx_reply", { "status": "ok", "response": {} }]));
    assert_eq!((&diff[0], &diff[3]), (&json!("1"), &json!("presence_diff")));
    diff[4].clone()
}

fn reference(meta: &Value) -> &str {
    meta["phx_ref"].as_str().unwrap()
}

#[tokio::test]
async fn who_is_present_is_told_to_all() {
    let service = Service::start().await;
    let mut ann = joined(&service, "ann").await;
    let mut bob = joined(&service, "bob").await;
    let diff = track(&mut ann, json!({ "mood": "good", "phx_ref": "mine" })).await;
    let meta = &diff["joins"]["ann"]["metas"][0];
    assert_eq!(
        diff,
        json!({ "joins": { "ann": { "metas": [
        { "phx_ref": reference(meta), "mood": "good" }
    ] } }, "leaves": {} })
    );
    assert_ne!(reference(meta), "mine");
    assert_eq!(bob.json().await[4], diff);

    let second = track(&mut ann, json!({ "mood": "better" })).await;
    let new = &second["joins"]["ann"]["metas"][0];
    assert_eq!(
        second,
        json!({
            "joins": { "ann": { "metas": [
                { "phx_ref": reference(new), "phx_ref_prev": reference(meta), "mood": "better" }
            ] } },
            "leaves": { "ann": { "metas": [meta] } },
        })
    );
    assert_eq!(bob.json().await[4], second);

    let mut late = service.socket("1.0.0").await;
    late.join(TOPIC, json!({})).await;
    assert_eq!(
        late.json().await,
        json!({
            "topic": TOPIC, "event": "presence_state", "ref": null, "payload": { "ann": { "metas": [new] } }
        })
    );

    ann.send("1", "3", TOPIC, "presence", json!({ "event": "UNTRACK" })).await;
    let gone = json!({ "joins": {}, "leaves": { "ann": { "metas": [new] } } });
    assert_eq!(bob.json().await[4], gone);
    assert_eq!(late.json().await["payload"], gone);
}

#[tokio::test]
async fn presence_ends_with_the_channel_and_with_the_socket() {
    let service = Service::start().await;
    let mut watcher = joined(&service, "watcher").await;
    let mut leaver = joined(&service, "leaver").await;
    let mut dropped = joined(&service, "dropped").await;
    track(&mut leaver, json!({})).await;
    dropped.json().await;
    track(&mut dropped, json!({})).await;
    for _ in 0..2 {
        watcher.json().await;
    }
    leaver.send("1", "3", TOPIC, "phx_leave", json!({})).await;
    assert_eq!(watcher.json().await[4]["leaves"]["leaver"]["metas"].as_array().unwrap().len(), 1);
    // Without a word: the connection is cut.
    drop(dropped.stream);
    assert_eq!(watcher.json().await[4]["leaves"]["dropped"]["metas"].as_array().unwrap().len(), 1);
    let mut late = service.socket("2.0.0").await;
    late.join(TOPIC, json!({})).await;
    assert_eq!(late.json().await[4], json!({}));
}

#[tokio::test]
async fn several_channels_of_one_key_are_several_metas() {
    let service = Service::start().await;
    let mut one = joined(&service, "same").await;
    let mut two = joined(&service, "same").await;
    track(&mut one, json!({ "n": 1 })).await;
    two.json().await;
    track(&mut two, json!({ "n": 2 })).await;
    let mut late = service.socket("2.0.0").await;
    late.join(TOPIC, json!({})).await;
    let state = late.json().await;
    let numbers: Vec<u64> = state[4]["same"]["metas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|meta| meta["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn unknown_requests_fail_without_a_reason() {
    let service = Service::start().await;
    let mut socket = joined(&service, "x").await;
    for (payload, status) in [
        (json!({ "event": "dance" }), "error"),
        (json!({ "event": "track", "payload": [1] }), "error"),
        (json!({}), "ok"),
        (json!({ "event": "untrack" }), "ok"),
    ] {
        socket.send("1", "2", TOPIC, "presence", payload).await;
        assert_eq!(
            socket.json().await,
            json!(["1", "2", TOPIC, "phx_reply", { "status": status, "response": {} }])
        );
    }
}
