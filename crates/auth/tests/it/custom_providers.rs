//! Providers that an administrator describes: what may be said of them, and signing in with them.

use auth::Config;
use serde_json::{Value, json};

use crate::provider::{CLIENT, FakeProvider, SECRET};
use crate::service::{Answer, Service, config, redact};

fn configured(provider: &FakeProvider) -> Config {
    let mut config = config();
    config.mailer.autoconfirm = false;
    config.external_url = "http://auth".into();
    config.external.private_addresses = true;
    config.external.authorities = vec![provider.certificate()];
    config
}

fn oidc(provider: &FakeProvider) -> Value {
    json!({
        "provider_type": "oidc", "identifier": "custom:corp", "name": "Corp", "client_id": CLIENT,
        "client_secret": SECRET, "scopes": ["email"], "issuer": provider.url(),
        "acceptable_client_ids": ["mobile"], "custom_claims_allowlist": ["groups"],
        "authorization_params": {"prompt": "login"}
    })
}

fn oauth2(url: &str) -> Value {
    json!({
        "provider_type": "oauth2", "identifier": "custom:code-forge", "name": "Code Forge", "client_id": CLIENT,
        "client_secret": SECRET, "scopes": ["profile"],
        "authorization_url": format!("{url}/protocol/openid-connect/auth"),
        "token_url": format!("{url}/protocol/openid-connect/token"),
        "userinfo_url": format!("{url}/protocol/openid-connect/userinfo"),
        "attribute_mapping": {"sub": "id", "name": "display"}
    })
}

const PATH: &str = "/admin/custom-providers";

async fn create(service: &Service, body: Value) -> Answer {
    service.post(PATH, body).bearer(service.admin()).newer().send().await
}

async fn change(service: &Service, name: &str, body: Value) -> Answer {
    service.put(&format!("{PATH}/{name}"), body).bearer(service.admin()).newer().send().await
}

/// Where the sign-in page sends somebody on.
async fn at_provider(provider: &FakeProvider, url: &str) -> String {
    let certificate = reqwest::Certificate::from_der(&provider.certificate()).unwrap();
    let browser = outgoing::builder()
        .add_root_certificate(certificate)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = browser.get(url).send().await.unwrap();
    answer.headers()["location"].to_str().unwrap().strip_prefix("http://auth").unwrap().to_owned()
}

/// The way to the provider and back; the sign-in page's address, the callback, and where it ends.
async fn sign_in(service: &Service, provider: &FakeProvider, query: &str) -> (String, String, String) {
    let answer = service.get(&format!("/authorize?{query}")).send().await;
    let url = answer.headers.get("location").unwrap_or_else(|| panic!("{}", answer.body)).clone();
    let back = at_provider(provider, &url).await;
    let end = service.get(&back).send().await.headers["location"].clone();
    (url, back, end)
}

#[tokio::test]
async fn a_provider_is_described_changed_and_removed() {
    let provider = FakeProvider::start_tls(json!({})).await;
    let service = Service::start_with(configured(&provider)).await;
    let made = create(&service, oidc(&provider)).await;
    let url = provider.url();
    let shown = format!(
        "{{\"id\":\"[id]\",\"provider_type\":\"oidc\",\"identifier\":\"custom:corp\",\"name\":\"Corp\",\
         \"client_id\":\"our-client\",\"acceptable_client_ids\":[\"mobile\"],\"scopes\":[\"openid\",\"email\"],\
         \"pkce_enabled\":true,\"attribute_mapping\":{{}},\"custom_claims_allowlist\":[\"groups\"],\
         \"authorization_params\":{{\"prompt\":\"login\"}},\"enabled\":true,\"email_optional\":false,\
         \"issuer\":\"{url}\",\"skip_nonce_check\":false,\"discovery_document\":{{\"issuer\":\"{url}\",\
         \"authorization_endpoint\":\"{url}/protocol/openid-connect/auth\",\
         \"token_endpoint\":\"{url}/protocol/openid-connect/token\",\
         \"userinfo_endpoint\":\"{url}/protocol/openid-connect/userinfo\",\"jwks_uri\":\"{url}/jwks\",\
         \"scopes_supported\":[\"openid\",\"email\"]}},\"created_at\":\"[time]\",\"updated_at\":\"[time]\"}}"
    );
    assert_eq!(made.shown(), format!("201 {shown}"));
    let other = create(&service, oauth2("https://192.0.2.1")).await;
    assert_eq!(other.status, 201, "{}", other.body);
    let admin = service.admin();
    let list = async |query: &str| service.get(&format!("{PATH}{query}")).bearer(&admin).send().await;
    assert_eq!(redact(&list("?type=oidc").await.body), format!("{{\"providers\":[{shown}]}}"));
    assert_eq!(list("").await.json()["providers"].as_array().unwrap().len(), 2);
    assert_eq!(list("?type=saml").await.status, 400);

    let changes =
        json!({"name": "Corporation", "scopes": ["groups"], "enabled": false, "client_secret": "new"});
    let changed = change(&service, "custom:corp", changes).await.json();
    assert_eq!(
        (&changed["name"], &changed["scopes"], &changed["enabled"], &changed["acceptable_client_ids"]),
        (&json!("Corporation"), &json!(["openid", "groups"]), &json!(false), &json!(["mobile"]))
    );
    let one = async |method: &str| {
        service.request(method, &format!("{PATH}/custom:corp")).bearer(&admin).newer().send().await
    };
    assert_eq!(one("GET").await.json(), changed);
    assert_eq!(one("DELETE").await.status, 204);
    for method in ["GET", "DELETE"] {
        assert_eq!(
            one(method).await.shown(),
            r#"404 {"code":"custom_provider_not_found","message":"Custom OAuth provider not found"}"#
        );
    }
    assert_eq!(service.get(PATH).send().await.status, 401);
}

#[tokio::test]
async fn what_must_not_be_said_of_a_provider() {
    let provider = FakeProvider::start_tls(json!({})).await;
    let mut config = configured(&provider);
    config.external.private_addresses = false;
    config.custom_oauth.max_providers = 1;
    let service = Service::start_with(config).await;
    let with = |name: &str, value: Value| {
        let mut body = oauth2("https://192.0.2.1");
        body[name] = value;
        body
    };
    let issuer = |url: &str| {
        let mut body = oidc(&provider);
        body["issuer"] = url.into();
        body
    };
    for (body, message) in [
        (with("provider_type", json!("saml")), "provider_type must be either 'oauth2' or 'oidc'"),
        (with("identifier", json!("")), "identifier is required"),
        (
            with("identifier", json!("forge")),
            "identifier must start with 'custom:' prefix, e.g. 'custom:forge'",
        ),
        (
            with("identifier", json!("custom:Forge")),
            "identifier must be 2 to 50 lower-case letters, digits, colons and hyphens, and end with a letter or digit",
        ),
        (with("client_secret", json!("")), "client_secret is required"),
        (with("token_url", json!("")), "token_url is required for OAuth2 providers"),
        (issuer(""), "issuer is required for OIDC providers"),
        (with("attribute_mapping", json!({"role": "x"})), "Cannot map to protected system field: role"),
        (
            with("authorization_params", json!({"state": "x"})),
            "Cannot override reserved OAuth parameter: state",
        ),
        (with("authorization_params", json!({"x": 1})), "Authorization parameter \"x\" must be a string"),
        (
            with("custom_claims_allowlist", json!([" "])),
            "custom_claims_allowlist entries must be non-empty strings",
        ),
        (with("name", json!("x".repeat(101))), "name must be at most 100 characters"),
        (with("token_url", json!("http://192.0.2.1")), "URL must use HTTPS"),
        (with("token_url", json!("https://")), "URL must have a valid hostname"),
        (
            with("userinfo_url", json!("https://a.localhost/")),
            "URL cannot point to localhost or loopback addresses",
        ),
        (
            with("userinfo_url", json!("https://[::1]/")),
            "URL cannot point to localhost or loopback addresses",
        ),
        (with("token_url", json!("https://127.1/")), "URL cannot resolve to loopback addresses"),
        (with("token_url", json!("https://10.0.0.1/")), "URL cannot resolve to private network addresses"),
        (with("jwks_uri", json!("https://169.254.169.254/")), "URL cannot resolve to link-local addresses"),
        (issuer(provider.url()), "URL cannot point to localhost or loopback addresses"),
    ] {
        let answer = create(&service, body).await;
        let expected = json!({"code": "validation_failed", "message": message});
        assert_eq!((answer.status, answer.json()), (400, expected));
    }
    assert_eq!(create(&service, oauth2("https://192.0.2.1")).await.status, 201);
    assert_eq!(
        create(&service, with("identifier", json!("custom:two"))).await.shown(),
        r#"400 {"code":"over_custom_provider_quota","message":"Maximum number of custom OAuth/OIDC providers reached"}"#
    );
    let refused = change(&service, "custom:code-forge", json!({"token_url": "https://192.168.0.1/"})).await;
    assert_eq!(refused.json()["message"], "URL cannot resolve to private network addresses");
    let elsewhere = service.beside(config_without()).await;
    assert_eq!(
        create(&elsewhere, oauth2("https://192.0.2.1")).await.shown(),
        r#"404 {"code":"feature_disabled","message":"Custom OAuth providers are disabled"}"#
    );
    let roomy = service.beside(self::config()).await;
    assert_eq!(
        create(&roomy, oauth2("https://192.0.2.1")).await.shown(),
        r#"400 {"code":"conflict","message":"A custom OAuth provider with this identifier already exists"}"#
    );
}

fn config_without() -> Config {
    let mut config = config();
    config.custom_oauth.enabled = false;
    config
}

#[tokio::test]
async fn people_sign_in_with_plain_oauth() {
    let user = json!({"id": 7, "display": "Ada L", "email": "ada@x.test", "email_verified": true, "role": "service_role"});
    let provider = FakeProvider::start_tls(user).await;
    let mut config = configured(&provider);
    config.security.encryption = auth::Encryption {
        write_with: Some("one".into()),
        keys: [("one".to_owned(), auth::Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"))].into(),
    };
    let service = Service::start_with(config).await;
    create(&service, oauth2(provider.url())).await;
    let key = service.sql("select client_secret::json ->> 'key_id' from auth.custom_oauth_providers").await;
    assert_eq!(key, "one");

    let query = "provider=custom:code-forge&scopes=read+write&redirect_uri=http://evil.test&nonce=n";
    let (url, back, end) = sign_in(&service, &provider, query).await;
    assert!(url.contains("&redirect_uri=http%3A%2F%2Fauth%2Fcallback&"), "{url}");
    assert!(url.contains("&scope=read+write&") && url.contains("&code_challenge_method=S256&"), "{url}");
    assert!(url.contains("&nonce=n&"), "{url}");
    assert!(end.starts_with("http://localhost:3000#access_token="), "{end}");
    assert!(end.contains("&provider_token=their-access&"), "{end}");
    let shown =
        "select raw_app_meta_data || raw_user_meta_data || jsonb_build_object('role', role) from auth.users";
    assert_eq!(
        serde_json::from_str::<Value>(&service.sql(shown).await).unwrap(),
        json!({
            "provider": "custom:code-forge", "providers": ["custom:code-forge"], "sub": "7", "name": "Ada L",
            "email": "ada@x.test", "email_verified": true, "phone_verified": false, "role": "authenticated"
        })
    );
    // Neither our secret nor their answer is good twice.
    let again = service.get(&back).send().await;
    assert!(again.headers["location"].contains("error_code=oauth_client_state_not_found"), "{again:?}");
    assert_eq!(service.sql("select count(*) from auth.oauth_client_states").await, "0");
    // The same person in another spelling of the name.
    sign_in(&service, &provider, "provider=CUSTOM:code-forge").await;
    assert_eq!(service.sql("select count(*) from auth.identities").await, "1");

    change(&service, "custom:code-forge", json!({"enabled": false})).await;
    for (name, reason) in [
        ("custom:code-forge", "custom provider custom:code-forge is disabled"),
        ("custom:nobody", "custom provider custom:nobody not found"),
    ] {
        let answer = service.get(&format!("/authorize?provider={name}")).newer().send().await;
        let message = format!("Unsupported provider: {reason}");
        assert_eq!(answer.json(), json!({"code": "validation_failed", "message": message}));
    }
}

#[tokio::test]
async fn people_without_an_id_do_not_sign_in() {
    let provider = FakeProvider::start_tls(json!({"email": "ada@x.test", "email_verified": true})).await;
    let service = Service::start_with(configured(&provider)).await;
    create(&service, oauth2(provider.url())).await;
    let (_, _, end) = sign_in(&service, &provider, "provider=custom:code-forge").await;
    assert!(end.contains("error=server_error"), "{end}");
    assert_eq!(service.sql("select count(*) from auth.users").await, "0");
}

#[tokio::test]
async fn people_sign_in_with_openid_connect() {
    let user = json!({"sub": "ada", "name": "Ada L", "email": "ada@x.test", "email_verified": true, "groups": ["math"]});
    let provider = FakeProvider::start_tls(user).await;
    let service = Service::start_with(configured(&provider)).await;
    create(&service, oidc(&provider)).await;
    let (url, _, end) = sign_in(&service, &provider, "provider=custom:corp").await;
    assert!(url.contains("&prompt=login&") && url.contains("&scope=openid+email&"), "{url}");
    assert!(end.contains("#access_token="), "{end}");
    let shown = "select raw_user_meta_data -> 'custom_claims' from auth.users";
    assert_eq!(service.sql(shown).await, r#"{"groups": ["math"]}"#);

    let grant = async |token: String| {
        let body = json!({"provider": "custom:corp", "id_token": token});
        service.post("/token?grant_type=id_token", body).send().await
    };
    let good = grant(provider.id_token(json!({"aud": "mobile"}))).await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.json()["user"]["app_metadata"]["providers"], json!(["custom:corp"]));
    let foreign = grant(provider.id_token(json!({"aud": "other"}))).await;
    assert_eq!(foreign.json()["error_description"], "Unacceptable audience in id_token: [other]");
    let forged = FakeProvider::start_tls(json!({})).await;
    let forged = grant(forged.id_token(json!({"iss": provider.url(), "aud": CLIENT, "sub": "ada"}))).await;
    assert_eq!(forged.json()["error_description"], "Bad ID token");
}

#[tokio::test]
async fn addresses_are_looked_at_again_when_they_are_asked() {
    let provider = FakeProvider::start_tls(json!({"id": "ada"})).await;
    let open = Service::start_with(configured(&provider)).await;
    create(&open, oauth2(provider.url())).await;
    let mut closed = configured(&provider);
    closed.external.private_addresses = false;
    let closed = open.beside(closed).await;
    let (_, _, end) = sign_in(&closed, &provider, "provider=custom:code-forge").await;
    assert!(end.contains("error_description=Unable+to+exchange+external+code"), "{end}");
}

#[tokio::test]
async fn metadata_comes_from_public_addresses_unless_configured() {
    let provider = FakeProvider::start_tls(json!({})).await;
    let mut open = configured(&provider);
    open.saml = crate::saml::usual().saml;
    let mut closed = open.clone();
    closed.external.private_addresses = false;
    let service = Service::start_with(closed).await;
    let register = async |service: &Service, url: String| {
        let body = json!({"type": "saml", "metadata_url": url});
        service.post("/admin/sso/providers", body).bearer(service.admin()).newer().send().await
    };
    for (url, message) in [
        (format!("{}/metadata", provider.url()), "URL cannot point to localhost or loopback addresses"),
        ("https://169.254.169.254/latest".into(), "URL cannot resolve to link-local addresses"),
    ] {
        assert_eq!(register(&service, url).await.json()["message"], message);
    }
    let open = service.beside(open).await;
    let made = register(&open, format!("{}/metadata", provider.url())).await;
    assert_eq!(made.status, 201, "{}", made.body);
}
