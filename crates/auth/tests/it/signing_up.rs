use serde_json::{Value, json};

use crate::service::{Service, config, config_with_confirmation};

#[tokio::test]
async fn a_new_user_is_signed_in_at_once_when_addresses_confirm_themselves() {
    let service = Service::start().await;
    let body = json!({"email": "Ada@Example.com", "password": "secret1", "data": {"full_name": "<Ada>"}});
    let answer = service.post("/signup", body).send().await;
    assert_eq!(
        answer.shown(),
        "200 {\"access_token\":\"[jwt]\",\"token_type\":\"bearer\",\"expires_in\":3600,\"expires_at\":0,\
         \"refresh_token\":\"[refresh token]\",\"user\":{\"id\":\"[id]\",\"aud\":\"authenticated\",\
         \"role\":\"authenticated\",\"email\":\"ada@example.com\",\"email_confirmed_at\":\"[time]\",\"phone\":\"\",\
         \"last_sign_in_at\":\"[time]\",\"app_metadata\":{\"provider\":\"email\",\"providers\":[\"email\"]},\
         \"user_metadata\":{\"email\":\"ada@example.com\",\"email_verified\":true,\
         \"full_name\":\"\\u003cAda\\u003e\",\"phone_verified\":false,\"sub\":\"[id]\"},\
         \"identities\":[{\"identity_id\":\"[id]\",\"id\":\"[id]\",\"user_id\":\"[id]\",\
         \"identity_data\":{\"email\":\"ada@example.com\",\"email_verified\":true,\
         \"full_name\":\"\\u003cAda\\u003e\",\"phone_verified\":false,\"sub\":\"[id]\"},\"provider\":\"email\",\
         \"last_sign_in_at\":\"[time]\",\"created_at\":\"[time]\",\"updated_at\":\"[time]\",\
         \"email\":\"ada@example.com\"}],\"created_at\":\"[time]\",\"updated_at\":\"[time]\",\
         \"is_anonymous\":false}}"
    );
}

#[tokio::test]
async fn the_access_token_carries_the_documented_claims_in_order() {
    let service = Service::start().await;
    let answer = service.sign_up("ada@example.com").await;
    let token = answer["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload).unwrap();
    assert_eq!(
        crate::service::redact(&String::from_utf8(payload).unwrap()),
        "{\"sub\":\"[id]\",\"aud\":\"authenticated\",\"exp\":0,\"iat\":0,\"email\":\"ada@example.com\",\"phone\":\"\",\
         \"app_metadata\":{\"provider\":\"email\",\"providers\":[\"email\"]},\
         \"user_metadata\":{\"email\":\"ada@example.com\",\"email_verified\":true,\"phone_verified\":false,\
         \"sub\":\"[id]\"},\"role\":\"authenticated\",\"aal\":\"aal1\",\
         \"amr\":[{\"method\":\"password\",\"timestamp\":0}],\"session_id\":\"[id]\",\"is_anonymous\":false}"
    );
}

#[tokio::test]
async fn an_unconfirmed_user_gets_no_tokens_and_no_second_chance_to_set_the_password() {
    let service = Service::start_with(config_with_confirmation()).await;
    let answer = service.sign_up("ada@example.com").await;
    assert_eq!(answer["email"], "ada@example.com");
    assert_eq!(answer.get("access_token"), None);
    let body = json!({"email": "ada@example.com", "password": "another"});
    let again = service.post("/signup", body.clone()).send().await;
    assert_eq!(again.status, 429, "a second mail so soon: {}", again.body);
    let grant = service.post("/token?grant_type=password", body).newer().send().await;
    assert_eq!(grant.body, r#"{"code":"invalid_credentials","message":"Invalid login credentials"}"#);
}

#[tokio::test]
async fn a_taken_address_is_refused_when_addresses_confirm_themselves() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    let body = json!({"email": "ADA@example.com", "password": "secret2"});
    let old = service.post("/signup", body.clone()).send().await;
    assert_eq!(
        old.shown(),
        r#"422 {"code":422,"error_code":"user_already_exists","msg":"User already registered"}"#
    );
    let new = service.post("/signup", body).newer().send().await;
    assert_eq!(new.shown(), r#"422 {"code":"user_already_exists","message":"User already registered"}"#);
    assert_eq!(new.headers["x-supabase-api-version"], "2024-01-01");
}

#[tokio::test]
async fn a_taken_address_looks_free_when_addresses_must_be_confirmed() {
    let service = Service::start_with(config_with_confirmation()).await;
    let fresh = service.sign_up("ada@example.com").await;
    service
        .sql("update auth.users set email_confirmed_at = now(), phone = '15551', banned_until = now()")
        .await;
    let answer = service.sign_up("ada@example.com").await;
    assert_ne!(answer["id"], fresh["id"]);
    assert_eq!(answer["role"], "");
    assert_eq!(answer["phone"], "");
    assert_eq!(answer["identities"], json!([]));
    assert_eq!(answer.get("banned_until"), None, "nothing of the real user shows");
    assert_eq!(answer.get("email_confirmed_at"), None);
    assert_eq!(service.sql("select count(*) from auth.users").await, "1");
}

#[tokio::test]
async fn of_many_sign_ups_with_one_address_at_once_one_wins_and_no_other_fails_by_accident() {
    let service = std::sync::Arc::new(Service::start().await);
    let tasks: Vec<_> = (0..24)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let body = json!({"email": "ada@example.com", "password": "secret1"});
                service.post("/signup", body).send().await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        let answer = task.await.unwrap();
        match answer.status {
            200 => won += 1,
            status => {
                assert_eq!((status, answer.json()["error_code"].as_str()), (422, Some("user_already_exists")))
            }
        }
    }
    assert_eq!(won, 1);
    let counts = "select concat_ws(' ', (select count(*) from auth.users), (select count(*) from auth.identities), \
                  (select count(*) from auth.sessions), (select count(*) from auth.refresh_tokens))";
    assert_eq!(service.sql(counts).await, "1 1 1 1");
}

#[tokio::test]
async fn triggers_on_users_see_the_submitted_data_alone() {
    let service = Service::start().await;
    service
        .sql(
            "create table public.seen (role text, confirmed timestamptz, meta jsonb, app jsonb);
             create function public.see() returns trigger language plpgsql security definer set search_path = '' as $$
             begin
                 insert into public.seen values (new.role, new.email_confirmed_at, new.raw_user_meta_data, new.raw_app_meta_data);
                 return new;
             end $$;
             create trigger see after insert on auth.users for each row execute function public.see()",
        )
        .await;
    let body = json!({"email": "a@b.c", "password": "secret1", "data": {"x": 1}});
    assert_eq!(service.post("/signup", body).send().await.status, 200);
    let seen: Value =
        serde_json::from_str(&service.sql("select to_jsonb(seen) from public.seen").await).unwrap();
    assert_eq!(
        seen,
        json!({"role": "", "confirmed": null, "meta": {"x": 1}, "app": {"provider": "email", "providers": ["email"]}})
    );
}

#[tokio::test]
async fn a_number_signs_up_when_numbers_confirm_themselves() {
    let mut config = config();
    config.external.phone_enabled = true;
    config.sms.autoconfirm = true;
    let service = Service::start_with(config).await;
    let answer =
        service.post("/signup", json!({"phone": "+1 555 0001", "password": "secret1"})).send().await.json();
    assert_eq!(answer["user"]["phone"], "15550001");
    assert_eq!(answer["user"]["identities"][0]["provider"], "phone");
    let grant = service
        .post("/token?grant_type=password", json!({"phone": "15550001", "password": "secret1"}))
        .send()
        .await;
    assert_eq!(grant.status, 200, "{}", grant.body);
}

#[tokio::test]
async fn nobody_in_particular_can_sign_in_where_that_is_allowed() {
    let refused = Service::start().await.post("/signup", json!({})).newer().send().await;
    assert_eq!(
        refused.shown(),
        r#"422 {"code":"anonymous_provider_disabled","message":"Anonymous sign-ins are disabled"}"#
    );
    let mut config = config();
    config.external.anonymous_users_enabled = true;
    let service = Service::start_with(config).await;
    let answer = service.post("/signup", json!({"data": {"cart": 7}})).send().await;
    assert_eq!(
        answer.shown(),
        "200 {\"access_token\":\"[jwt]\",\"token_type\":\"bearer\",\"expires_in\":3600,\"expires_at\":0,\
         \"refresh_token\":\"[refresh token]\",\"user\":{\"id\":\"[id]\",\"aud\":\"authenticated\",\
         \"role\":\"authenticated\",\"email\":\"\",\"phone\":\"\",\"last_sign_in_at\":\"[time]\",\"app_metadata\":{},\
         \"user_metadata\":{\"cart\":7},\"identities\":[],\"created_at\":\"[time]\",\"updated_at\":\"[time]\",\
         \"is_anonymous\":true}}"
    );
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let kept = service
        .put("/user", json!({"email": "ada@example.com", "password": "secret1"}))
        .bearer(token)
        .send()
        .await;
    assert_eq!(
        (kept.json()["is_anonymous"].as_bool(), kept.json()["email"].as_str()),
        (Some(false), Some("ada@example.com"))
    );
    service.sign_in("ada@example.com").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_said() {
    let mut config = config();
    config.external.phone_enabled = true;
    let service = Service::start_with(config).await;
    for (body, code, message) in [
        (json!({"email": "a@b.c"}), "validation_failed", "Signup requires a valid password"),
        (
            json!({"email": "a", "password": "secret1"}),
            "validation_failed",
            "Unable to validate email address: invalid format",
        ),
        (
            json!({"email": "a@b.c", "phone": "1555", "password": "secret1"}),
            "validation_failed",
            "Only an email address or phone number should be provided on signup.",
        ),
        (
            json!({"phone": "abc", "password": "secret1"}),
            "validation_failed",
            "Invalid phone number format (E.164 required)",
        ),
        (
            json!({"email": "a@b.c", "password": "x".repeat(73)}),
            "validation_failed",
            "Password cannot be longer than 72 characters",
        ),
        (
            json!({"email": "a@b.c", "password": "secret1", "code_challenge": "x"}),
            "validation_failed",
            "PKCE flow requires code_challenge_method and code_challenge",
        ),
        (
            json!({"email": 1}),
            "bad_json",
            "Could not parse request body as JSON: json: cannot unmarshal number into Go struct field SignupParams.email of type string",
        ),
    ] {
        let answer = service.post("/signup", body).newer().send().await;
        assert_eq!(answer.json(), json!({"code": code, "message": message}));
        assert_eq!((answer.status, answer.headers["x-sb-error-code"].as_str()), (400, code));
    }
    let body = json!({"email": "a@b.c", "password": "12345"});
    let weak = service.post("/signup", body.clone()).newer().send().await;
    assert_eq!(
        weak.shown(),
        "422 {\"code\":\"weak_password\",\"message\":\"Password should be at least 6 characters.\",\
         \"weak_password\":{\"reasons\":[\"length\"]}}"
    );
    let weak = service.post("/signup", body).send().await;
    assert_eq!(
        weak.shown(),
        "422 {\"code\":422,\"error_code\":\"weak_password\",\"msg\":\"Password should be at least 6 characters.\",\
         \"weak_password\":{\"reasons\":[\"length\"]}}"
    );
}

#[tokio::test]
async fn an_instance_may_have_closed_its_doors() {
    let mut config = config();
    config.disable_signup = true;
    let service = Service::start_with(config).await;
    let answer =
        service.post("/signup", json!({"email": "a@b.c", "password": "secret1"})).newer().send().await;
    assert_eq!(
        answer.shown(),
        r#"422 {"code":"signup_disabled","message":"Signups not allowed for this instance"}"#
    );
}

#[tokio::test]
async fn an_address_that_another_audience_has_is_refused_at_once() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    let body = json!({"email": "ada@example.com", "password": "secret2"});
    let began = std::time::Instant::now();
    let answer = service.post("/signup", body).header("x-jwt-aud", "elsewhere").newer().send().await;
    assert_eq!(
        answer.shown(),
        r#"500 {"code":"unexpected_failure","message":"Database error saving new user"}"#
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "it must not try for ever");
}
