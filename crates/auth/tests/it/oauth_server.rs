//! Other applications sign people in here.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::service::{Answer, Service, config};

const REDIRECT: &str = "https://client.example/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

async fn start() -> Service {
    let mut config = config();
    config.jwt.issuer = "http://auth".into();
    config.oauth_server.enabled = true;
    config.oauth_server.allow_dynamic_registration = true;
    config.oauth_server.authorization_path = "/oauth/consent".into();
    Service::start_with(config).await
}

async fn register(service: &Service, body: Value) -> Value {
    let answer = service.post("/oauth/clients/register", body).send().await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// An application asks; returns the id of what it asks for.
async fn ask(service: &Service, client: &Value) -> String {
    ask_for(service, client, "scope=email").await
}

async fn ask_for(service: &Service, client: &Value, what: &str) -> String {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER.as_bytes()));
    let query = format!(
        "client_id={}&redirect_uri={REDIRECT}&response_type=code&{what}&state=s1&code_challenge={challenge}\
         &code_challenge_method=S256",
        text(&client["client_id"])
    );
    let answer = service.get(&format!("/oauth/authorize?{query}")).send().await;
    let location = &answer.headers["location"];
    location.strip_prefix("http://localhost:3000/oauth/consent?authorization_id=").unwrap().to_owned()
}

async fn details(service: &Service, session: &Value, id: &str) -> Answer {
    let path = format!("/oauth/authorizations/{id}");
    service.get(&path).bearer(text(&session["access_token"])).newer().send().await
}

async fn decide(service: &Service, session: &Value, id: &str, action: &str) -> Answer {
    let path = format!("/oauth/authorizations/{id}/consent");
    let body = json!({"action": action});
    service.post(&path, body).bearer(text(&session["access_token"])).newer().send().await
}

fn code_of(answer: &Answer) -> String {
    let url = answer.json()["redirect_url"].as_str().unwrap().to_owned();
    let code = url.strip_prefix(&format!("{REDIRECT}?code=")).unwrap();
    code.strip_suffix("&state=s1").unwrap().to_owned()
}

async fn exchange(service: &Service, client: &Value, form: String) -> Answer {
    let basic = format!("{}:{}", text(&client["client_id"]), text(&client["client_secret"]));
    service
        .request("POST", "/oauth/token")
        .header("authorization", &format!("Basic {}", BASE64_STANDARD.encode(basic)))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
}

#[tokio::test]
async fn an_application_signs_somebody_in() {
    let service = start().await;
    let client = register(&service, json!({"redirect_uris": [REDIRECT], "client_name": "App"})).await;
    assert_eq!(client["client_type"], "confidential");
    let session = service.sign_up("user@example.com").await;
    let id = ask(&service, &client).await;
    let shown = details(&service, &session, &id).await.json();
    assert_eq!((text(&shown["client"]["client_name"]), text(&shown["scope"])), ("App", "email"));
    assert_eq!(shown["user"]["email"], "user@example.com");
    let stranger = service.sign_up("stranger@example.com").await;
    assert_eq!(details(&service, &stranger, &id).await.json()["code"], "oauth_authorization_not_found");
    assert_eq!(decide(&service, &stranger, &id, "approve").await.status, 404);

    let code = code_of(&decide(&service, &session, &id, "approve").await);
    let form = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}");
    let wrong =
        exchange(&service, &client, form.replace("XK", "xk").replace(VERIFIER, &"x".repeat(43))).await;
    assert_eq!(wrong.json()["error"], "invalid_grant");
    let answer = exchange(&service, &client, form.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let tokens = answer.json();
    assert_eq!(
        tokens.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["access_token", "expires_in", "refresh_token", "token_type"]
    );
    assert_eq!(
        exchange(&service, &client, form).await.json()["error_description"],
        "Invalid authorization code"
    );
    let payload = text(&tokens["access_token"]).split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["client_id"], client["client_id"]);
    assert_eq!(claims["amr"][0]["method"], "oauth_provider/authorization_code");

    // The session is the application's: nobody else refreshes it.
    let alone = service.refresh(&tokens["refresh_token"]).await;
    assert_eq!(alone.json()["error"], "invalid_client");
    let form = format!("grant_type=refresh_token&refresh_token={}", text(&tokens["refresh_token"]));
    assert_eq!(exchange(&service, &client, form).await.status, 200);

    // What was agreed to once is not asked again, until it is taken back.
    let id = ask(&service, &client).await;
    code_of(&details(&service, &session, &id).await);
    let grants = service.get("/user/oauth/grants").bearer(text(&session["access_token"])).send().await.json();
    assert_eq!(grants[0]["client"]["id"], client["client_id"]);
    let path = format!("/user/oauth/grants?client_id={}", text(&client["client_id"]));
    let revoked = service.request("DELETE", &path).bearer(text(&session["access_token"])).send().await;
    assert_eq!(revoked.status, 204);
    let gone = service.get("/user").bearer(text(&tokens["access_token"])).newer().send().await;
    assert_eq!(gone.json()["code"], "session_not_found");
}

#[tokio::test]
async fn a_refusal_goes_back_to_the_application() {
    let service = start().await;
    let client = register(&service, json!({"redirect_uris": [REDIRECT]})).await;
    let session = service.sign_up("user@example.com").await;
    let id = ask(&service, &client).await;
    details(&service, &session, &id).await;
    assert_eq!(
        decide(&service, &session, &id, "deny").await.json()["redirect_url"],
        "https://client.example/cb?error=access_denied&error_description=User+denied+the+request&state=s1"
    );
    assert_eq!(
        decide(&service, &session, &id, "approve").await.shown(),
        "400 {\"code\":\"validation_failed\",\"message\":\"authorization request cannot be processed\"}"
    );
}

#[tokio::test]
async fn bad_requests_are_told_to_whom_they_concern() {
    let service = start().await;
    let client = register(&service, json!({"redirect_uris": [REDIRECT]})).await;
    let id = text(&client["client_id"]);
    let shown = async |query: String| {
        let answer = service.get(&format!("/oauth/authorize?{query}")).newer().send().await;
        answer.headers.get("location").cloned().unwrap_or_else(|| answer.shown())
    };
    assert_eq!(
        shown(format!("client_id={id}&redirect_uri=https://evil.example/")).await,
        "400 {\"code\":\"validation_failed\",\"message\":\"invalid redirect_uri\"}"
    );
    assert_eq!(
        shown("client_id=nonsense&redirect_uri=x".into()).await,
        "400 {\"code\":\"oauth_client_not_found\",\"message\":\"invalid client_id format\"}"
    );
    assert_eq!(
        shown(format!("client_id={id}&redirect_uri={REDIRECT}&state=s1")).await,
        "https://client.example/cb?error=invalid_request&error_description=PKCE+flow+requires+both+code_challenge\
         +and+code_challenge_method&state=s1"
    );
    let answer = service.post("/oauth/clients/register", json!({"redirect_uris": []})).newer().send().await;
    assert_eq!(
        answer.shown(),
        "400 {\"code\":\"validation_failed\",\"message\":\"400: redirect_uris is required\"}"
    );
    let wrong = json!({"client_id": id, "client_secret": "wrong"});
    let forged = exchange(&service, &wrong, "grant_type=authorization_code&code=x".into()).await;
    assert_eq!((forged.status, forged.json()["error_code"].as_str()), (400, Some("invalid_credentials")));
}

#[tokio::test]
async fn administrators_keep_the_clients() {
    let service = start().await;
    let admin = service.admin();
    let body = json!({"redirect_uris": [REDIRECT], "client_name": "One"});
    let made = service.post("/admin/oauth/clients", body).bearer(&admin).send().await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let path = format!("/admin/oauth/clients/{}", text(&made["client_id"]));
    let changed = service.put(&path, json!({"client_name": "Two"})).bearer(&admin).send().await.json();
    assert_eq!((text(&changed["client_name"]), changed.get("client_secret")), ("Two", None));
    let renewed = service.post(&format!("{path}/regenerate_secret"), json!({})).bearer(&admin).send().await;
    assert_ne!(renewed.json()["client_secret"], made["client_secret"]);
    let all = service.get("/admin/oauth/clients").bearer(&admin).send().await;
    assert_eq!(all.json()["clients"].as_array().unwrap().len(), 1);
    assert_eq!(all.headers["x-total-count"], "1");
    assert_eq!(service.request("DELETE", &path).bearer(&admin).send().await.status, 204);
    assert_eq!(service.get(&path).bearer(&admin).send().await.status, 404);
    assert_eq!(service.get("/admin/oauth/clients").bearer(&admin).send().await.body, "{}");
}

#[tokio::test]
async fn the_metadata_names_the_endpoints() {
    let service = start().await;
    let metadata = service.get("/.well-known/oauth-authorization-server").send().await.json();
    assert_eq!(metadata["token_endpoint"], "http://auth/oauth/token");
    assert_eq!(metadata["registration_endpoint"], "http://auth/oauth/clients/register");
    let without = Service::start().await;
    assert_eq!(without.get("/.well-known/oauth-authorization-server").send().await.status, 404);
}

const SIGNING_KEY: &str = r#"[{"kty":"EC","crv":"P-256","kid":"k1","alg":"ES256","key_ops":["sign"],"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]"#;

fn payload(token: &Value) -> Value {
    let payload = text(token).split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn an_application_learns_what_the_scopes_cover() {
    let mut config = config();
    config.jwt.issuer = "http://auth".into();
    config.oauth_server.enabled = true;
    config.oauth_server.allow_dynamic_registration = true;
    config.oauth_server.authorization_path = "/oauth/consent".into();
    let service = Service::start_with_keys(config, SIGNING_KEY).await;
    let client = register(&service, json!({"redirect_uris": [REDIRECT]})).await;
    let session = service.sign_up("user@example.com").await;
    let data = json!({"data": {"name": "Ada", "avatar_url": "https://x.test/a.png"}});
    service.put("/user", data).bearer(text(&session["access_token"])).send().await;
    let id = ask_for(&service, &client, "scope=openid+email+profile&nonce=n1").await;
    details(&service, &session, &id).await;
    let code = code_of(&decide(&service, &session, &id, "approve").await);
    let form =
        format!("grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&code_verifier={VERIFIER}");
    let tokens = exchange(&service, &client, form).await.json();
    let claims = payload(&tokens["id_token"]);
    for (name, value) in [
        ("iss", json!("http://auth")),
        ("aud", json!([client["client_id"]])),
        ("nonce", json!("n1")),
        ("email", json!("user@example.com")),
        ("email_verified", json!(true)),
        ("name", json!("Ada")),
        ("picture", json!("https://x.test/a.png")),
        ("phone_number", Value::Null),
    ] {
        assert_eq!(claims[name], value, "{name}: {claims}");
    }
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);

    let told = service.get("/oauth/userinfo").bearer(text(&tokens["access_token"])).send().await.json();
    let names: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["email", "email_verified", "name", "picture", "sub", "updated_at", "user_metadata"]);
    assert_eq!((&told["sub"], &told["name"]), (&session["user"]["id"], &json!("Ada")));
    // A token that is no application's tells no more than whose it is.
    let own = service.get("/oauth/userinfo").bearer(text(&session["access_token"])).send().await;
    assert_eq!(own.shown(), r#"200 {"sub":"[id]"}"#);
    assert_eq!(service.get("/oauth/userinfo").send().await.status, 401);
}

#[tokio::test]
async fn an_id_token_needs_a_key_that_others_can_verify_with() {
    let service = start().await;
    let client = register(&service, json!({"redirect_uris": [REDIRECT]})).await;
    let session = service.sign_up("user@example.com").await;
    let id = ask_for(&service, &client, "scope=openid").await;
    details(&service, &session, &id).await;
    let code = code_of(&decide(&service, &session, &id, "approve").await);
    let form =
        format!("grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&code_verifier={VERIFIER}");
    let answer = exchange(&service, &client, form).await;
    assert_eq!((answer.status, &answer.json()["msg"]), (500, &json!("Error generating ID token")));
}

#[tokio::test]
async fn openid_clients_find_everything() {
    let service = start().await;
    let answer = service.get("/.well-known/openid-configuration").send().await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=600");
    let found = answer.json();
    assert_eq!(found["issuer"], "http://auth");
    assert_eq!(found["userinfo_endpoint"], "http://auth/oauth/userinfo");
    assert_eq!(found["registration_endpoint"], "http://auth/oauth/clients/register");
    assert_eq!(found["scopes_supported"], json!(["openid", "profile", "email", "phone", "offline_access"]));
    let without = Service::start().await.get("/.well-known/openid-configuration").send().await;
    assert_eq!((without.status, without.json().get("registration_endpoint")), (200, None));
}
