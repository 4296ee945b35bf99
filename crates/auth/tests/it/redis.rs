//! Two instances that count together in Redis, and what they do without it.

use std::time::Duration;

use auth::{Config, Secret};
use serde_json::json;
use testkit::Redis;

use crate::service::{Service, config};

/// Limits that are counted there.
fn shared(redis: &Redis) -> Config {
    let mut config = config();
    let limits = &mut config.rate_limits;
    limits.redis_url = Some(Secret::new(redis.url()));
    limits.header = Some("x-caller".into());
    limits.email_sent = "3/1h".parse().unwrap();
    config
}

/// How many of so many tries were not refused, by caller.
async fn tries(services: [&Service; 2], caller: &str, count: usize) -> usize {
    let mut allowed = 0;
    for turn in 0..count {
        let body = json!({"refresh_token": "unknown"});
        let request = services[turn % 2].post("/token?grant_type=refresh_token", body);
        let answer = request.header("x-caller", caller).newer().send().await;
        match answer.json()["code"].as_str().unwrap() {
            "over_request_rate_limit" => assert_eq!(answer.status, 429),
            other => {
                assert_eq!(other, "refresh_token_not_found");
                allowed += 1;
            }
        }
    }
    allowed
}

#[tokio::test]
async fn instances_share_the_buckets_of_callers() {
    let redis = Redis::start().await;
    let first = Service::start_with(shared(&redis)).await;
    let second = first.beside(shared(&redis)).await;
    // The bucket holds 30, and regains one every two seconds.
    let allowed = tries([&first, &second], "ann", 45).await;
    assert!((30..=36).contains(&allowed), "{allowed}");
    assert_eq!(tries([&first, &second], "bob", 10).await, 10);
}

#[tokio::test]
async fn instances_share_what_the_installation_may_send() {
    let redis = Redis::start().await;
    for rate in ["3", "3/1h"] {
        let mut config = shared(&redis);
        config.external_url = format!("http://auth.test/{rate}");
        config.mailer.autoconfirm = false;
        config.rate_limits.email_sent = rate.parse().unwrap();
        let first = Service::start_with(config.clone()).await;
        let second = first.beside(config).await;
        let mut statuses = Vec::new();
        for turn in 0..6 {
            let service = [&first, &second][turn % 2];
            let body = json!({"email": format!("p{turn}@x.test"), "password": "secret1"});
            statuses.push(service.post("/signup", body).send().await.status);
        }
        assert_eq!(statuses, [200, 200, 200, 429, 429, 429], "{rate}");
    }
}

#[tokio::test]
async fn without_redis_each_counts_for_itself_until_it_is_back() {
    let mut redis = Redis::start().await;
    let first = Service::start_with(shared(&redis)).await;
    let second = first.beside(shared(&redis)).await;
    assert_eq!(tries([&first, &second], "ann", 2).await, 2);
    redis.stop();
    let began = std::time::Instant::now();
    let allowed = tries([&first, &second], "ann", 80).await;
    assert!((60..=66).contains(&allowed), "{allowed}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    redis.restart().await;
    // Redis is left alone for two seconds after it did not answer, and found again some time later.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    tries([&first, &second], "ann", 2).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    tries([&first, &second], "ann", 2).await;
    let allowed = tries([&first, &second], "eve", 45).await;
    assert!((30..=36).contains(&allowed), "{allowed}");
}

#[tokio::test]
async fn an_address_that_is_none_stops_the_start() {
    let mut config = config();
    config.rate_limits.redis_url = Some(Secret::new("http://hush@x"));
    let database = testkit::database().await;
    let keys = tokens::KeyRing::new(tokens::KeySet::from_secret("secret").unwrap());
    let pool = database.pool("supabase_auth_admin");
    let Err(error) = auth::State::new(config, pool, keys, None) else { panic!("it started") };
    assert_eq!(error.to_string(), "REDIS_URL: is not the address of a Redis");
}
