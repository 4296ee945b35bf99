use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokens::{KeyRing, KeySet};

use crate::client::Socket;
use crate::service::{SECRET, Service, ask, http};

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

/// A token of this algorithm, whose key nobody knows by its name.
fn signed_by(secret: &str, algorithm: &str) -> String {
    let key = json!([{
        "kty": "oct", "alg": algorithm, "kid": "unknown", "key_ops": ["sign"], "k": URL_SAFE_NO_PAD.encode(secret),
    }]);
    let ring = KeyRing::new(KeySet::from_signing_keys(&key.to_string()).unwrap());
    ring.sign(&json!({ "role": "anon", "exp": 4_000_000_000_u64 })).unwrap()
}

#[tokio::test]
async fn the_secret_signs_with_every_hmac() {
    const TOPIC: &str = "realtime:room";
    let service = Service::start().await;
    let body = json!({ "messages": [{ "topic": "room", "event": "e", "payload": {} }] }).to_string();
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = signed_by(SECRET, algorithm);
        let mut socket = service.socket_as("2.0.0", &token).await;
        socket.join_quietly(TOPIC, json!({})).await;
        // And in a frame.
        let mut other = service.socket("2.0.0").await;
        let config = json!({ "config": { "presence": { "enabled": false } }, "access_token": token });
        other.send("1", "1", TOPIC, "phx_join", config).await;
        assert_eq!(other.json().await[4]["status"], "ok", "{algorithm}");
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let answer = http(service.address, "POST", "/api/broadcast", &headers, body.as_bytes()).await;
        assert_eq!(answer, (202, String::new()), "{algorithm}");
        assert_eq!(socket.json().await[3], "broadcast");

        let forged = signed_by("another secret of sufficient length", algorithm);
        assert_eq!(Socket::connect(service.address, "2.0.0", &forged).await.err(), Some(403), "{algorithm}");
        let config = json!({ "config": {}, "access_token": forged });
        other.send("2", "2", "realtime:other", "phx_join", config).await;
        while other.json().await[4]["response"]["reason"]
            != "JwtSignatureError: Failed to validate JWT signature"
        {}
    }
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let service = Service::start().await;
    let id = "a-name-of-twenty-two-c";
    for (path, status) in [("/healthcheck", 200), ("/api/tenants", 403), ("/nowhere", 404)] {
        let (head, _) = ask(service.address, "GET", path, &[("x-request-id", id)], b"").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(&format!("x-request-id: {id}\r\n")), "{head}");
    }
}
