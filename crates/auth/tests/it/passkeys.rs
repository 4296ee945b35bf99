//! Signing in with a passkey alone.

use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::service::{Answer, Service, config};

const ORIGIN: &str = "http://localhost:5173";

async fn start() -> Service {
    let mut config = config();
    config.passkey.enabled = true;
    config.webauthn.rp_id = "localhost".into();
    config.webauthn.rp_origins = vec![ORIGIN.into()];
    Service::start_with(config).await
}

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

async fn register(service: &Service, session: &Value, key: &mut Authenticator) -> Answer {
    let begun = service.post("/passkeys/registration/options", json!({})).bearer(token(session)).send().await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let begun = begun.json();
    assert_eq!(begun["options"]["authenticatorSelection"]["residentKey"], "required");
    let body = json!({"challenge_id": begun["challenge_id"], "credential": key.create(&begun["options"])});
    service.post("/passkeys/registration/verify", body).bearer(token(session)).newer().send().await
}

#[tokio::test]
async fn a_passkey_signs_in_until_it_is_deleted() {
    let service = start().await;
    let session = service.sign_up("passkey@example.com").await;
    let mut key = Authenticator::new(ORIGIN);
    let registered = register(&service, &session, &mut key).await;
    assert_eq!(
        registered.shown(),
        "200 {\"id\":\"[id]\",\"friendly_name\":\"Passkey\",\"created_at\":\"[time]\"}"
    );
    let twice = register(&service, &session, &mut key).await;
    assert_eq!(twice.json()["code"], "webauthn_credential_exists");

    let begun = service.post("/passkeys/authentication/options", json!({})).send().await.json();
    assert_eq!(begun["options"].get("allowCredentials"), None);
    let body = json!({"challenge_id": begun["challenge_id"], "credential": key.get(&begun["options"])});
    let signed_in = service.post("/passkeys/authentication/verify", body.clone()).send().await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    assert_eq!(signed_in.json()["user"]["email"], "passkey@example.com");
    let replayed = service.post("/passkeys/authentication/verify", body).newer().send().await;
    assert_eq!(replayed.json()["code"], "webauthn_challenge_not_found");

    let all = service.get("/passkeys").bearer(token(&session)).send().await.json();
    assert!(all[0]["last_used_at"].is_string(), "{all}");
    let path = format!("/passkeys/{}", all[0]["id"].as_str().unwrap());
    let renamed = service.request("PATCH", &path).bearer(token(&session));
    let renamed = renamed.body(json!({"friendly_name": "mine"}).to_string()).send().await;
    assert_eq!(renamed.json()["friendly_name"], "mine");
    assert_eq!(service.request("DELETE", &path).bearer(token(&session)).send().await.status, 204);
    let begun = service.post("/passkeys/authentication/options", json!({})).send().await.json();
    let body = json!({"challenge_id": begun["challenge_id"], "credential": key.get(&begun["options"])});
    let refused = service.post("/passkeys/authentication/verify", body).newer().send().await;
    assert_eq!(refused.json()["code"], "webauthn_verification_failed");
}

#[tokio::test]
async fn another_origin_or_key_is_refused() {
    let service = start().await;
    let session = service.sign_up("passkey@example.com").await;
    let phished = register(&service, &session, &mut Authenticator::new("https://evil.example")).await;
    assert_eq!(phished.json()["code"], "webauthn_verification_failed");
    register(&service, &session, &mut Authenticator::new(ORIGIN)).await;
    let begun = service.post("/passkeys/authentication/options", json!({})).send().await.json();
    let body = json!({"challenge_id": begun["challenge_id"], "credential": Authenticator::new(ORIGIN).get(&begun["options"])});
    let refused = service.post("/passkeys/authentication/verify", body).newer().send().await;
    assert_eq!(
        refused.shown(),
        "400 {\"code\":\"webauthn_verification_failed\",\"message\":\"Credential verification failed\"}"
    );
}

#[tokio::test]
async fn passkeys_are_off_unless_switched_on() {
    let service = Service::start().await;
    let answer = service.post("/passkeys/authentication/options", json!({})).newer().send().await;
    assert_eq!(answer.shown(), "404 {\"code\":\"passkey_disabled\",\"message\":\"Passkeys are disabled\"}");
}
