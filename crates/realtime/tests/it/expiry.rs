use serde_json::json;

use crate::service::Service;

const TOPIC: &str = "realtime:room";

#[tokio::test]
async fn a_channel_ends_in_the_second_of_its_tokens_expiry() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    let short = service.token_for("anon", 2, json!({}));
    let payload = json!({ "config": { "presence": { "enabled": false } }, "access_token": short });
    socket.send("1", "1", TOPIC, "phx_join", payload).await;
    assert_eq!(socket.json().await[4]["status"], "ok");
    let system = socket.json().await;
    assert_eq!(
        system,
        json!(["1", null, TOPIC, "system", {
            "extension": "system", "status": "error", "channel": "room",
            "message": "Token has expired 0 seconds ago"
        }])
    );
    assert_eq!(socket.json().await, json!(["1", "1", TOPIC, "phx_close", {}]));
}

#[tokio::test]
async fn a_newer_token_prolongs_a_channel() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    let short = service.token_for("anon", 2, json!({}));
    let payload = json!({ "config": { "presence": { "enabled": false } }, "access_token": short });
    socket.send("1", "1", TOPIC, "phx_join", payload).await;
    socket.json().await;
    socket.send("1", "2", TOPIC, "access_token", json!({ "access_token": service.token("anon") })).await;
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    socket.silent().await;
}

#[tokio::test]
async fn bad_tokens_are_told_by_their_fault() {
    let service = Service::start().await;
    let other = tokens::KeyRing::new(tokens::KeySet::from_secret("another secret").unwrap());
    let foreign = other.sign(&json!({ "role": "anon", "exp": 4_000_000_000_u64 })).unwrap();
    let unfinished = service.ring.sign(&json!({ "exp": 4_000_000_000_u64 })).unwrap();
    let mut socket = service.socket("2.0.0").await;
    for (token, reason) in [
        (foreign.as_str(), "JwtSignatureError: Failed to validate JWT signature"),
        ("nonsense", "MalformedJWT: The token provided is not a valid JWT"),
        ("", "MalformedJWT: The token provided is not a valid JWT"),
        (unfinished.as_str(), "InvalidJWTToken: Fields `role` and `exp` are required in JWT"),
        (&service.token_for("anon", -100, json!({})), "InvalidJWTToken: Token has expired 100 seconds ago"),
    ] {
        socket.send("1", "1", TOPIC, "phx_join", json!({ "config": {}, "access_token": token })).await;
        let answer = socket.json().await;
        let text = answer[4]["response"]["reason"].as_str().unwrap().replace("101", "100");
        assert_eq!(text, reason);
    }
    // An API key stands for the connection's token.
    let payload = json!({ "config": {}, "access_token": "sb_publishable_x" });
    socket.send("1", "1", TOPIC, "phx_join", payload).await;
    assert_eq!(socket.json().await[4]["status"], "ok");
    socket.json().await;
    socket.send("1", "2", TOPIC, "access_token", json!({ "access_token": foreign })).await;
    assert_eq!(socket.json().await[4]["message"], "Failed to validate JWT signature");
}
