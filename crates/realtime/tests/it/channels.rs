use serde_json::{Value, json};

use crate::service::Service;

const TOPIC: &str = "realtime:room:1";

fn reply(join_ref: Value, reference: Value, topic: &str, status: &str, response: Value) -> Value {
    json!([join_ref, reference, topic, "phx_reply", { "status": status, "response": response }])
}

#[tokio::test]
async fn a_join_is_answered_and_told_who_is_present() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.send("1", "2", TOPIC, "phx_join", json!({ "config": {} })).await;
    assert_eq!(
        socket.json().await,
        reply(json!("1"), json!("2"), TOPIC, "ok", json!({ "postgres_changes": [] }))
    );
    assert_eq!(socket.json().await, json!(["1", null, TOPIC, "presence_state", {}]));
    socket.silent().await;
}

#[tokio::test]
async fn the_first_version_never_shows_a_join_ref() {
    let service = Service::start().await;
    let mut socket = service.socket("1.0.0").await;
    socket
        .text(format!(r#"{{"topic":"{TOPIC}","event":"phx_join","payload":{{"config":{{}}}},"ref":"9"}}"#))
        .await;
    assert_eq!(
        socket.json().await,
        json!({
            "topic": TOPIC, "event": "phx_reply", "ref": "9",
            "payload": { "status": "ok", "response": { "postgres_changes": [] } }
        })
    );
    assert_eq!(
        socket.json().await,
        json!({ "topic": TOPIC, "event": "presence_state", "payload": {}, "ref": null })
    );
    socket.text(format!(r#"{{"topic":"{TOPIC}","event":"phx_leave","payload":{{}},"ref":"10"}}"#)).await;
    assert_eq!(
        socket.json().await,
        json!({ "topic": TOPIC, "event": "phx_reply", "ref": "10", "payload": { "status": "ok", "response": {} } })
    );
    assert_eq!(
        socket.json().await,
        json!({ "topic": TOPIC, "event": "phx_close", "payload": {}, "ref": "9" })
    );
}

#[tokio::test]
async fn topics_that_are_none_are_refused() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    let unmatched = json!({ "reason": "unmatched topic" });
    for (topic, event, response) in [
        ("room", "phx_join", unmatched.clone()),
        ("realtime:room", "broadcast", unmatched.clone()),
        ("realtime:", "phx_join", json!({ "reason": "TopicNameRequired: You must provide a topic name" })),
    ] {
        socket.send("1", "2", topic, event, json!({})).await;
        let answer = socket.json().await;
        assert_eq!(
            (&answer[1], &answer[4]),
            (&json!("2"), &json!({ "status": "error", "response": response }))
        );
    }
    socket.send("1", "3", "realtime:room", "phx_leave", json!({})).await;
    assert_eq!(socket.json().await, reply(json!("1"), json!("3"), "realtime:room", "ok", json!({})));
}

#[tokio::test]
async fn a_second_join_closes_the_first_after_its_own_answer() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({})).await;
    socket.send("5", "5", TOPIC, "phx_join", json!({ "config": { "presence": { "enabled": false } } })).await;
    assert_eq!(
        socket.json().await,
        reply(json!("5"), json!("5"), TOPIC, "ok", json!({ "postgres_changes": [] }))
    );
    assert_eq!(socket.json().await, json!(["1", "1", TOPIC, "phx_close", {}]));
    // The former channel's farewell does not concern the new one.
    socket.send("1", "6", TOPIC, "phx_leave", json!({})).await;
    socket.silent().await;
    socket.send("5", "7", TOPIC, "phx_leave", json!({})).await;
    assert_eq!(socket.json().await, reply(json!("5"), json!("7"), TOPIC, "ok", json!({})));
    assert_eq!(socket.json().await, json!(["5", "5", TOPIC, "phx_close", {}]));
}

#[tokio::test]
async fn entries_come_back_with_ids_that_depend_on_their_content() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    let entry = json!({ "event": "*", "schema": "public", "table": "todos", "filter": "id=eq.1" });
    let other = json!({ "event": "INSERT", "schema": "public" });
    let config = json!({ "postgres_changes": [entry, null, other, entry], "presence": { "enabled": false } });
    let response = socket.join(TOPIC, config).await;
    let list = response["postgres_changes"].as_array().unwrap();
    let ids: Vec<u64> = list.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!((ids.len(), ids[0] == ids[2], ids[0] == ids[1]), (3, true, false));
    let mut first = list[0].clone();
    first.as_object_mut().unwrap().remove("id");
    assert_eq!(first, entry);
}

#[tokio::test]
async fn unknown_events_are_ignored() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly(TOPIC, json!({})).await;
    socket.send("1", "2", TOPIC, "whatever", json!({})).await;
    socket.send("1", "3", TOPIC, "access_token", json!({ "access_token": null })).await;
    socket.send("1", "4", TOPIC, "access_token", json!({ "access_token": "sb_publishable_x" })).await;
    socket.silent().await;
}
