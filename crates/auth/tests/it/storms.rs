//! Many at once: one address, one token.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::service::{Service, config, config_with_confirmation};

/// How often each answer came.
async fn count(answers: Vec<tokio::task::JoinHandle<String>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.await.unwrap()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sign_ups_of_one_address_make_one_user() {
    let mut config = config_with_confirmation();
    config.max_request_duration = std::time::Duration::from_secs(120);
    let service = Arc::new(Service::start_with(config).await);
    let answers = (0..1000)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let body = json!({"email": "ann@x.test", "password": "secret1"});
                let answer = service.post("/signup", body).newer().send().await;
                let kind =
                    if answer.status == 200 { "pending".into() } else { answer.json()["code"].to_string() };
                format!("{} {kind}", answer.status)
            })
        })
        .collect();
    let counts = count(answers).await;
    let known = ["200 pending", "429 \"over_email_send_rate_limit\""];
    assert!(counts.keys().all(|answer| known.contains(&answer.as_str())), "{counts:?}");
    assert!(counts.contains_key("200 pending"), "{counts:?}");
    let rows = "select (select count(*) from auth.users) || ' ' || (select count(*) from auth.identities)";
    assert_eq!(service.sql(rows).await, "1 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_of_one_token_give_one_successor() {
    let mut config = config();
    config.security.refresh_token_reuse_interval = 10;
    let service = Arc::new(Service::start_with(config).await);
    let token = service.sign_up("ann@x.test").await["refresh_token"].clone();
    let answers = (0..50)
        .map(|_| {
            let (service, token) = (service.clone(), token.clone());
            tokio::spawn(async move {
                let answer = service.refresh(&token).await;
                format!("{} {}", answer.status, answer.json()["refresh_token"])
            })
        })
        .collect();
    let counts = count(answers).await;
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert!(counts.keys().all(|answer| answer.starts_with("200 ")), "{counts:?}");
    assert_eq!(service.sql("select count(*) from auth.refresh_tokens where not revoked").await, "1");
}
