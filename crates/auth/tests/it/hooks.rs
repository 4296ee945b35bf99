//! Hooks, as functions of the database and over HTTP, and captchas.

use auth::{Captcha, Hook, Secret};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::outside::{Post, StandIn, body, json as answer};
use crate::service::{Service, config, config_with_confirmation};

const KEY: &str = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn function(name: &str) -> Hook {
    Hook::new(&format!("pg-functions://postgres/public/{name}"), Vec::new()).unwrap()
}

fn url(stand_in: &StandIn) -> Hook {
    Hook::new(&format!("{}/hook", stand_in.url), vec![Secret::new(KEY)]).unwrap()
}

async fn define(service: &Service, name: &str, body: &str) {
    let sql = format!(
        "create function public.{name}(event jsonb) returns jsonb language plpgsql as $$ begin {body} end $$;
         grant execute on function public.{name} to supabase_auth_admin;
         grant usage on schema public to supabase_auth_admin"
    );
    service.sql(&sql).await;
}

fn claims(session: &Value) -> Value {
    let token = session["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn claims_can_be_rewritten_and_must_stay_claims() {
    let mut config = config();
    config.hooks.custom_access_token = function("claims");
    let service = Service::start_with(config).await;
    define(
        &service,
        "claims",
        "return jsonb_set(jsonb_set(event, '{claims,plan}', '\"pro\"'), '{claims,method}', event -> 'authentication_method');",
    )
    .await;
    let session = service.sign_up("ann@x.test").await;
    assert_eq!((&claims(&session)["plan"], &claims(&session)["method"]), (&json!("pro"), &json!("password")));
    let refreshed = service.refresh(&session["refresh_token"]).await.json();
    assert_eq!(claims(&refreshed)["method"], "token_refresh");
    service.sql("create or replace function public.claims(event jsonb) returns jsonb language sql as $$ select event #- '{claims,sub}' $$").await;
    let body = json!({"email": "ann@x.test", "password": "secret1"});
    let answer = service.post("/token?grant_type=password", body).newer().send().await;
    assert_eq!(
        (answer.status, answer.json()["message"].as_str().unwrap()),
        (500, "output claims do not conform to the expected schema: \n- (root): sub is required\n")
    );
}

#[tokio::test]
async fn functions_refuse_with_their_own_status_and_time_out() {
    let mut config = config();
    config.hooks.before_user_created = function("gate");
    let service = Service::start_with(config).await;
    define(
        &service,
        "gate",
        "if event -> 'user' ->> 'email' like '%@bad.test' then
           return jsonb_build_object('error', jsonb_build_object('http_code', 418, 'message', 'not you'));
         end if;
         if event -> 'user' ->> 'email' like 'slow%' then perform pg_sleep(3); end if;
         if event -> 'user' ->> 'email' like 'broken%' then raise exception 'oops'; end if;
         return '{}';",
    )
    .await;
    service.sign_up("ann@x.test").await;
    let try_with = async |email: &str| {
        let body = json!({"email": email, "password": "secret1"});
        let answer = service.post("/signup", body).newer().send().await;
        (answer.status, answer.json()["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(try_with("eve@bad.test").await, (418, "not you".into()));
    let failed = (500, "Error running hook URI: pg-functions://postgres/public/gate".to_owned());
    assert_eq!(try_with("slow@x.test").await, failed);
    assert_eq!(try_with("broken@x.test").await, failed);
    assert_eq!(service.sql("select count(*) from auth.users").await, "1");
}

#[tokio::test]
async fn attempts_with_passwords_can_be_rejected() {
    let stand_in = StandIn::answering(&[
        &answer("{\"decision\":\"continue\"}"),
        &answer("{\"decision\":\"reject\",\"message\":\"\",\"should_logout_user\":true}"),
    ])
    .await;
    let mut config = config();
    config.hooks.password_verification_attempt = url(&stand_in);
    let service = Service::start_with(config).await;
    service.sign_up("ann@x.test").await;
    service.sign_in("ann@x.test").await;
    let body_of = json!({"email": "ann@x.test", "password": "wrong"});
    let refused = service.post("/token?grant_type=password", body_of).newer().send().await;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (
            400,
            r#"{"code":"invalid_credentials","message":"Further password verification attempts will be rejected."}"#
        )
    );
    assert_eq!(service.sql("select count(*) from auth.sessions").await, "0");
    let asked: Vec<Value> =
        stand_in.asked().iter().map(|asked| serde_json::from_str(body(asked)).unwrap()).collect();
    assert_eq!((&asked[0]["valid"], &asked[1]["valid"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn calls_over_http_are_signed() {
    let stand_in = StandIn::answering(&["204 No Content"]).await;
    let post = Post::open().await;
    let mut config = post.configure(config_with_confirmation());
    config.hooks.send_email = url(&stand_in);
    let service = Service::start_with(config).await;
    service.sign_up("ann@x.test").await;
    assert_eq!(post.count().await, 0);
    let asked = stand_in.asked().remove(0);
    let header = |name: &str| {
        let line = asked.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {asked}"))[name.len() + 2..].to_owned()
    };
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), body(&asked));
    let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    let expected = base64::prelude::BASE64_STANDARD.encode(tag.as_ref());
    assert_eq!(header("webhook-signature"), format!("v1,{expected}"));
    let said: Value = serde_json::from_str(body(&asked)).unwrap();
    let data = &said["email_data"];
    assert_eq!(said["user"]["email"], "ann@x.test");
    assert_eq!((&data["email_action_type"], &data["token_new"]), (&json!("signup"), &json!("")));
    let typed = json!({"type": "signup", "email": "ann@x.test", "token": data["token"]});
    assert_eq!(service.post("/verify", typed).send().await.status, 200);
}

#[tokio::test]
async fn every_bad_answer_over_http_has_its_error() {
    let long = format!("200 OK\ncontent-type: application/json\n\n\"{}\"", "x".repeat(205_000));
    for (said, status, code, message) in [
        (
            "200 OK\n\n{}",
            400,
            "hook_payload_invalid_content_type",
            "Invalid Content-Type: Missing Content-Type header",
        ),
        (
            "200 OK\ncontent-type: text/plain\n\n{}",
            400,
            "hook_payload_invalid_content_type",
            "Invalid JSON response. Received content-type: text/plain",
        ),
        (
            long.as_str(),
            422,
            "hook_payload_over_size_limit",
            "Payload size exceeded size limit of 204800 bytes",
        ),
        ("429 Too Many\n\n", 500, "unexpected_failure", "Service currently unavailable due to hook"),
        (
            "503 Away\nretry-after: true\n\n",
            500,
            "unexpected_failure",
            "Service currently unavailable due to hook",
        ),
        ("400 Bad\n\n", 500, "unexpected_failure", "Invalid payload sent to hook"),
        ("401 Who\n\n", 500, "unexpected_failure", "Hook requires authorization token"),
        ("404 Where\n\n", 500, "unexpected_failure", "Unexpected status code returned from hook: 404"),
        (
            "200 OK\ncontent-type: application/json\n\n{\"error\":{\"http_code\":403,\"message\":\"no\"}}",
            403,
            "unknown",
            "no",
        ),
        ("hang", 422, "hook_timeout", "Failed to reach hook within maximum time of 5.000000 seconds"),
    ] {
        let stand_in = StandIn::answering(&[said]).await;
        let mut config = config();
        config.hooks.before_user_created = url(&stand_in);
        let service = Service::start_with(config).await;
        let body_of = json!({"email": "ann@x.test", "password": "secret1"});
        let answer = service.post("/signup", body_of).newer().send().await;
        let shown = answer.json();
        assert_eq!(
            (answer.status, shown["code"].as_str().unwrap(), shown["message"].as_str().unwrap()),
            (status, code, message),
            "{said:.60}"
        );
        if said.contains("retry-after") {
            assert_eq!(stand_in.asked().len(), 3);
        }
    }
}

#[tokio::test]
async fn text_messages_can_be_the_hooks_matter() {
    let stand_in = StandIn::answering(&[&answer("{}")]).await;
    let mut config = config();
    config.external.phone_enabled = true;
    config.hooks.send_sms = url(&stand_in);
    let service = Service::start_with(config).await;
    let body_of = json!({"phone": "15550100", "password": "secret1", "channel": "carrier-pigeon"});
    assert_eq!(service.post("/signup", body_of).send().await.status, 200);
    let said: Value = serde_json::from_str(body(&stand_in.asked()[0])).unwrap();
    assert_eq!((&said["sms"]["phone"], said["sms"].get("sms_type")), (&json!("15550100"), None));
    let typed = json!({"type": "sms", "phone": "15550100", "token": said["sms"]["otp"]});
    assert_eq!(service.post("/verify", typed).send().await.status, 200);
}

#[tokio::test]
async fn captchas_are_checked_but_for_administrators_and_refreshes() {
    let stand_in = StandIn::answering(&[
        &answer("{\"success\":false,\"error-codes\":[\"a\",\"b\"]}"),
        &answer("{\"success\":true}"),
    ])
    .await;
    let mut config = config();
    config.captcha = Captcha {
        enabled: true,
        secret: Secret::new("s"),
        url: Some(stand_in.url.clone()),
        ..Captcha::default()
    };
    let service = Service::start_with(config).await;
    let body_of = |token: &str| json!({"email": "ann@x.test", "password": "secret1", "gotrue_meta_security": {"captcha_token": token}});
    let missing = service.post("/signup", body_of(" ")).newer().send().await;
    assert_eq!(
        (missing.status, missing.json()["message"].as_str().unwrap()),
        (500, "captcha verification process failed")
    );
    let refused = service.post("/signup", body_of("t")).newer().send().await;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (400, r#"{"code":"captcha_failed","message":"captcha protection: request disallowed (a, b)"}"#)
    );
    let session = service.post("/signup", body_of("t")).send().await;
    assert_eq!(session.status, 200, "{}", session.body);
    assert_eq!(body(&stand_in.asked()[1]), "remoteip=127.0.0.1&response=t&secret=s");
    assert_eq!(service.refresh(&session.json()["refresh_token"]).await.status, 200);
    let bare = json!({"email": "bob@x.test", "password": "secret1"});
    assert_eq!(service.post("/signup", bare).bearer(service.admin()).send().await.status, 200);
}
