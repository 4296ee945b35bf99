//! Sign-in with others: the way there and back, whose identity it is, ID tokens.

use auth::{Config, OAuthProvider};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::provider::{CLIENT, FakeProvider, SECRET};
use crate::service::{Answer, Service, config};

const ADA: &str = "ada@example.com";

fn ada() -> Value {
    json!({"sub": "ada", "id": 7, "login": "ada", "name": "Ada L", "email": ADA, "email_verified": true})
}

fn configured(provider: &FakeProvider, names: &[&str]) -> Config {
    let mut config = config();
    config.mailer.autoconfirm = false;
    for name in names {
        let own = OAuthProvider {
            enabled: true,
            client_ids: vec![CLIENT.into(), "mobile-client".into()],
            secret: SECRET.into(),
            redirect_uri: "http://auth/callback".into(),
            url: provider.url().into(),
            issuer: Some(provider.url().into()),
            ..OAuthProvider::default()
        };
        config.external.providers.insert((*name).into(), own);
    }
    config
}

fn location(answer: &Answer) -> &str {
    answer.headers.get("location").unwrap_or_else(|| panic!("no location: {} {}", answer.status, answer.body))
}

/// Where the provider sends somebody who comes with an address of `/authorize`.
async fn at_provider(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let answer = crate::service::get_at(host.parse().unwrap(), path).await;
    location(&answer).to_owned()
}

/// The whole way; returns where it ends.
async fn sign_in_at(service: &Service, query: &str) -> String {
    let answer = service.get(&format!("/authorize?{query}")).send().await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    let back = at_provider(location(&answer)).await;
    let path = back.strip_prefix("http://auth").unwrap();
    let answer = service.get(path).send().await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    location(&answer).to_owned()
}

#[tokio::test]
async fn an_implicit_sign_in_ends_with_tokens() {
    let provider = FakeProvider::start(ada()).await;
    let service = Service::start_with(configured(&provider, &["github", "keycloak"])).await;
    for name in ["keycloak", "github"] {
        let end = sign_in_at(&service, &format!("provider={name}&redirect_to=http://127.0.0.1/home")).await;
        assert!(end.starts_with("http://127.0.0.1/home#access_token="), "{end}");
        assert!(end.contains("&provider_refresh_token=their-refresh&provider_token=their-access&"), "{end}");
    }
    // The second is another identity of the same user, by the verified address.
    assert_eq!(service.sql("select count(*) from auth.users").await, "1");
    assert_eq!(
        service.sql("select raw_app_meta_data from auth.users").await,
        r#"{"provider": "keycloak", "providers": ["keycloak", "github"]}"#
    );
}

#[tokio::test]
async fn a_pkce_sign_in_ends_with_a_code() {
    let provider = FakeProvider::start(ada()).await;
    let service = Service::start_with(configured(&provider, &["google"])).await;
    let verifier = "v".repeat(50);
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let query = format!("provider=google&code_challenge={challenge}&code_challenge_method=s256");
    let end = sign_in_at(&service, &query).await;
    let code = end.strip_prefix("http://localhost:3000?code=").unwrap();
    let body = json!({"auth_code": code, "code_verifier": verifier});
    let answer = service.post("/token?grant_type=pkce", body.clone()).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let session = answer.json();
    assert_eq!(session["provider_token"], "their-access");
    assert_eq!(session["user"]["user_metadata"]["email"], ADA);
    assert_eq!(session["user"]["identities"][0]["provider"], "google");
    assert_eq!(service.post("/token?grant_type=pkce", body).send().await.status, 404);
}

#[tokio::test]
async fn the_secret_goes_where_the_provider_wants_it() {
    let provider = FakeProvider::start_with(ada(), true).await;
    let service = Service::start_with(configured(&provider, &["keycloak"])).await;
    let answer = service.get("/authorize?provider=keycloak").send().await;
    let back = at_provider(location(&answer)).await;
    let end = service.get(back.strip_prefix("http://auth").unwrap()).send().await;
    assert!(location(&end).contains("#access_token="), "{}", location(&end));
}

#[tokio::test]
async fn an_unverified_address_takes_no_account_over() {
    let provider = FakeProvider::start(ada()).await;
    let service = Service::start_with(configured(&provider, &["keycloak"])).await;
    let body = json!({"email": ADA, "password": "secret1", "email_confirm": true});
    service.post("/admin/users", body).bearer(service.admin()).send().await;
    let mut user = ada();
    user["email_verified"] = false.into();
    provider.set_user(user);
    let end = sign_in_at(&service, "provider=keycloak").await;
    assert!(end.contains("error=access_denied"), "{end}");
    assert!(end.contains("error_code=provider_email_needs_verification"), "{end}");
    assert_eq!(service.sql("select count(*) from auth.users").await, "2");
    assert_eq!(service.sql("select count(*) from auth.users where email is null").await, "1");
}

#[tokio::test]
async fn a_password_set_before_the_address_was_verified_is_gone() {
    let provider = FakeProvider::start(ada()).await;
    let service = Service::start_with(configured(&provider, &["keycloak"])).await;
    let body = json!({"email": ADA, "password": "secret1"});
    service.post("/signup", body.clone()).send().await;
    sign_in_at(&service, "provider=keycloak").await;
    let answer = service.post("/token?grant_type=password", body).newer().send().await;
    assert_eq!(answer.json()["code"], "invalid_credentials");
    assert_eq!(service.sql("select string_agg(provider, ',') from auth.identities").await, "keycloak");
}

#[tokio::test]
async fn errors_travel_in_query_and_fragment() {
    let provider = FakeProvider::start(ada()).await;
    let service = Service::start_with(configured(&provider, &["keycloak"])).await;
    let answer = service.get("/authorize?provider=keycloak").send().await;
    let back = at_provider(location(&answer)).await;
    let state = back.split_once("&state=").unwrap().1;
    let denied = format!("/callback?error=access_denied&error_description=no+thanks&state={state}");
    assert_eq!(
        location(&service.get(&denied).send().await),
        "http://localhost:3000?error=access_denied&error_description=no+thanks\
         #error=access_denied&error_description=no+thanks"
    );
    let wrong = format!("/callback?code=nonsense&state={state}");
    let end = service.get(&wrong).send().await;
    assert!(
        location(&end).contains("error=server_error&error_code=unexpected_failure"),
        "{}",
        location(&end)
    );
    let unsigned = service.get("/callback?code=x&state=nonsense").send().await;
    assert_eq!(
        (unsigned.status, location(&unsigned)),
        (
            303,
            "http://localhost:3000?error=invalid_request&error_code=bad_oauth_state\
             &error_description=OAuth+callback+with+invalid+state"
        )
    );
}

#[tokio::test]
async fn a_callback_is_used_once_and_our_parameters_stay_ours() {
    let provider = FakeProvider::start(ada()).await;
    let service = Service::start_with(configured(&provider, &["keycloak"])).await;
    let answer = service.get("/authorize?provider=keycloak&state=mine&client_id=mine&hint=x").send().await;
    let url = location(&answer);
    assert!(
        url.contains("client_id=our-client") && url.contains("&hint=x&") && !url.contains("mine"),
        "{url}"
    );
    let back = at_provider(url).await;
    let path = back.strip_prefix("http://auth").unwrap();
    assert!(location(&service.get(path).send().await).contains("#access_token="));
    assert!(location(&service.get(path).send().await).contains("error=server_error"));
}

#[tokio::test]
async fn a_signed_in_user_links_another_identity() {
    let provider = FakeProvider::start(ada()).await;
    let mut config = configured(&provider, &["keycloak"]);
    config.security.manual_linking_enabled = true;
    config.mailer.autoconfirm = true;
    let service = Service::start_with(config).await;
    let session = service.sign_up("someone@example.com").await;
    let token = session["access_token"].as_str().unwrap();
    let path = "/user/identities/authorize?provider=keycloak&skip_http_redirect=true";
    let url = service.get(path).bearer(token).send().await.json()["url"].as_str().unwrap().to_owned();
    let back = at_provider(&url).await;
    let path = back.strip_prefix("http://auth").unwrap().to_owned();
    assert!(location(&service.get(&path).send().await).contains("#access_token="));
    let user = service.get("/user").bearer(token).send().await.json();
    assert_eq!(user["email"], "someone@example.com");
    assert_eq!(user["identities"].as_array().unwrap().len(), 2);

    let back = at_provider(&url).await;
    let again = service.get(back.strip_prefix("http://auth").unwrap()).send().await;
    assert!(location(&again).contains("error_code=identity_already_exists"), "{}", location(&again));
}

#[tokio::test]
async fn an_id_token_signs_in_if_it_is_for_us() {
    let provider = FakeProvider::start(ada()).await;
    let service = Service::start_with(configured(&provider, &["keycloak"])).await;
    let grant = async |body: Value| service.post("/token?grant_type=id_token", body).send().await;
    let nonce = "n-0S6_WzA2Mj";
    let hash: String = Sha256::digest(nonce.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let token = provider.id_token(json!({"nonce": hash, "aud": ["other", "mobile-client"]}));
    let good = grant(json!({"provider": "keycloak", "id_token": token, "nonce": nonce})).await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.json()["user"]["email"], ADA);

    for (body, shown) in [
        (json!({"provider": "keycloak"}), "invalid request: id_token required"),
        (json!({"id_token": token}), "invalid request: provider or client_id and issuer required"),
        (
            json!({"provider": "keycloak", "id_token": token, "nonce": "other"}),
            "invalid nonce: Nonces mismatch",
        ),
        (
            json!({"provider": "keycloak", "id_token": token}),
            "invalid request: Passed nonce and nonce in id_token should either both exist or not.",
        ),
        (
            json!({"provider": "keycloak", "id_token": provider.id_token(json!({"aud": "other"}))}),
            "invalid request: Unacceptable audience in id_token: [other]",
        ),
        (
            json!({"provider": "keycloak", "id_token": provider.id_token(json!({"exp": 1}))}),
            "invalid request: Bad ID token",
        ),
        (
            json!({"provider": "keycloak", "id_token": provider.id_token(json!({"iss": "https://evil.example"}))}),
            "invalid request: Bad ID token",
        ),
        (
            json!({"provider": "keycloak", "id_token": FakeProvider::start(ada()).await.id_token(json!({"iss": provider.url()}))}),
            "invalid request: Bad ID token",
        ),
        (
            json!({"provider": "keycloak", "access_token": "x", "id_token": provider.id_token(json!({"at_hash": "y"}))}),
            "invalid request: Bad ID token",
        ),
    ] {
        let answer = grant(body).await;
        let error = answer.json();
        let told =
            format!("{}: {}", error["error"].as_str().unwrap(), error["error_description"].as_str().unwrap());
        assert_eq!((answer.status, told.as_str()), (400, shown));
    }
    let answer = service
        .post(
            "/token?grant_type=id_token",
            json!({"provider": "apple", "id_token": token, "issuer": "https://appleid.apple.com"}),
        )
        .newer()
        .send()
        .await;
    assert_eq!(answer.json()["code"], "provider_disabled");
}

#[tokio::test]
async fn a_hook_may_refuse_who_would_be_a_new_user() {
    let provider = FakeProvider::start(ada()).await;
    let mut config = configured(&provider, &["keycloak"]);
    config.hooks.before_user_created =
        auth::Hook::new("pg-functions://postgres/public/gate", Vec::new()).unwrap();
    let service = Service::start_with(config).await;
    service
        .sql(
            "create table public.asked (event jsonb);
             create function public.gate(event jsonb) returns jsonb language plpgsql security definer as $$ begin
                 insert into public.asked values (event);
                 if current_setting('auth.closed', true) is null and (select count(*) from public.asked) = 1 then
                     return jsonb_build_object('error', jsonb_build_object('http_code', 403, 'message', 'not you'));
                 end if;
                 return '{}';
             end $$;
             grant execute on function public.gate to supabase_auth_admin;
             grant usage on schema public to supabase_auth_admin",
        )
        .await;
    let end = sign_in_at(&service, "provider=keycloak").await;
    assert!(end.starts_with("http://localhost:3000?error=access_denied&error_description=not+you"), "{end}");
    assert_eq!(service.sql("select count(*) from auth.users").await, "0");
    // The refusal ended the transaction of the hook, too: it is asked as if for the first time. Once it agrees, it is asked
    // no more about somebody who is there.
    service.sql("insert into public.asked values (null)").await;
    for _ in 0..2 {
        let end = sign_in_at(&service, "provider=keycloak").await;
        assert!(end.starts_with("http://localhost:3000#access_token="), "{end}");
    }
    let about = "select event -> 'user' -> 'email' || (event -> 'user' -> 'app_metadata') from public.asked where event is not null order by 1 desc limit 1";
    assert_eq!(
        service.sql(about).await,
        r#"["ada@example.com", {"provider": "keycloak", "providers": ["keycloak"]}]"#
    );
    // And about nobody whom an ID token signs in again.
    let count = service.sql("select count(*) from public.asked").await;
    let body = json!({"provider": "keycloak", "id_token": provider.id_token(json!({}))});
    let answer = service.post("/token?grant_type=id_token", body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(service.sql("select count(*) from public.asked").await, count);
}
