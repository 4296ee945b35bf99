//! Codes by text message as a second factor: what they say, who sends them, who checks them.

use auth::{Config, Hook, Secret, SmsProvider, Twilio};
use serde_json::{Value, json};

use crate::outside::{StandIn, body, json as answer};
use crate::service::{Answer, Service, config};

fn with(provider: SmsProvider) -> Config {
    let mut config = config();
    config.mfa.phone.enroll_enabled = true;
    config.mfa.phone.verify_enabled = true;
    config.mfa.phone.template = "{{ .Code }} is your second code".into();
    config.sms.provider = provider;
    config
}

fn twilio(base: &str) -> Twilio {
    Twilio {
        account_sid: "AC1".into(),
        auth_token: Secret::new("token"),
        message_service_sid: "MG1".into(),
        base_url: Some(base.into()),
        ..Twilio::default()
    }
}

/// Signs up and enrolls a number; the session's token and the factor's path.
async fn enrolled(service: &Service) -> (String, String) {
    let session = service.sign_up("ann@x.test").await;
    let token = session["access_token"].as_str().unwrap().to_owned();
    let wanted = json!({"factor_type": "phone", "phone": "+1 555 0100", "friendly_name": "mobile"});
    let factor = service.post("/factors", wanted).bearer(&token).send().await;
    assert_eq!(
        factor.shown(),
        r#"200 {"id":"[id]","type":"phone","friendly_name":"mobile","phone":"+1 555 0100"}"#
    );
    let path = format!("/factors/{}", factor.json()["id"].as_str().unwrap());
    (token, path)
}

async fn challenge(service: &Service, token: &str, path: &str) -> Answer {
    service.post(&format!("{path}/challenge"), json!({"channel": "sms"})).bearer(token).newer().send().await
}

async fn verify(service: &Service, token: &str, path: &str, challenge: &Value, code: &str) -> Answer {
    let body = json!({"challenge_id": challenge["id"], "code": code});
    service.post(&format!("{path}/verify"), body).bearer(token).newer().send().await
}

#[tokio::test]
async fn the_code_is_in_the_factors_own_text() {
    let stand_in = StandIn::answering(&[&answer(r#"{"sid":"SM1","status":"queued"}"#)]).await;
    let service = Service::start_with(with(SmsProvider::Twilio(twilio(&stand_in.url)))).await;
    let (token, path) = enrolled(&service).await;
    let asked = challenge(&service, &token, &path).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let sent = stand_in.asked().remove(0);
    let text = body(&sent).strip_prefix("Body=").unwrap();
    assert!(text[6..].starts_with("+is+your+second+code&Channel=sms&From=MG1&To=%2B15550100"), "{text}");

    let again = challenge(&service, &token, &path).await;
    assert_eq!((again.status, &again.json()["code"]), (429, &json!("over_sms_send_rate_limit")));
    let wrong = verify(&service, &token, &path, &asked.json(), "000000x").await;
    assert_eq!(
        wrong.shown(),
        r#"422 {"code":"mfa_verification_failed","message":"Invalid MFA Phone code entered"}"#
    );
    let raised = verify(&service, &token, &path, &asked.json(), &text[..6]).await;
    assert_eq!(raised.status, 200, "{}", raised.body);
    assert_eq!(service.sql("select aal from auth.sessions").await, "aal2");
}

#[tokio::test]
async fn a_hook_sends_it_instead_and_its_failure_is_hidden() {
    let key = Secret::new("v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    let stand_in = StandIn::answering(&["400 Bad Request", "204 No Content"]).await;
    let mut config = with(SmsProvider::Twilio(Twilio::default()));
    config.hooks.send_sms = Hook::new(&format!("{}/sms", stand_in.url), vec![key]).unwrap();
    let service = Service::start_with(config).await;
    let (token, path) = enrolled(&service).await;
    let failed = challenge(&service, &token, &path).await;
    assert_eq!(failed.shown(), r#"500 {"code":"unexpected_failure","message":"error invoking hook"}"#);
    let asked = challenge(&service, &token, &path).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let told: Value = serde_json::from_str(body(&stand_in.asked()[1])).unwrap();
    assert_eq!((&told["sms"]["sms_type"], &told["sms"]["phone"]), (&json!("mfa"), &json!("15550100")));
    assert_eq!(told["user"]["email"], "ann@x.test");
    let code = told["sms"]["otp"].as_str().unwrap();
    assert_eq!(verify(&service, &token, &path, &asked.json(), code).await.status, 200);
}

#[tokio::test]
async fn twilio_verify_checks_its_own_codes() {
    let stand_in = StandIn::answering(&[
        &answer(r#"{"sid":"VE1"}"#),
        &answer(r#"{"status":"pending","valid":false}"#),
        &answer(r#"{"status":"approved","valid":true}"#),
    ])
    .await;
    let service = Service::start_with(with(SmsProvider::TwilioVerify(twilio(&stand_in.url)))).await;
    let (token, path) = enrolled(&service).await;
    let asked = challenge(&service, &token, &path).await.json();
    let refused = verify(&service, &token, &path, &asked, "424242").await;
    assert_eq!(refused.shown(), r#"403 {"code":"otp_expired","message":"Token has expired or is invalid"}"#);
    assert_eq!(verify(&service, &token, &path, &asked, "424242").await.status, 200);
    assert_eq!(body(&stand_in.asked()[1]), "Code=424242&To=%2B15550100");
}

#[tokio::test]
async fn a_hook_on_attempts_ends_all_sessions() {
    let stand_in = StandIn::answering(&[&answer(r#"{"sid":"SM1","status":"queued"}"#)]).await;
    let mut config = with(SmsProvider::Twilio(twilio(&stand_in.url)));
    config.hooks.mfa_verification_attempt =
        Hook::new("pg-functions://postgres/public/judge", Vec::new()).unwrap();
    let service = Service::start_with(config).await;
    service
        .sql(
            "create function public.judge(event jsonb) returns jsonb language sql as $$
                 select jsonb_build_object('decision', 'reject', 'message', (event ->> 'factor_type') || ' ' || (event ->> 'valid'))
             $$;
             grant execute on function public.judge to supabase_auth_admin;
             grant usage on schema public to supabase_auth_admin",
        )
        .await;
    let (token, path) = enrolled(&service).await;
    let asked = challenge(&service, &token, &path).await.json();
    let rejected = verify(&service, &token, &path, &asked, "000000x").await;
    assert_eq!(rejected.shown(), r#"403 {"code":"mfa_verification_rejected","message":"phone false"}"#);
    assert_eq!(service.sql("select count(*) from auth.sessions").await, "0");
}
