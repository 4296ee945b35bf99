//! Columns under a key: what is written before and after there is one, and what is left without it.

use auth::{Config, Encryption, Secret};
use serde_json::{Value, json};

use crate::service::{Service, config};
use crate::totp;

/// Keys `one` and `two`; the named one writes.
fn with_key(write_with: Option<&str>) -> Config {
    let keys = [
        ("one", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ("two", "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
    ];
    let mut config = config();
    config.security.encryption = Encryption {
        write_with: write_with.map(str::to_owned),
        keys: keys.map(|(id, key)| (id.to_owned(), Secret::new(key))).into(),
    };
    config
}

async fn password_key(service: &Service) -> String {
    service.sql("select case when left(encrypted_password, 1) = '{' then encrypted_password::json ->> 'key_id' else 'plain' end from auth.users").await
}

async fn enroll(service: &Service, session: &Value) -> (String, String) {
    let body = json!({"factor_type": "totp", "friendly_name": "app"});
    let token = session["access_token"].as_str().unwrap();
    let factor = service.post("/factors", body).bearer(token).send().await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&factor["id"]), text(&factor["totp"]["secret"]))
}

async fn verify(service: &Service, session: &Value, factor: &str, code: &str) -> u16 {
    let token = session["access_token"].as_str().unwrap();
    let asked =
        service.post(&format!("/factors/{factor}/challenge"), json!({})).bearer(token).send().await.json();
    let body = json!({"challenge_id": asked["id"], "code": code});
    service.post(&format!("/factors/{factor}/verify"), body).bearer(token).send().await.status
}

#[tokio::test]
async fn a_password_is_encrypted_when_it_is_set_and_anew_when_it_is_used() {
    let service = Service::start_with(with_key(None)).await;
    service.sign_up("ann@x.test").await;
    assert_eq!(password_key(&service).await, "plain");
    for key in ["one", "two"] {
        let newer = service.beside(with_key(Some(key))).await;
        newer.sign_in("ann@x.test").await;
        assert_eq!(password_key(&service).await, key);
    }
    // Without a key to write with, what is encrypted can still be read.
    let session = service.sign_in("ann@x.test").await;
    assert_eq!(password_key(&service).await, "two");
    let same = service
        .put("/user", json!({"password": "secret1"}))
        .bearer(session["access_token"].as_str().unwrap())
        .newer()
        .send()
        .await;
    assert_eq!(same.json()["code"], "same_password");
    let created = service.beside(with_key(Some("one"))).await;
    service.sql("delete from auth.users").await;
    created.sign_up("bob@x.test").await;
    assert_eq!(password_key(&service).await, "one");
    service.sign_in("bob@x.test").await;
}

#[tokio::test]
async fn without_its_key_a_password_is_an_error_and_not_a_wrong_one() {
    let service = Service::start_with(with_key(Some("one"))).await;
    service.sign_up("ann@x.test").await;
    let stranger = service.beside(config()).await;
    let body = json!({"email": "ann@x.test", "password": "secret1"});
    let answer = stranger.post("/token?grant_type=password", body).newer().send().await;
    assert_eq!((answer.status, &answer.json()["code"]), (500, &json!("unexpected_failure")));
}

#[tokio::test]
async fn the_secret_of_an_app_is_encrypted_and_works() {
    let service = Service::start_with(with_key(Some("one"))).await;
    let session = service.sign_up("ann@x.test").await;
    let (factor, secret) = enroll(&service, &session).await;
    assert_eq!(service.sql("select secret::json ->> 'key_id' from auth.mfa_factors").await, "one");
    let stored = service.sql("select secret from auth.mfa_factors").await;
    assert!(!stored.contains(&secret));
    assert_eq!(verify(&service, &session, &factor, "000000").await, 422);
    let newer = service.beside(with_key(Some("two"))).await;
    assert_eq!(verify(&newer, &session, &factor, &totp::now(&secret)).await, 200);
    assert_eq!(service.sql("select secret::json ->> 'key_id' from auth.mfa_factors").await, "two");
}
