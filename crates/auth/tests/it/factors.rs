//! Second factors: apps, numbers, security keys; what they are worth and what remains without them.

use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::service::{Answer, Service, config};
use crate::totp;

/// Signs up and enrolls an app; returns the session, the factor's id and its secret.
async fn with_app(service: &Service) -> (Value, String, String) {
    let session = service.sign_up("app@example.com").await;
    let answer = enroll(service, &session, json!({"factor_type": "totp", "friendly_name": "app"})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let factor = answer.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (session, text(&factor["id"]), text(&factor["totp"]["secret"]))
}

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

async fn enroll(service: &Service, session: &Value, body: Value) -> Answer {
    service.post("/factors", body).bearer(token(session)).newer().send().await
}

async fn challenge(service: &Service, session: &Value, factor: &str, body: Value) -> Value {
    let path = format!("/factors/{factor}/challenge");
    let answer = service.post(&path, body).bearer(token(session)).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn verify(service: &Service, session: &Value, factor: &str, body: Value) -> Answer {
    let path = format!("/factors/{factor}/verify");
    service.post(&path, body).bearer(token(session)).newer().send().await
}

/// Takes a session to aal2 with an app.
async fn step_up(service: &Service, session: &Value, factor: &str, secret: &str) -> Value {
    let asked = challenge(service, session, factor, json!({})).await;
    let body = json!({"challenge_id": asked["id"], "code": totp::now(secret)});
    let answer = verify(service, session, factor, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn claims(session: &Value) -> Value {
    use base64::Engine;
    let payload = token(session).split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn an_app_takes_the_session_to_aal2() {
    let service = Service::start().await;
    let (session, factor, secret) = with_app(&service).await;
    assert_eq!(claims(&session)["aal"], "aal1");
    let other = service.sign_in("app@example.com").await;

    let raised = step_up(&service, &session, &factor, &secret).await;
    let claims = claims(&raised);
    assert_eq!(claims["aal"], "aal2");
    let methods: Vec<_> = claims["amr"].as_array().unwrap().iter().map(|used| &used["method"]).collect();
    assert_eq!(methods, ["totp", "password"]);
    assert_eq!(raised["user"]["factors"][0]["status"], "verified");
    assert_ne!(raised["refresh_token"], session["refresh_token"]);

    let gone = service.get("/user").bearer(token(&other)).newer().send().await;
    assert_eq!((gone.status, gone.json()["code"].as_str()), (403, Some("session_not_found")));
    let refreshed = service.refresh(&raised["refresh_token"]).await;
    assert_eq!(self::claims(&refreshed.json())["aal"], "aal2");
}

#[tokio::test]
async fn only_one_token_works_after_a_step_up() {
    let service = Service::start().await;
    let (session, factor, secret) = with_app(&service).await;
    let session = service.refresh(&session["refresh_token"]).await.json();
    step_up(&service, &session, &factor, &secret).await;
    let active = service.sql("select count(*) from auth.refresh_tokens where not revoked").await;
    assert_eq!(active, "1");
}

#[tokio::test]
async fn wrong_codes_and_used_challenges_are_refused() {
    let service = Service::start().await;
    let (session, factor, secret) = with_app(&service).await;
    let asked = challenge(&service, &session, &factor, json!({})).await;
    let wrong = json!({"challenge_id": asked["id"], "code": "abcdef"});
    assert_eq!(
        verify(&service, &session, &factor, wrong).await.shown(),
        "422 {\"code\":\"mfa_verification_failed\",\"message\":\"Invalid TOTP code entered\"}"
    );
    let right = json!({"challenge_id": asked["id"], "code": totp::now(&secret)});
    assert_eq!(verify(&service, &session, &factor, right.clone()).await.status, 200);
    assert_eq!(
        verify(&service, &session, &factor, right).await.shown(),
        "422 {\"code\":\"mfa_ip_address_mismatch\",\"message\":\"Challenge and verify IP addresses mismatch.\"}"
    );
}

#[tokio::test]
async fn a_challenge_is_answered_from_where_it_was_asked() {
    let service = Service::start().await;
    let (session, factor, secret) = with_app(&service).await;
    let path = format!("/factors/{factor}/challenge");
    let asked =
        service.post(&path, json!({})).bearer(token(&session)).header("x-forwarded-for", "192.0.2.1").send();
    let body = json!({"challenge_id": asked.await.json()["id"], "code": totp::now(&secret)});
    let answer = verify(&service, &session, &factor, body).await;
    assert_eq!(answer.json()["code"], "mfa_ip_address_mismatch");
}

#[tokio::test]
async fn a_second_enrollment_needs_another_name_and_aal2() {
    let service = Service::start().await;
    let (session, factor, secret) = with_app(&service).await;
    let same = json!({"factor_type": "totp", "friendly_name": "app"});
    assert_eq!(
        enroll(&service, &session, same).await.shown(),
        "422 {\"code\":\"mfa_factor_name_conflict\",\"message\":\"A factor with the friendly name \\\"app\\\" for \
         this user already exists\"}"
    );
    let raised = step_up(&service, &session, &factor, &secret).await;
    let low = json!({"session_id": null, "sub": raised["user"]["id"], "role": "authenticated"});
    let answer = service
        .post("/factors", json!({"factor_type": "totp", "friendly_name": "two"}))
        .bearer(service.sign(low))
        .newer()
        .send()
        .await;
    assert_eq!(answer.status, 500, "a token without a session cannot enroll");
    let low = service.sign_in("app@example.com").await;
    assert_eq!(
        enroll(&service, &low, json!({"factor_type": "totp", "friendly_name": "two"})).await.shown(),
        "403 {\"code\":\"insufficient_aal\",\"message\":\"AAL2 required to enroll a new factor\"}"
    );
    let high = enroll(&service, &raised, json!({"factor_type": "totp", "friendly_name": "two"})).await;
    assert_eq!(high.status, 200, "{}", high.body);
}

#[tokio::test]
async fn factors_are_limited() {
    let mut config = config();
    config.mfa.max_enrolled_factors = 1;
    let service = Service::start_with(config).await;
    let (session, ..) = with_app(&service).await;
    let answer = enroll(&service, &session, json!({"factor_type": "totp", "friendly_name": "two"})).await;
    assert_eq!(answer.json()["code"], "too_many_enrolled_mfa_factors");
}

#[tokio::test]
async fn what_is_switched_off_or_unknown_is_refused() {
    let service = Service::start().await;
    let session = service.sign_up("off@example.com").await;
    for (kind, shown) in [
        (
            "phone",
            "422 {\"code\":\"mfa_phone_enroll_not_enabled\",\"message\":\"MFA enroll is disabled for Phone\"}",
        ),
        (
            "webauthn",
            "422 {\"code\":\"mfa_webauthn_enroll_not_enabled\",\"message\":\"MFA enroll is disabled for WebAuthn\"}",
        ),
        (
            "nonsense",
            "400 {\"code\":\"validation_failed\",\"message\":\"factor_type needs to be totp, phone, or webauthn\"}",
        ),
    ] {
        assert_eq!(enroll(&service, &session, json!({"factor_type": kind})).await.shown(), shown);
    }
    let unknown = "/factors/11111111-1111-4111-8111-111111111111/verify";
    let answer = service.post(unknown, json!({})).bearer(token(&session)).newer().send().await;
    assert_eq!(answer.shown(), "404 {\"code\":\"mfa_factor_not_found\",\"message\":\"Factor not found\"}");
}

#[tokio::test]
async fn anonymous_users_have_no_factors() {
    let mut config = config();
    config.external.anonymous_users_enabled = true;
    let service = Service::start_with(config).await;
    let session = service.post("/signup", json!({})).send().await.json();
    assert_eq!(
        enroll(&service, &session, json!({"factor_type": "totp"})).await.shown(),
        "403 {\"code\":\"no_authorization\",\"message\":\"Anonymous user not allowed to perform these actions\"}"
    );
}

#[tokio::test]
async fn giving_up_a_factor_takes_the_session_back() {
    let service = Service::start().await;
    let (session, factor, secret) = with_app(&service).await;
    let raised = step_up(&service, &session, &factor, &secret).await;
    let low = service.sign_in("app@example.com").await;
    let path = format!("/factors/{factor}");
    assert_eq!(
        service.request("DELETE", &path).bearer(token(&low)).newer().send().await.shown(),
        "422 {\"code\":\"insufficient_aal\",\"message\":\"AAL2 required to unenroll verified factor\"}"
    );
    let answer = service.request("DELETE", &path).bearer(token(&raised)).send().await;
    assert_eq!(answer.shown(), "200 {\"id\":\"[id]\"}");
    let refreshed = service.refresh(&raised["refresh_token"]).await.json();
    assert_eq!(claims(&refreshed)["aal"], "aal1");
    assert_eq!(claims(&refreshed)["amr"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_administrator_takes_a_factor_away() {
    let service = Service::start().await;
    let (session, factor, secret) = with_app(&service).await;
    let raised = step_up(&service, &session, &factor, &secret).await;
    let path = format!("/admin/users/{}/factors/{factor}", raised["user"]["id"].as_str().unwrap());
    assert_eq!(service.request("DELETE", &path).bearer(service.admin()).send().await.status, 200);
    let refreshed = service.refresh(&raised["refresh_token"]).await.json();
    assert_eq!(claims(&refreshed)["aal"], "aal1");
}

#[tokio::test]
async fn a_security_key_in_the_older_shape() {
    let mut config = config();
    config.mfa.web_authn.enroll_enabled = true;
    config.mfa.web_authn.verify_enabled = true;
    let service = Service::start_with(config).await;
    let session = service.sign_up("key@example.com").await;
    let factor = enroll(&service, &session, json!({"factor_type": "webauthn", "friendly_name": "key"})).await;
    let factor = factor.json()["id"].as_str().unwrap().to_owned();
    let party = json!({"rp_id": "localhost", "rp_origins": "http://localhost:5173"});
    let mut key = Authenticator::new("http://localhost:5173");

    let asked = challenge(&service, &session, &factor, json!({"web_authn": party})).await;
    let options = &asked["credential_creation_options"]["publicKey"];
    assert_eq!(options["rp"], json!({"name": "localhost", "id": "localhost"}));
    let mut answer = party.clone();
    answer["creation_response"] = key.create(options);
    let body = json!({"challenge_id": asked["id"], "web_authn": answer});
    let raised = verify(&service, &session, &factor, body.clone()).await;
    assert_eq!(raised.status, 200, "{}", raised.body);
    let raised = raised.json();
    assert_eq!(claims(&raised)["amr"][0]["method"], "mfa/webauthn");
    let replayed = verify(&service, &raised, &factor, body).await;
    assert_eq!(replayed.status, 400, "{}", replayed.body);

    let low = service.sign_in("key@example.com").await;
    let asked = challenge(&service, &low, &factor, json!({"web_authn": party})).await;
    let options = &asked["credential_request_options"]["publicKey"];
    let mut answer = party.clone();
    answer["assertion_response"] = key.get(options);
    let again = json!({"challenge_id": asked["id"], "web_authn": answer});
    let raised = verify(&service, &low, &factor, again.clone()).await;
    assert_eq!(raised.status, 200, "{}", raised.body);
    assert_eq!(claims(&raised.json())["aal"], "aal2");
    assert_eq!(verify(&service, &raised.json(), &factor, again).await.json()["code"], "mfa_factor_not_found");
}

#[tokio::test]
async fn a_security_key_in_the_newer_shape_and_of_another_origin() {
    let mut config = config();
    config.mfa.web_authn.enroll_enabled = true;
    config.mfa.web_authn.verify_enabled = true;
    config.webauthn.rp_id = "localhost".into();
    config.webauthn.rp_origins = vec!["http://localhost:5173".into()];
    let service = Service::start_with(config).await;
    let session = service.sign_up("key@example.com").await;
    let factor = enroll(&service, &session, json!({"factor_type": "webauthn", "friendly_name": "key"})).await;
    let factor = factor.json()["id"].as_str().unwrap().to_owned();

    let asked = challenge(&service, &session, &factor, json!({})).await;
    assert_eq!(asked["webauthn"]["type"], "create");
    let options = &asked["webauthn"]["credential_options"]["publicKey"];
    let stolen = Authenticator::new("https://evil.example").create(options);
    // What a request says about the relying party does not count where the configuration names it.
    let body = json!({"challenge_id": asked["id"], "webauthn": {"type": "create", "credential_response": stolen,
        "rpId": "localhost", "rpOrigins": ["https://evil.example"]}});
    assert_eq!(verify(&service, &session, &factor, body).await.status, 500);

    let asked = challenge(&service, &session, &factor, json!({})).await;
    let options = &asked["webauthn"]["credential_options"]["publicKey"];
    let made = Authenticator::new("http://localhost:5173").create(options);
    let body =
        json!({"challenge_id": asked["id"], "webauthn": {"type": "create", "credential_response": made}});
    let raised = verify(&service, &session, &factor, body).await;
    assert_eq!(raised.status, 200, "{}", raised.body);
}
