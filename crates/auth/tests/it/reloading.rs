//! Another configuration while the service runs.

use serde_json::json;

use crate::service::{Service, config};

async fn is_disabled(service: &Service) -> bool {
    service.get("/settings").send().await.json()["disable_signup"] == true
}

#[tokio::test]
async fn a_new_configuration_counts_from_the_next_request() {
    let service = Service::start_running(config()).await;
    let session = service.sign_up("ann@x.test").await;
    let mut closed = config();
    closed.disable_signup = true;
    service.running.as_ref().unwrap().reload(closed).unwrap();
    assert!(is_disabled(&service).await);
    let refused =
        service.post("/signup", json!({"email": "b@x.test", "password": "secret1"})).newer().send().await;
    assert_eq!(refused.json()["code"], "signup_disabled");
    // Sessions go on.
    assert_eq!(service.refresh(&session["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn a_bad_configuration_changes_nothing() {
    let service = Service::start_running(config()).await;
    let mut bad = config();
    bad.disable_signup = true;
    bad.sms.template = "{{ .Code".into();
    let error = service.running.as_ref().unwrap().reload(bad).unwrap_err();
    assert!(error.to_string().starts_with("GOTRUE_SMS_TEMPLATE: "), "{error}");
    assert!(!is_disabled(&service).await);
}

#[tokio::test]
async fn what_was_counted_stays_unless_the_limits_change() {
    let mut limited = config();
    limited.rate_limits.header = Some("x-caller".into());
    let service = Service::start_running(limited.clone()).await;
    let tries = async |count: usize| {
        let mut allowed = 0;
        for _ in 0..count {
            let body = json!({"refresh_token": "unknown"});
            let request = service.post("/token?grant_type=refresh_token", body).header("x-caller", "ann");
            allowed += usize::from(request.send().await.status != 429);
        }
        allowed
    };
    assert!(tries(40).await >= 30);
    limited.disable_signup = true;
    service.running.as_ref().unwrap().reload(limited.clone()).unwrap();
    assert!(tries(10).await <= 3);
    limited.rate_limits.token_refresh = 151.0;
    service.running.as_ref().unwrap().reload(limited).unwrap();
    assert_eq!(tries(10).await, 10);
}

#[tokio::test]
async fn every_limit_can_change_while_the_service_runs() {
    let mut limited = config();
    limited.rate_limits.header = Some("x-caller".into());
    limited.oauth_server.enabled = true;
    limited.oauth_server.allow_dynamic_registration = true;
    limited.passkey.enabled = true;
    limited.webauthn.rp_id = "localhost".into();
    limited.webauthn.rp_origins = vec!["http://localhost:3000".into()];
    limited.external.web3.solana.enabled = true;
    limited.saml = crate::saml::usual().saml;
    let service = Service::start_running(limited.clone()).await;
    const ROUTES: [&str; 6] = [
        "/oauth/clients/register",
        "/passkeys/authentication/options",
        "/token?grant_type=web3",
        "/sso",
        "/sso/saml/acs",
        "/verify",
    ];
    // A limit of nothing still lets thirty through at once, all but none after them.
    let refused = async |path: &str| {
        let mut refused = 0;
        for _ in 0..31 {
            let request = service.post(path, json!({})).header("x-caller", "ann");
            refused += usize::from(request.send().await.status == 429);
        }
        refused
    };
    for path in ROUTES {
        assert!(refused(path).await <= 1, "{path}");
    }
    limited.oauth_server.registration_rate_limit = 1e9;
    limited.passkey.rate_limit = 1e9;
    limited.external.web3.rate_limit = 1e9;
    limited.saml.sign_in_rate_limit = 1e9;
    limited.saml.assertion_rate_limit = 1e9;
    service.running.as_ref().unwrap().reload(limited).unwrap();
    for path in &ROUTES[..5] {
        assert_eq!(refused(path).await, 0, "{path}");
    }
    // The one that did not change has counted on.
    assert!(refused("/verify").await > 20);
}

#[tokio::test]
async fn instances_with_their_own_configuration_share_a_database() {
    let first = Service::start().await;
    let mut closed = config();
    closed.disable_signup = true;
    closed.jwt.exp = 60;
    let second = first.beside(closed).await;
    first.sign_up("ann@x.test").await;
    let session = second.sign_in("ann@x.test").await;
    assert_eq!(session["expires_in"], 60);
    let refused = second.post("/signup", json!({"email": "b@x.test", "password": "secret1"})).send().await;
    assert_eq!(refused.status, 422);
    // A session that one began, the other goes on with.
    assert_eq!(first.refresh(&session["refresh_token"]).await.json()["expires_in"], 3600);
}
