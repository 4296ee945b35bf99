use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::service::{Service, config};

#[tokio::test]
async fn a_refresh_hands_out_new_tokens_of_the_same_session() {
    let service = Service::start().await;
    let first = service.sign_up("ada@example.com").await;
    let answer = service.refresh(&first["refresh_token"]).await;
    let second = answer.json();
    assert_eq!(answer.status, 200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(second["user"]["id"], first["user"]["id"]);
    assert_eq!(second.get("weak_password"), None);
    assert_eq!(service.sql("select count(*) from auth.sessions where refreshed_at is not null").await, "1");
    let row = "select parent || ' ' || revoked from auth.refresh_tokens order by id desc limit 1";
    assert_eq!(service.sql(row).await, format!("{} false", first["refresh_token"].as_str().unwrap()));
}

#[tokio::test]
async fn who_lost_the_answer_gets_the_active_token_again() {
    let service = Service::start().await;
    let first = service.sign_up("ada@example.com").await;
    let second = service.refresh(&first["refresh_token"]).await.json();
    let again = service.refresh(&first["refresh_token"]).await.json();
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    assert_eq!(service.sql("select count(*) from auth.refresh_tokens").await, "2");
}

#[tokio::test]
async fn an_older_token_revokes_the_family() {
    let service = Service::start().await;
    let first = service.sign_up("ada@example.com").await;
    let second = service.refresh(&first["refresh_token"]).await.json();
    let third = service.refresh(&second["refresh_token"]).await.json();
    let stolen = service.refresh(&first["refresh_token"]).await;
    assert_eq!(
        stolen.shown(),
        "400 {\"code\":400,\"error_code\":\"refresh_token_already_used\",\
         \"msg\":\"Invalid Refresh Token: Already Used\"}"
    );
    let victim = service.refresh(&third["refresh_token"]).await;
    assert_eq!(victim.json()["error_code"], "refresh_token_already_used");
    let token = third["access_token"].as_str().unwrap();
    assert_eq!(service.get("/user").bearer(token).send().await.status, 200, "the session itself goes on");
}

#[tokio::test]
async fn within_the_interval_an_older_token_is_forgiven() {
    let mut config = config();
    config.security.refresh_token_reuse_interval = 10;
    let service = Service::start_with(config).await;
    let first = service.sign_up("ada@example.com").await;
    let second = service.refresh(&first["refresh_token"]).await.json();
    service.refresh(&second["refresh_token"]).await;
    let answer = service.refresh(&first["refresh_token"]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(service.sql("select count(*) from auth.refresh_tokens").await, "4");
}

#[tokio::test]
async fn without_rotation_reuse_is_refused_but_revokes_nothing() {
    let mut config = config();
    config.security.refresh_token_rotation_enabled = false;
    let service = Service::start_with(config).await;
    let first = service.sign_up("ada@example.com").await;
    let second = service.refresh(&first["refresh_token"]).await.json();
    let third = service.refresh(&second["refresh_token"]).await.json();
    assert_eq!(service.refresh(&first["refresh_token"]).await.status, 400);
    assert_eq!(service.refresh(&third["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn two_refreshes_at_once_end_with_the_same_token() {
    let service = Arc::new(Service::start().await);
    let first = service.sign_up("ada@example.com").await;
    let twice = [service.clone(), service.clone()].map(|service| {
        let token = first["refresh_token"].clone();
        tokio::spawn(async move { service.refresh(&token).await.json() })
    });
    let mut answers = Vec::new();
    for task in twice {
        answers.push(task.await.unwrap());
    }
    assert_eq!(answers[0]["refresh_token"], answers[1]["refresh_token"]);
    assert!(answers[0]["refresh_token"].is_string(), "{answers:?}");
    assert_eq!(service.sql("select count(*) from auth.refresh_tokens").await, "2");
}

#[tokio::test]
async fn fifty_refreshes_at_once_rotate_the_token_once() {
    let service = Arc::new(Service::start().await);
    let first = service.sign_up("ada@example.com").await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (service, token) = (service.clone(), first["refresh_token"].clone());
            tokio::spawn(async move { service.refresh(&token).await })
        })
        .collect();
    let mut tokens = HashSet::new();
    for task in tasks {
        let answer = task.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        tokens.insert(answer.json()["refresh_token"].to_string());
    }
    assert_eq!(tokens.len(), 1);
    assert_eq!(service.sql("select count(*) from auth.refresh_tokens where not revoked").await, "1");
    assert_eq!(service.sql("select count(*) from auth.refresh_tokens").await, "2");
}

async fn refused(service: &Service, token: &Value, code: &str, message: &str) {
    let answer =
        service.post("/token?grant_type=refresh_token", json!({"refresh_token": token})).newer().send().await;
    assert_eq!(answer.json(), json!({"code": code, "message": message}));
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn tokens_that_are_none() {
    let service = Service::start().await;
    refused(
        &service,
        &json!("nope"),
        "refresh_token_not_found",
        "Invalid Refresh Token: Refresh Token Not Found",
    )
    .await;
    let empty = service.refresh(&json!("")).await;
    assert_eq!(
        empty.shown(),
        r#"400 {"error":"invalid_request","error_description":"refresh_token required"}"#
    );
}

#[tokio::test]
async fn tokens_whose_session_or_user_may_not_go_on() {
    let service = Service::start().await;
    let first = service.sign_up("ada@example.com").await;
    let token = &first["refresh_token"];
    service.sql("update auth.users set banned_until = now() + interval '1 day'").await;
    refused(&service, token, "user_banned", "Invalid Refresh Token: User Banned").await;
    service
        .sql("update auth.users set banned_until = null; update auth.sessions set not_after = now()")
        .await;
    refused(&service, token, "session_expired", "Invalid Refresh Token: Session Expired").await;
    service.sql("update auth.refresh_tokens set session_id = null").await;
    refused(&service, token, "session_not_found", "Invalid Refresh Token: No Valid Session Found").await;
    refused(&service, token, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        .await;
}

#[tokio::test]
async fn session_limits_end_sessions() {
    let mut config = config();
    config.sessions.timebox = Some(Duration::from_secs(3600));
    config.sessions.inactivity_timeout = Some(Duration::from_secs(60));
    let service = Service::start_with(config).await;
    let first = service.sign_up("ada@example.com").await;
    let token = &first["refresh_token"];
    service.sql("update auth.sessions set created_at = now() - interval '2 min'; update auth.refresh_tokens set updated_at = now() - interval '2 min'").await;
    refused(&service, token, "session_expired", "Invalid Refresh Token: Session Expired (Inactivity)").await;
    service.sql("update auth.sessions set created_at = now() - interval '2 hours'").await;
    refused(&service, token, "session_expired", "Invalid Refresh Token: Session Expired").await;
}

#[tokio::test]
async fn where_one_session_a_user_is_allowed_the_newest_wins() {
    let mut config = config();
    config.sessions.single_per_user = true;
    let service = Service::start_with(config).await;
    let first = service.sign_up("ada@example.com").await;
    let second = service.sign_in("ada@example.com").await;
    let message = "Invalid Refresh Token: Session Expired (Revoked by Newer Login)";
    refused(&service, &first["refresh_token"], "session_expired", message).await;
    assert_eq!(service.refresh(&second["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn rows_that_stay_locked_end_in_a_conflict_not_in_a_held_connection() {
    let service = Service::start().await;
    let first = service.sign_up("ada@example.com").await;
    let mut holder = service.database.admin().await;
    holder.simple_query("begin; select * from auth.refresh_tokens for update").await.unwrap();
    let answer = service.refresh(&first["refresh_token"]).await;
    assert_eq!(
        answer.shown(),
        "409 {\"code\":409,\"error_code\":\"conflict\",\"msg\":\"Too many concurrent token refresh requests on the \
         same session or refresh token\"}"
    );
    holder.simple_query("rollback").await.unwrap();
    assert_eq!(service.refresh(&first["refresh_token"]).await.status, 200);
}
