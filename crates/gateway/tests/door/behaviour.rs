//! What clients see of the door, over real connections.

use crate::support::{ANON_KEY, PUBLISHABLE_KEY, SECRET_KEY, SERVICE_ROLE_KEY, door, door_with};
use gateway::Config;
use serde_json::json;

fn apikey(key: &str) -> String {
    format!("apikey: {key}")
}

#[tokio::test]
async fn a_request_with_a_key_reaches_the_service() {
    let door = door().await;
    let answer = door.ask("GET /rest/v1/todos?select=*", &[&apikey(ANON_KEY), "X-Own: 1"]).await;
    assert_eq!(answer.status, 200);
    let mut seen = answer.json();
    for header in seen["headers"].as_array_mut().unwrap() {
        let text = header.as_str().unwrap();
        if text.starts_with("x-request-id") {
            assert_eq!(text, format!("x-request-id: {}", answer.header("x-kong-request-id").unwrap()));
            *header = json!("x-request-id: [id]");
        }
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&seen).unwrap());
}

#[tokio::test]
async fn the_answer_carries_the_doors_headers() {
    let door = door().await;
    let answer = door.ask("GET /rest/v1/own-cors", &[&apikey(ANON_KEY)]).await;
    insta::assert_snapshot!(answer.written());
}

#[tokio::test]
async fn a_protected_route_needs_a_key() {
    let door = door().await;
    insta::assert_snapshot!(door.ask("GET /rest/v1/todos", &[]).await.written());
    assert_eq!(door.ask("GET /rest/v1/todos?apikey=", &[]).await.status, 401);
    assert_eq!(door.ask("GET /auth/v1/health", &[]).await.status, 401);
}

#[tokio::test]
async fn auth_can_be_told_to_do_without_a_key() {
    let door = door_with(Config { auth_without_key: true, ..Config::default() }).await;
    assert_eq!(door.ask("GET /auth/v1/health", &[]).await.status, 200);
    assert_eq!(door.ask("GET /auth/v1/health", &[&apikey("nonsense")]).await.status, 401);
    assert_eq!(door.ask("GET /rest/v1/todos", &[]).await.status, 401);
}

#[tokio::test]
async fn every_kind_of_key_opens_the_door() {
    let door = door().await;
    let custom = door.token(json!({"role": "custom", "exp": 4_000_000_000_u64}));
    let user = door.token(json!({"role": "authenticated", "sub": "u", "exp": 4_000_000_000_u64}));
    for key in [ANON_KEY, SERVICE_ROLE_KEY, PUBLISHABLE_KEY, SECRET_KEY, &custom, &user] {
        assert_eq!(door.ask("GET /rest/v1/todos", &[&apikey(key)]).await.status, 200, "{key}");
        assert_eq!(door.ask(&format!("GET /rest/v1/todos?apikey={key}"), &[]).await.status, 200, "{key}");
    }
}

#[tokio::test]
async fn wrong_keys_do_not() {
    let door = door().await;
    let expired = door.token(json!({"role": "anon", "exp": 1}));
    let unknown_role = door.token(json!({"role": "nobody", "exp": 4_000_000_000_u64}));
    let no_role = door.token(json!({"exp": 4_000_000_000_u64}));
    let mut tampered = ANON_KEY.to_owned();
    tampered.replace_range(60..61, if &ANON_KEY[60..61] == "A" { "B" } else { "A" });
    for key in ["wrong", "sb_secret_wrong", &expired, &unknown_role, &no_role, &tampered, &ANON_KEY[1..]] {
        let answer = door.ask("GET /rest/v1/todos", &[&apikey(key)]).await;
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.header("www-authenticate")),
            (401, "{\n  \"message\":\"Invalid authentication credentials\"\n}", None),
            "{key}"
        );
    }
}

#[tokio::test]
async fn a_key_given_twice_is_refused() {
    let door = door().await;
    let key = apikey(ANON_KEY);
    let twice = door.ask("GET /rest/v1/todos", &[&key, &key]).await;
    insta::assert_snapshot!(twice.written());
    let in_query = door.ask(&format!("GET /rest/v1/todos?apikey={ANON_KEY}&apikey={ANON_KEY}"), &[]).await;
    assert_eq!(in_query.status, 401);
    let header_first = door.ask("GET /rest/v1/todos?apikey=a&apikey=b", &[&key]).await;
    assert_eq!(header_first.status, 200);
}

#[tokio::test]
async fn only_administrators_pass_to_the_schema_editor() {
    let door = door().await;
    insta::assert_snapshot!(door.ask("GET /pg/tables", &[&apikey(ANON_KEY)]).await.written());
    let service = door.token(json!({"role": "service_role", "exp": 4_000_000_000_u64}));
    for key in [SERVICE_ROLE_KEY, SECRET_KEY, &service] {
        assert_eq!(door.ask("GET /pg/tables", &[&apikey(key)]).await.status, 503, "{key}");
    }
}

#[tokio::test]
async fn rest_never_sees_the_key_but_the_token_it_stands_for() {
    let door = door().await;
    let answer = door.ask(&format!("GET /rest/v1/t?a=b%20c&apikey={SECRET_KEY}&d"), &[]).await.json();
    assert_eq!(answer["uri"], "/t?a=b%20c&d");
    assert_eq!(answer["verified_role"], "service_role");
    let headers = answer["headers"].to_string();
    assert!(headers.contains(&format!("authorization: Bearer {SERVICE_ROLE_KEY}")));
    assert!(!headers.contains("apikey"));
}

#[tokio::test]
async fn a_users_token_is_verified_once_at_the_door() {
    let door = door().await;
    let user = door.token(json!({"role": "authenticated", "sub": "u", "exp": 4_000_000_000_u64}));
    let bearer = format!("Authorization: Bearer {user}");
    let answer = door.ask("GET /rest/v1/t", &[&apikey(ANON_KEY), &bearer]).await;
    assert_eq!(answer.json()["verified_role"], "authenticated");
    let forged = format!("Authorization: Bearer {user}x");
    let answer = door.ask("GET /rest/v1/t", &[&apikey(ANON_KEY), &forged]).await;
    assert_eq!((answer.status, &answer.json()["verified_role"]), (200, &json!(null)));
}

#[tokio::test]
async fn open_routes_need_no_key() {
    let door = door().await;
    for (path, seen) in [
        ("/auth/v1/verify?token=x", "/verify?token=x"),
        ("/auth/v1/callback", "/callback"),
        ("/auth/v1/authorize/", "/authorize/"),
        ("/auth/v1/.well-known/jwks.json", "/.well-known/jwks.json"),
        ("/sso/saml/acs", "/sso/saml/acs"),
        ("/storage/v1/object/a//b/../c", "/object/a//b/../c"),
    ] {
        let answer = door.ask(&format!("GET {path}"), &[]).await;
        assert_eq!((answer.status, &answer.json()["uri"]), (200, &json!(seen)), "{path}");
    }
}

#[tokio::test]
async fn paths_are_judged_by_what_they_mean() {
    let door = door().await;
    for path in [
        "/auth/v1/verify/../admin/users",
        "/auth/v1/verify/%2e%2e/admin/users",
        "//auth/v1/./admin",
        "/%61uth/v1/x",
    ] {
        assert_eq!(door.ask(&format!("GET {path}"), &[]).await.status, 401, "{path}");
    }
    let answer = door.ask("GET /rest//v1/./%74odos", &[&apikey(ANON_KEY)]).await;
    assert_eq!(answer.json()["uri"], "/todos");
    let absolute = door.ask("GET http://door.test:54321/rest/v1/todos?a=b", &[&apikey(ANON_KEY)]).await;
    assert_eq!(absolute.json()["uri"], "/todos?a=b");
}

#[tokio::test]
async fn unknown_paths_are_kongs_404() {
    let door = door().await;
    insta::assert_snapshot!(door.ask("GET /nothing", &[]).await.written());
    assert_eq!(door.ask("POST /rest/v1", &[]).await.status, 404);
}

#[tokio::test]
async fn closed_routes_say_so() {
    let door = door().await;
    insta::assert_snapshot!(door.ask("POST /mcp", &[]).await.written());
    assert_eq!(door.ask("GET /realtime/v1/api/tenants/x", &[&apikey(SERVICE_ROLE_KEY)]).await.status, 403);
}

#[tokio::test]
async fn services_that_do_not_exist_say_so() {
    let door = door().await;
    insta::assert_snapshot!(door.ask("GET /functions/v1/hello", &[]).await.written());
    for path in ["/", "/analytics/v1/x", "/realtime/v1/api/broadcast"] {
        let answer = door.ask(&format!("GET {path}"), &[&apikey(ANON_KEY)]).await;
        assert!(
            answer.body.contains("is not part of this version of monobase yet"),
            "{path}: {}",
            answer.body
        );
        assert_eq!(answer.status, 503, "{path}");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_at_the_door() {
    let door = door().await;
    let answer = door
        .ask(
            "OPTIONS /rest/v1/todos",
            &[
                "Origin: https://app",
                "Access-Control-Request-Method: PATCH",
                "Access-Control-Request-Headers: apikey,x-a",
            ],
        )
        .await;
    insta::assert_snapshot!(answer.written());
    assert_eq!(door.ask("OPTIONS /rest/v1/todos", &[]).await.status, 401);
    assert_eq!(door.ask("OPTIONS /rest/v1/todos", &[&apikey(ANON_KEY)]).await.status, 200);
}

#[tokio::test]
async fn graphql_is_a_function_of_its_own_schema() {
    let door = door().await;
    let seen = door.ask("POST /graphql/v1", &[&apikey(ANON_KEY), "Content-Length: 0"]).await.json();
    assert_eq!(seen["uri"], "/rpc/graphql");
    assert!(seen["headers"].to_string().contains("content-profile: graphql_public"));
}

#[tokio::test]
async fn a_crash_of_a_service_is_an_error_of_one_request() {
    let door = door().await;
    let answer = door.ask("GET /rest/v1/panic", &[&apikey(ANON_KEY)]).await;
    insta::assert_snapshot!(answer.written());
    assert_eq!(door.ask("GET /rest/v1/todos", &[&apikey(ANON_KEY)]).await.status, 200);
}

#[tokio::test]
async fn health_is_open_and_metrics_are_not_for_strangers() {
    let door = door().await;
    let health = door.ask("GET /health", &[]).await;
    assert_eq!(
        (health.status, health.json()),
        (200, json!({"status": "ok", "database": "up", "services": {"rest": "up"}}))
    );
    assert_eq!(door.ask("GET /metrics", &[]).await.body, "figures\n");
    let proxied = ["X-Forwarded-For: 203.0.113.9"];
    assert_eq!(door.ask("GET /metrics", &proxied).await.status, 401);
    assert_eq!(door.ask("GET /metrics", &[proxied[0], &apikey(ANON_KEY)]).await.status, 403);
    assert_eq!(door.ask("GET /metrics", &[proxied[0], &apikey(SERVICE_ROLE_KEY)]).await.status, 200);
}

#[tokio::test]
async fn every_request_is_told_on_the_bus() {
    let door = door().await;
    let mut reader = door.events.subscribe();
    door.ask("GET /rest/v1/todos", &[&apikey(ANON_KEY)]).await;
    let event = reader.next().await.unwrap();
    assert_eq!(event.fields["route"], "rest-v1");
    assert_eq!(event.fields["consumer"], "anon");
    assert_eq!(event.fields["response"]["status_code"], 200);
}
