use serde_json::json;

use crate::client::Socket;
use crate::service::{Service, http};

#[tokio::test]
async fn whoever_has_no_valid_token_gets_403_and_no_body() {
    let service = Service::start().await;
    let expired = service.token_for("anon", -5, json!({}));
    let without_expiry = service.ring.sign(&json!({ "role": "anon" })).unwrap();
    let without_role = service.ring.sign(&json!({ "exp": 4_000_000_000_u64 })).unwrap();
    for token in ["", "nonsense", &expired, &without_expiry, &without_role] {
        assert_eq!(Socket::connect(service.address, "1.0.0", token).await.err(), Some(403), "{token}");
    }
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = http(service.address, "GET", "/socket/websocket?apikey=x", &headers, b"").await;
    assert_eq!(answer, (403, String::new()));
}

#[tokio::test]
async fn only_two_versions_are_spoken() {
    let service = Service::start().await;
    let token = service.token("anon");
    for (vsn, expected) in [
        ("1.0.0", None),
        ("2.0.0", None),
        ("2.0.7", None),
        ("3.0.0", Some(403)),
        ("2.1.0", Some(403)),
        ("x", Some(403)),
    ] {
        assert_eq!(Socket::connect(service.address, vsn, &token).await.err(), expected, "{vsn}");
    }
    let path = format!("/socket/websocket?apikey={token}");
    let mut socket = Socket::connect_to(service.address, &path).await.unwrap();
    socket.text(r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":null}"#).await;
    assert_eq!(
        socket.json().await,
        json!({ "topic": "phoenix", "event": "phx_reply", "payload": { "status": "ok", "response": {} }, "ref": null })
    );
}

#[tokio::test]
async fn a_heartbeat_is_answered_in_the_sockets_version() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.text(r#"[null,"7","phoenix","heartbeat",{}]"#).await;
    assert_eq!(
        socket.json().await,
        json!([null, "7", "phoenix", "phx_reply", { "status": "ok", "response": {} }])
    );
    socket.text(r#"[null,"8","phoenix","other",{}]"#).await;
    assert_eq!(
        socket.json().await,
        json!([null, "8", "phoenix", "phx_reply", { "status": "error", "response": { "reason": "unmatched topic" } }])
    );
}

#[tokio::test]
async fn what_is_no_message_ends_the_socket() {
    let service = Service::start().await;
    for (vsn, text) in
        [("1.0.0", r#"{"topic":"a","event":"b","payload":{}}"#), ("2.0.0", "{}"), ("2.0.0", "nonsense")]
    {
        let mut socket = service.socket(vsn).await;
        socket.text(text).await;
        assert_eq!(u16::from(socket.closed().await.unwrap().code), 1011, "{text}");
    }
    for bytes in [vec![], vec![3, 1], vec![9; 20], vec![0, 1, 1, 1, 1, b'1', b'1', b't', b'e']] {
        let mut socket = service.socket("2.0.0").await;
        socket.binary(bytes).await;
        assert_eq!(u16::from(socket.closed().await.unwrap().code), 1011);
    }
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let service = Service::start().await;
    let mut socket = service.socket("1.0.0").await;
    socket.join_quietly("realtime:a", json!({})).await;
    service.realtime.clone().stop().await;
    assert_eq!(u16::from(socket.closed().await.unwrap().code), 1012);
}
