//! Routing, headers, limits: what every route shares.

use std::time::Duration;

use serde_json::json;

use crate::service::{Service, config};

#[tokio::test]
async fn health_and_settings_need_nothing() {
    let service = Service::start().await;
    assert_eq!(
        service.get("/health").send().await.shown(),
        "200 {\"version\":\"v2.180.0\",\"name\":\"GoTrue\",\
         \"description\":\"GoTrue is a user registration and authentication API\"}"
    );
    assert_eq!(
        service.get("/settings").send().await.shown(),
        "200 {\"external\":{\"anonymous_users\":false,\"apple\":false,\"azure\":false,\"bitbucket\":false,\
         \"discord\":false,\"facebook\":false,\"snapchat\":false,\"figma\":false,\"fly\":false,\"github\":false,\
         \"gitlab\":false,\"google\":false,\"keycloak\":false,\"kakao\":false,\"linkedin\":false,\
         \"linkedin_oidc\":false,\"notion\":false,\"spotify\":false,\"slack\":false,\"slack_oidc\":false,\
         \"workos\":false,\"twitch\":false,\"twitter\":false,\"email\":true,\"phone\":false,\"zoom\":false},\
         \"disable_signup\":false,\"mailer_autoconfirm\":true,\"phone_autoconfirm\":false,\"sms_provider\":\"\",\
         \"saml_enabled\":false}"
    );
}

#[tokio::test]
async fn a_shared_secret_is_never_published() {
    let service = Service::start().await;
    let answer = service.get("/.well-known/jwks.json").send().await;
    assert_eq!(answer.shown(), r#"200 {"keys":[]}"#);
    assert_eq!(answer.headers["cache-control"], "public, max-age=600");
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_as_the_originals_router() {
    let service = Service::start().await;
    let unknown = service.get("/nothing").send().await;
    assert_eq!((unknown.status, unknown.body.as_str()), (404, "404 page not found\n"));
    assert_eq!(unknown.headers["content-type"], "text/plain; charset=utf-8");
    let method = service.get("/signup").send().await;
    assert_eq!((method.status, method.body.as_str()), (405, ""));
    assert_eq!(method.headers["allow"], "POST");
    let head = service.request("HEAD", "/verify").send().await;
    assert_eq!(head.status, 405, "there is no HEAD");
    assert_eq!(service.get("/user/nothing").send().await.status, 401, "below /user strangers learn nothing");
}

#[tokio::test]
async fn a_slash_at_the_end_matters_to_some_paths() {
    let service = Service::start().await;
    assert_eq!(service.post("/signup/", json!({})).send().await.status, 422);
    assert_eq!(service.get("/user/").send().await.status, 401);
    assert_eq!(service.get("/health/").send().await.status, 404);
    assert_eq!(service.post("/token/?grant_type=password", json!({})).send().await.status, 404);
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere() {
    let service = Service::start().await;
    let preflight = service
        .request("OPTIONS", "/signup")
        .header("origin", "http://localhost:3000")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-client-info")
        .send()
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.headers["access-control-allow-headers"], "authorization,x-client-info");
    let answer = service.get("/settings").header("origin", "http://localhost:3000").send().await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.headers["access-control-allow-credentials"], "true");
    assert_eq!(
        answer.headers["access-control-expose-headers"],
        "X-Total-Count, Link, X-Supabase-Api-Version"
    );
}

#[tokio::test]
async fn tokens_that_do_not_verify_are_refused_with_the_reason() {
    let service = Service::start().await;
    let valid =
        service.sign(json!({"sub": "00000000-0000-0000-0000-000000000001", "exp": 4_000_000_000_u64}));
    let tampered = format!("{}AAAA", &valid[..valid.len() - 4]);
    let expired = service.sign(json!({"sub": "x", "exp": 1}));
    let prefix = "invalid JWT: unable to parse or verify signature, ";
    for (token, status, message) in [
        ("x", 403, format!("{prefix}token is malformed: token contains an invalid number of segments")),
        (tampered.as_str(), 403, format!("{prefix}token signature is invalid: signature is invalid")),
        (expired.as_str(), 403, format!("{prefix}token has invalid claims: token is expired")),
        (valid.as_str(), 403, "User from sub claim in JWT does not exist".into()),
        (&service.sign(json!({"role": "anon"})), 403, "invalid claim: missing sub claim".into()),
        (&service.sign(json!({"sub": "me"})), 400, "invalid claim: sub claim must be a UUID".into()),
    ] {
        let answer = service.get("/user").bearer(token).newer().send().await;
        assert_eq!((answer.status, answer.json()["message"].as_str()), (status, Some(message.as_str())));
    }
    for header in ["", "Bearer", "Basic abc", "Bearer a b", "BEARER x"] {
        let answer = service.get("/user").header("authorization", header).newer().send().await;
        assert_eq!(
            answer.shown(),
            "401 {\"code\":\"no_authorization\",\"message\":\"This endpoint requires a valid Bearer token\"}"
        );
    }
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let mut config = config();
    config.max_body_bytes = 1000;
    let service = Service::start_with(config).await;
    let body = json!({"email": "x".repeat(1000), "password": "secret1"});
    let answer = service.post("/signup", body).newer().send().await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("request_entity_too_large")));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up_and_rolled_back() {
    let mut config = config();
    config.max_request_duration = Duration::from_millis(500);
    let service = Service::start_with(config).await;
    service
        .sql(
            "create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(2); return new; end $$;
             create trigger slow after insert on auth.identities for each row execute function public.slow()",
        )
        .await;
    let answer =
        service.post("/signup", json!({"email": "a@b.c", "password": "secret1"})).newer().send().await;
    assert_eq!(
        answer.shown(),
        "504 {\"code\":\"request_timeout\",\"message\":\"Processing this request timed out, please retry after a moment.\"}"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(service.sql("select count(*) from auth.users").await, "0");
    assert_eq!(service.get("/settings").send().await.status, 200);
}

#[tokio::test]
async fn callers_are_limited_only_where_a_header_names_them() {
    let mut config = config();
    config.rate_limits.header = Some("x-caller".into());
    let service = Service::start_with(config).await;
    let verify = async |caller: Option<&str>| {
        let request = service.get("/verify?type=signup&token=x").newer();
        match caller {
            Some(caller) => request.header("x-caller", caller).send().await,
            None => request.send().await,
        }
    };
    for _ in 0..30 {
        assert_eq!(verify(Some("10.0.0.1")).await.status, 303);
    }
    assert_eq!(
        verify(Some("10.0.0.1")).await.shown(),
        r#"429 {"code":"over_request_rate_limit","message":"Request rate limit reached"}"#
    );
    assert_eq!(verify(Some("10.0.0.2")).await.status, 303);
    assert_eq!(verify(None).await.status, 303);
}

#[tokio::test]
async fn the_callers_address_and_agent_are_kept_with_the_session() {
    let service = Service::start().await;
    let body = json!({"email": "a@b.c", "password": "secret1"});
    service
        .post("/signup", body)
        .header("x-forwarded-for", "unknown, 203.0.113.9, 10.0.0.1")
        .header("user-agent", "agent/1")
        .send()
        .await;
    assert_eq!(
        service.sql("select host(ip) || ' ' || user_agent from auth.sessions").await,
        "203.0.113.9 agent/1"
    );
}

#[tokio::test]
async fn ways_to_sign_in_that_are_switched_off_say_so() {
    let mut config = config();
    config.external.providers.insert("github".into(), auth::OAuthProvider::default());
    let service = Service::start_with(config).await;
    let shown = async |method: &str, path: &str| service.request(method, path).newer().send().await.shown();
    assert_eq!(
        shown("GET", "/authorize?provider=github").await,
        r#"400 {"code":"validation_failed","message":"Unsupported provider: provider is not enabled"}"#
    );
    assert_eq!(
        shown("GET", "/authorize?provider=nobody").await,
        r#"400 {"code":"validation_failed","message":"Unsupported provider: Provider nobody could not be found"}"#
    );
    assert_eq!(
        shown("POST", "/sso").await,
        r#"404 {"code":"saml_provider_disabled","message":"SAML 2.0 is disabled"}"#
    );
    assert_eq!(
        shown("POST", "/token?grant_type=web3").await,
        r#"422 {"code":"web3_provider_disabled","message":"Web3 provider is disabled"}"#
    );
    let settings = service.get("/settings").send().await.json();
    assert_eq!(settings["external"]["github"], false, "what does not work is not offered");
}
