use serde_json::{Value, json};

use crate::service::{Service, http};

const PATH: &str = "/api/tenants/realtime-dev";

async fn call(service: &Service, method: &str, path: &str, body: Value) -> (u16, Value) {
    let bearer = format!("Bearer {}", service.token("service_role"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let (status, text) = http(service.address, method, path, &headers, body.to_string().as_bytes()).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_tenant_is_made_changed_and_removed() {
    let service = Service::start().await;
    assert_eq!(http(service.address, "GET", PATH, &[], b"").await, (403, String::new()));
    assert_eq!(call(&service, "GET", PATH, json!({})).await, (404, json!({ "error": "not found" })));
    let given = json!({ "tenant": { "external_id": "realtime-dev", "max_channels_per_client": 1 } });
    let (status, tenant) = call(&service, "POST", "/api/tenants", given.clone()).await;
    assert_eq!((status, &tenant["data"]["external_id"]), (201, &json!("realtime-dev")));
    assert_eq!(tenant["data"]["max_channels_per_client"], 1);
    assert_eq!(call(&service, "PUT", PATH, given).await.0, 200);
    let bad = json!({ "tenant": { "max_joins_per_second": "x" } });
    assert_eq!(
        call(&service, "PATCH", PATH, bad).await,
        (422, json!({ "errors": { "max_joins_per_second": ["is invalid"] } }))
    );
    // It is in force.
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly("realtime:a", json!({})).await;
    socket.send("1", "1", "realtime:b", "phx_join", json!({ "config": {} })).await;
    assert_eq!(socket.json().await[4]["response"]["reason"], "ChannelRateLimitReached: Too many channels");
    assert_eq!(call(&service, "DELETE", PATH, json!({})).await.0, 204);
    assert_eq!(socket.json().await[4]["message"], "Server requested disconnect");
    assert_eq!(call(&service, "GET", "/api/tenants", json!({})).await, (200, json!({ "data": [] })));
}

#[tokio::test]
async fn a_reload_ends_every_socket() {
    let service = Service::start().await;
    let mut socket = service.socket("2.0.0").await;
    socket.join_quietly("realtime:room", json!({})).await;
    assert_eq!(call(&service, "POST", &format!("{PATH}/reload"), json!({})).await.0, 204);
    assert_eq!(
        socket.json().await,
        json!(["1", null, "realtime:room", "system", {
            "extension": "system", "status": "ok", "channel": "room", "message": "Server requested disconnect"
        }])
    );
    assert_eq!(socket.json().await, json!(["1", "1", "realtime:room", "phx_close", {}]));
    assert!(socket.closed().await.is_some());
    assert_eq!(call(&service, "POST", "/api/tenants/other/reload", json!({})).await.0, 404);
}

#[tokio::test]
async fn health_is_told_to_who_may_know() {
    let service = Service::start().await;
    let path = format!("{PATH}/health");
    assert_eq!(http(service.address, "GET", &path, &[], b"").await.0, 403);
    assert_eq!(call(&service, "HEAD", &path, Value::Null).await.0, 200);
    let (status, health) = call(&service, "GET", &path, json!({})).await;
    assert_eq!(
        (status, &health["data"]["healthy"], &health["data"]["connected_cluster"]),
        (200, &json!(true), &json!(0))
    );
    assert_eq!(http(service.address, "GET", "/healthcheck", &[], b"").await, (200, "ok".to_owned()));
    let ping = http(service.address, "GET", "/api/ping", &[], b"").await;
    assert_eq!(ping, (200, r#"{"message":"Success"}"#.to_owned()));
}

#[tokio::test]
async fn the_row_is_written_anew_at_a_start() {
    let service = Service::start().await;
    service.realtime.seed("secret", &[("db_host", "db".to_owned())]).await.unwrap();
    let (_, tenant) = call(&service, "GET", PATH, json!({})).await;
    assert_eq!(tenant["data"]["extensions"][0]["type"], "postgres_cdc_rls");
    assert_eq!(tenant["data"]["extensions"][0]["settings"]["poll_interval_ms"], 100);
}
