//! Codes and links that are mailed. There is no mail server here: what would be sent is put in place of the
//! stored hash, or the stored hash is what the link carries.

use serde_json::json;

use crate::service::{Service, config, config_with_confirmation};

/// Makes 123456 the code of a user.
async fn know_code(service: &Service, column: &str, kind: &str) {
    service
        .sql(&format!(
            "update auth.users set {column} = encode(sha224(convert_to(email || '123456', 'utf8')), 'hex');
             update auth.one_time_tokens t set token_hash = u.{column} from auth.users u where t.token_type = '{kind}'"
        ))
        .await;
}

#[tokio::test]
async fn a_code_confirms_a_sign_up_once() {
    let service = Service::start_with(config_with_confirmation()).await;
    service.sign_up("ada@example.com").await;
    know_code(&service, "confirmation_token", "confirmation_token").await;
    let verify = |code: &str| {
        service
            .post("/verify", json!({"type": "email", "email": "Ada@example.com", "token": code}))
            .newer()
            .send()
    };
    let wrong = verify("654321").await;
    assert_eq!(wrong.shown(), r#"403 {"code":"otp_expired","message":"Token has expired or is invalid"}"#);
    let right = verify("123456").await;
    assert_eq!(right.status, 200, "{}", right.body);
    let user = &right.json()["user"];
    assert!(user["email_confirmed_at"].is_string());
    assert_eq!(user["identities"][0]["identity_data"]["email_verified"], true);
    assert_eq!(verify("123456").await.status, 403);
    assert_eq!(service.sql("select count(*) from auth.one_time_tokens").await, "0");
}

#[tokio::test]
async fn a_code_expires() {
    let service = Service::start_with(config_with_confirmation()).await;
    service.sign_up("ada@example.com").await;
    know_code(&service, "confirmation_token", "confirmation_token").await;
    service.sql("update auth.users set confirmation_sent_at = now() - interval '25 hours'").await;
    let body = json!({"type": "signup", "email": "ada@example.com", "token": "123456"});
    assert_eq!(service.post("/verify", body).send().await.status, 403);
}

#[tokio::test]
async fn a_recovery_link_leads_back_to_the_site_with_tokens() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        assert_eq!(service.post("/recover", json!({"email": email})).send().await.shown(), "200 {}");
    }
    let hash = service.sql("select token_hash from auth.one_time_tokens").await;
    assert_eq!(hash, service.sql("select recovery_token from auth.users").await);
    let link = format!("/verify?type=recovery&token={hash}&redirect_to=http://localhost:3000/reset?x=y");
    let clicked = service.get(&link).send().await;
    assert_eq!(clicked.status, 303);
    let target = &clicked.headers["location"];
    assert!(target.starts_with("http://localhost:3000/reset?x=y#access_token=eyJ"), "{target}");
    assert!(target.ends_with("&token_type=bearer&type=recovery"), "{target}");
    let again = service.get(&link).send().await;
    assert_eq!(
        again.headers["location"],
        "http://localhost:3000/reset?x=y#error=access_denied&error_code=otp_expired\
         &error_description=Email+link+is+invalid+or+has+expired"
    );
}

#[tokio::test]
async fn a_link_never_leads_to_a_site_that_is_not_allowed() {
    let mut config = config();
    config.uri_allow_list = vec!["https://*.preview.dev/**".into()];
    let service = Service::start_with(config).await;
    for (asked, expected) in [
        ("https://evil.io/", "http://localhost:3000"),
        ("https://a.preview.dev/x/y", "https://a.preview.dev/x/y"),
        ("//evil.io/x", "http://localhost:3000"),
        ("javascript:alert(1)", "http://localhost:3000"),
        ("http://localhost:3000@evil.io/", "http://localhost:3000"),
    ] {
        let answer = service.get(&format!("/verify?type=signup&token=x&redirect_to={asked}")).send().await;
        let target = &answer.headers["location"];
        assert_eq!(target.split('#').next().unwrap(), expected, "{asked}");
    }
}

#[tokio::test]
async fn a_proof_key_exchanges_its_code_once() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let body =
        json!({"email": "ada@example.com", "code_challenge": challenge, "code_challenge_method": "s256"});
    assert_eq!(service.post("/otp", body).send().await.shown(), "200 {}");
    let token = service.sql("select recovery_token from auth.users").await;
    assert!(token.starts_with("pkce_"));
    let clicked = service.get(&format!("/verify?type=magiclink&token={token}")).send().await;
    let code = clicked.headers["location"].strip_prefix("http://localhost:3000?code=").unwrap().to_owned();
    let exchange = |verifier: &str| {
        let body = json!({"auth_code": code, "code_verifier": verifier});
        service.post("/token?grant_type=pkce", body).newer().send()
    };
    let wrong = exchange("something else").await;
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (400, Some("bad_code_verifier")));
    let (first, second) = tokio::join!(exchange(verifier), exchange(verifier));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404], "of two exchanges at once one finds the code");
}

#[tokio::test]
async fn a_code_for_strangers_makes_a_user_unless_told_otherwise() {
    let service = Service::start_with(config_with_confirmation()).await;
    let refused = service.post("/otp", json!({"email": "a@b.c", "create_user": false})).newer().send().await;
    assert_eq!(refused.shown(), r#"422 {"code":"otp_disabled","message":"Signups not allowed for otp"}"#);
    assert_eq!(
        service.post("/otp", json!({"email": "a@b.c", "data": {"x": 1}})).send().await.shown(),
        "200 {}"
    );
    know_code(&service, "confirmation_token", "confirmation_token").await;
    let body = json!({"type": "email", "email": "a@b.c", "token": "123456"});
    let answer = service.post("/verify", body).send().await.json();
    assert_eq!(answer["user"]["user_metadata"]["x"], 1);
}

#[tokio::test]
async fn mails_to_one_user_keep_a_distance() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    let recover = || service.post("/recover", json!({"email": "ada@example.com"})).newer().send();
    assert_eq!(recover().await.status, 200);
    let answer = recover().await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("over_email_send_rate_limit")));
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("For security purposes, you can only request this after 5"), "{message}");
}

#[tokio::test]
async fn an_instance_may_be_out_of_mails() {
    let mut config = config_with_confirmation();
    config.rate_limits.email_sent = auth::Rate::per_hour(1.0);
    let service = Service::start_with(config).await;
    service.sign_up("a@b.c").await;
    let second =
        service.post("/signup", json!({"email": "b@b.c", "password": "secret1"})).newer().send().await;
    assert_eq!(
        second.shown(),
        r#"429 {"code":"over_email_send_rate_limit","message":"email rate limit exceeded"}"#
    );
    assert_eq!(service.sql("select count(*) from auth.users").await, "1", "who got no mail is not kept");
}

#[tokio::test]
async fn a_configured_mail_server_that_cannot_be_used_is_no_success() {
    let mut config = config_with_confirmation();
    config.smtp.host = "127.0.0.1".into();
    config.smtp.port = 1;
    config.smtp.admin_email = "team@site.test".into();
    let service = Service::start_with(config).await;
    let answer =
        service.post("/signup", json!({"email": "a@b.c", "password": "secret1"})).newer().send().await;
    assert_eq!(
        answer.shown(),
        r#"500 {"code":"unexpected_failure","message":"Error sending confirmation email"}"#
    );
    // Nobody is lost: the mail waits for the server.
    assert_eq!(service.sql("select count(*) from auth.users").await, "1");
    assert_eq!(service.sql("select kind from _monobase.mail_outbox").await, "confirmation");
}

#[tokio::test]
async fn a_test_number_signs_in_with_its_fixed_code() {
    let mut config = config();
    config.external.phone_enabled = true;
    config.sms.provider = auth::SmsProvider::Twilio(auth::Twilio::default());
    config.sms.test_otp = vec![("15550001".into(), "123456".into())];
    let service = Service::start_with(config).await;
    assert_eq!(service.post("/otp", json!({"phone": "+15550001"})).send().await.shown(), "200 {}");
    let verify = |code: &str| {
        service.post("/verify", json!({"type": "sms", "phone": "15550001", "token": code})).send()
    };
    assert_eq!(verify("000000").await.status, 403);
    assert_eq!(verify("123456").await.json()["user"]["phone"], "15550001");
}

#[tokio::test]
async fn an_invited_user_comes_in_by_link_with_a_password_nobody_knows() {
    let service = Service::start().await;
    let invited =
        service.post("/invite", json!({"email": "a@b.c"})).bearer(service.admin()).send().await.json();
    assert!(invited["invited_at"].is_string());
    let hash = service.sql("select token_hash from auth.one_time_tokens").await;
    let answer = service.post("/verify", json!({"type": "invite", "token_hash": hash})).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(service.sql("select length(encrypted_password) from auth.users").await, "60");
}

#[tokio::test]
async fn an_administrator_makes_links_that_work() {
    let service = Service::start().await;
    let body = json!({"type": "magiclink", "email": "a@b.c", "redirect_to": "http://localhost:3000/in"});
    let link = service.post("/admin/generate_link", body).bearer(service.admin()).send().await.json();
    assert_eq!(link["verification_type"], "signup", "an unknown user signs up");
    let action = link["action_link"].as_str().unwrap();
    let hash = link["hashed_token"].as_str().unwrap();
    assert_eq!(
        action,
        format!("http://localhost:8081/verify?token={hash}&type=signup&redirect_to=http://localhost:3000/in")
    );
    let path = action.strip_prefix("http://localhost:8081").unwrap();
    let clicked = service.get(path).send().await;
    assert!(clicked.headers["location"].starts_with("http://localhost:3000/in#access_token="));
}
