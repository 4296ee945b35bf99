use std::time::{Duration, Instant};

use serde_json::json;

use crate::service::{Service, config, config_with_confirmation};

const GRANT: &str = "/token?grant_type=password";

#[tokio::test]
async fn the_right_password_signs_in() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    let answer = service.sign_in("ADA@example.com").await;
    assert_eq!(answer["user"]["email"], "ada@example.com");
    assert_eq!(answer["weak_password"], json!(null));
    assert_eq!(service.sql("select count(*) from auth.sessions").await, "2");
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_get_the_same_answer() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        let answer = service.post(GRANT, json!({"email": email, "password": "wrong"})).send().await;
        assert_eq!(
            answer.shown(),
            r#"400 {"code":400,"error_code":"invalid_credentials","msg":"Invalid login credentials"}"#
        );
    }
}

#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let mut config = config();
    config.password.bcrypt_cost = 10;
    let service = Service::start_with(config).await;
    service.sign_up("ada@example.com").await;
    let time = async |email: &str| {
        let started = Instant::now();
        service.post(GRANT, json!({"email": email, "password": "wrong"})).send().await;
        started.elapsed()
    };
    // In turns: the machine may be busier at one time than at another.
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for _ in 0..4 {
        known = known.min(time("ada@example.com").await);
        unknown = unknown.min(time("nobody@example.com").await);
    }
    assert!(unknown > known / 2, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn an_unconfirmed_address_is_only_told_to_who_knows_the_password() {
    let service = Service::start_with(config_with_confirmation()).await;
    service.sign_up("ada@example.com").await;
    let right =
        service.post(GRANT, json!({"email": "ada@example.com", "password": "secret1"})).newer().send().await;
    assert_eq!(right.shown(), r#"400 {"code":"email_not_confirmed","message":"Email not confirmed"}"#);
    let wrong =
        service.post(GRANT, json!({"email": "ada@example.com", "password": "x"})).newer().send().await;
    assert_eq!(wrong.json()["code"], "invalid_credentials");
}

#[tokio::test]
async fn a_banned_user_is_told_so() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    service.sql("update auth.users set banned_until = now() + interval '1 hour'").await;
    let answer =
        service.post(GRANT, json!({"email": "ada@example.com", "password": "secret1"})).newer().send().await;
    assert_eq!(answer.shown(), r#"400 {"code":"user_banned","message":"User is banned"}"#);
}

#[tokio::test]
async fn a_password_that_became_too_weak_still_signs_in_and_is_mentioned() {
    let service = Service::start().await;
    let body = json!({"email": "a@b.c", "password": "abc", "email_confirm": true});
    service.post("/admin/users", body).bearer(service.admin()).send().await;
    let answer = service.post(GRANT, json!({"email": "a@b.c", "password": "abc"})).send().await.json();
    assert_eq!(
        answer["weak_password"],
        json!({"message": "Password should be at least 6 characters.", "reasons": ["length"]})
    );
}

#[tokio::test]
async fn columns_that_imports_left_null_do_not_keep_anybody_out() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    service
        .sql(
            "update auth.users set confirmation_token = null, recovery_token = null, email_change_token_new = null,
                 email_change = null, email_change_token_current = null, phone_change = null,
                 phone_change_token = null, reauthentication_token = null, raw_app_meta_data = null,
                 raw_user_meta_data = null, email_change_confirm_status = null, phone = null, created_at = null",
        )
        .await;
    let answer = service.sign_in("ada@example.com").await;
    assert_eq!(answer["user"]["app_metadata"], json!({}));
}

#[tokio::test]
async fn a_storm_of_sign_ins_does_not_keep_others_waiting() {
    let mut config = config();
    config.password.bcrypt_cost = 10;
    config.password.parallel_hashes = Some(1);
    let service = std::sync::Arc::new(Service::start_with(config).await);
    let token = service.sign_up("ada@example.com").await["access_token"].as_str().unwrap().to_owned();
    let storm: Vec<_> = (0..12)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { service.sign_in("ada@example.com").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    assert_eq!(service.get("/user").bearer(&token).send().await.status, 200);
    let waited = started.elapsed();
    let finished = storm.iter().filter(|task| task.is_finished()).count();
    assert!(finished < 12, "the storm was over before it was measured");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    for task in storm {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn ways_to_ask_wrongly() {
    let service = Service::start().await;
    for (path, body, status, code, message) in [
        (GRANT, json!({}), 400, "validation_failed", "missing email or phone"),
        (
            GRANT,
            json!({"email": "a", "phone": "b"}),
            400,
            "validation_failed",
            "Only an email address or phone number should be provided on login.",
        ),
        (GRANT, json!({"phone": "1555"}), 422, "phone_provider_disabled", "Phone logins are disabled"),
        ("/token?grant_type=implicit", json!({}), 400, "invalid_credentials", "unsupported_grant_type"),
        ("/token", json!({}), 400, "invalid_credentials", "unsupported_grant_type"),
    ] {
        let answer = service.post(path, body).newer().send().await;
        assert_eq!(answer.json(), json!({"code": code, "message": message}));
        assert_eq!(answer.status, status);
    }
}
