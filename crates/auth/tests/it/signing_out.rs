use serde_json::{Value, json};

use crate::service::Service;

async fn three_sessions(service: &Service) -> [Value; 3] {
    let first = service.sign_up("ada@example.com").await;
    [first, service.sign_in("ada@example.com").await, service.sign_in("ada@example.com").await]
}

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

/// Which of the sessions still work.
async fn alive(service: &Service, sessions: &[Value]) -> Vec<bool> {
    let mut alive = Vec::new();
    for session in sessions {
        alive.push(service.get("/user").bearer(token(session)).send().await.status == 200);
    }
    alive
}

#[tokio::test]
async fn scopes_decide_which_sessions_end() {
    for (scope, expected) in [
        ("", [false, false, false]),
        ("?scope=global", [false, false, false]),
        ("?scope=local", [false, true, true]),
        ("?scope=others", [true, false, false]),
    ] {
        let service = Service::start().await;
        let sessions = three_sessions(&service).await;
        let answer =
            service.post(&format!("/logout{scope}"), json!({})).bearer(token(&sessions[0])).send().await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(alive(&service, &sessions).await, expected, "{scope}");
        assert_eq!(
            service.sql("select count(*) from auth.refresh_tokens").await,
            expected.iter().filter(|alive| **alive).count().to_string(),
            "refresh tokens go with their sessions"
        );
    }
}

#[tokio::test]
async fn a_token_of_an_ended_session_is_told_so() {
    let service = Service::start().await;
    let session = service.sign_up("ada@example.com").await;
    service.post("/logout", json!({})).bearer(token(&session)).send().await;
    let answer = service.get("/user").bearer(token(&session)).newer().send().await;
    assert_eq!(
        answer.shown(),
        "403 {\"code\":\"session_not_found\",\"message\":\"Session from session_id claim in JWT does not exist\"}"
    );
}

#[tokio::test]
async fn a_token_without_a_session_ends_all() {
    let service = Service::start().await;
    let sessions = three_sessions(&service).await;
    let bare = service.sign(json!({"sub": sessions[0]["user"]["id"], "aud": "authenticated"}));
    let answer = service.post("/logout?scope=local", json!({})).bearer(bare).send().await;
    assert_eq!(answer.status, 204);
    assert_eq!(alive(&service, &sessions).await, [false, false, false]);
}

#[tokio::test]
async fn an_unknown_scope_is_refused() {
    let service = Service::start().await;
    let session = service.sign_up("ada@example.com").await;
    let answer = service.post("/logout?scope=all", json!({})).bearer(token(&session)).newer().send().await;
    assert_eq!(
        answer.shown(),
        r#"400 {"code":"validation_failed","message":"Unsupported logout scope \"all\""}"#
    );
}
