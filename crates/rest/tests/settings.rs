//! Configuration that lives in the database.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use axum::body::Body;
use database::{Pool, PoolConfig};
use http::Request;
use rest::config::Origin;
use rest::{Config, Rest};
use testkit::Cluster;
use tower::ServiceExt;

async fn body(rest: &Rest, path: &str) -> String {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = rest.router().oneshot(request).await.unwrap();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn becomes(rest: &Rest, path: &str, wanted: &str) {
    let began = Instant::now();
    loop {
        let found = body(rest, path).await;
        if found == wanted {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{path} is still {found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn settings_of_roles_are_followed_and_change_with_a_reload() {
    let cluster = Cluster::bootstrapped(testkit::servers()[0]).await;
    let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
    admin
        .simple_query(
            "create table public.numbers (n int primary key);
             insert into public.numbers select generate_series(1, 5);
             grant select on public.numbers to anon;
             create function public.patience() returns text stable language sql as
               $$ select current_setting('statement_timeout') $$;
             create schema other;
             create view other.numbers as select 7 as n;
             grant usage on schema other to anon;
             grant select on other.numbers to anon;
             alter role authenticator set pgrst.db_max_rows = '2';
             alter role anon set statement_timeout = '1234ms'",
        )
        .await
        .unwrap();
    let pool = Pool::new(cluster.config("authenticator", "postgres"), PoolConfig::default());
    let rest = Rest::start(Config { anon_role: Some("anon".to_owned()), ..Config::default() }, pool, None);
    becomes(&rest, "/numbers?order=n", "[{\"n\":1}, \n {\"n\":2}]").await;
    assert_eq!(body(&rest, "/rpc/patience").await, "\"1234ms\"");

    admin
        .simple_query(
            "alter role authenticator set pgrst.db_max_rows = '1';
             alter role authenticator in database postgres set pgrst.db_schemas = 'other';
             alter role anon set statement_timeout = '4321ms'",
        )
        .await
        .unwrap();
    // Something else was meant.
    rest.notified(Some("reload something"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(body(&rest, "/numbers?order=n").await, "[{\"n\":1}, \n {\"n\":2}]");
    rest.notified(Some("reload config"));
    becomes(&rest, "/numbers", "[{\"n\":7}]").await;
    assert_eq!(rest.config().max_rows, Some(1));

    // What the server applies when a connection is opened: those that are open do not have it.
    admin.simple_query("alter role authenticator set statement_timeout = '2345ms'").await.unwrap();
    admin.simple_query("alter role anon reset statement_timeout; create function other.patience() returns text stable language sql as $$ select current_setting('statement_timeout') $$").await.unwrap();
    rest.notified(Some("reload schema"));
    becomes(&rest, "/rpc/patience", "\"2345ms\"").await;

    // Granted to the login, not to the role: it is made before the role is taken on.
    admin
        .simple_query(
            "alter role anon set log_min_duration_sample = '12345ms'; alter role anon set log_min_messages = 'fatal';
             grant set on parameter log_min_duration_sample to authenticator;
             create function other.sample() returns text stable language sql as $$ select current_setting('log_min_duration_sample') $$",
        )
        .await
        .unwrap();
    rest.notified(Some("reload schema"));
    becomes(&rest, "/rpc/sample", "\"12345ms\"").await;
    rest.stop().await;
}

#[tokio::test]
async fn a_column_of_another_type_takes_its_values() {
    let cluster = Cluster::bootstrapped(testkit::servers()[0]).await;
    let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
    let make = |id: &str| {
        format!(
            "drop table if exists public.cats; create table public.cats (id {id}); insert into public.cats values ('1'); grant select on public.cats to anon"
        )
    };
    admin.simple_query(&make("text")).await.unwrap();
    // One connection, so that every request meets the statements of those before.
    let limits = PoolConfig { max_size: 1, ..PoolConfig::default() };
    let pool = Pool::new(cluster.config("authenticator", "postgres"), limits);
    let rest = Rest::start(Config { anon_role: Some("anon".to_owned()), ..Config::default() }, pool, None);
    becomes(&rest, "/cats?id=eq.1", "[{\"id\":\"1\"}]").await;
    admin
        .simple_query(
            "drop table public.cats; create table public.cats (id uuid); grant select on public.cats to anon",
        )
        .await
        .unwrap();
    rest.notified(Some("reload schema"));
    becomes(&rest, "/cats?id=eq.dea27321-f988-4a57-93e4-8eeb38f3cf1e", "[]").await;
    admin.simple_query(&make("bigint")).await.unwrap();
    rest.notified(Some("reload schema"));
    becomes(&rest, "/cats?id=eq.1", "[{\"id\":1}]").await;
    rest.stop().await;
}

#[tokio::test]
async fn a_file_is_read_again_and_nothing_that_is_wrong_in_it_counts() {
    let cluster = Cluster::bootstrapped(testkit::servers()[0]).await;
    let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
    admin
        .simple_query("create table public.n (n int); insert into public.n values (1), (2); grant select on public.n to anon")
        .await
        .unwrap();
    let file = std::env::temp_dir().join(format!("rest-settings-{}", std::process::id()));
    std::fs::write(&file, "db-anon-role = \"anon\"\ndb-max-rows = 1").unwrap();
    let origin = Origin::new([], Some(file.clone()));
    let config = origin.read().unwrap();
    let pool = Pool::new(cluster.config("authenticator", "postgres"), PoolConfig::default());
    let rest = Rest::start_from(origin, config, pool, None);
    becomes(&rest, "/n", "[{\"n\":1}]").await;
    std::fs::write(&file, "db-anon-role = \"anon\"\ndb-max-rows = 2\ndb-tx-end = \"never\"").unwrap();
    rest.reload_config();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(body(&rest, "/n").await, "[{\"n\":1}]");
    std::fs::write(&file, "db-anon-role = \"anon\"").unwrap();
    rest.reload_config();
    becomes(&rest, "/n", "[{\"n\":1}, \n {\"n\":2}]").await;
    std::fs::remove_file(&file).unwrap();
    rest.stop().await;
}

#[tokio::test]
async fn there_is_no_use_in_waiting_where_that_is_configured_or_the_password_is_wrong() {
    let cluster = Cluster::bootstrapped(testkit::servers()[0]).await;
    let config = |automatic_recovery| Config {
        anon_role: Some("anon".to_owned()),
        automatic_recovery,
        ..Config::default()
    };
    let start = |automatic_recovery, user| {
        let pool = Pool::new(cluster.config(user, "postgres"), PoolConfig::default());
        Rest::start(config(automatic_recovery), pool, None)
    };
    // A role that may not log in is refused as a wrong password is.
    let refused = start(true, "anon");
    let mut failure = refused.failure();
    let told = tokio::time::timeout(Duration::from_secs(20), failure.wait_for(Option::is_some)).await;
    assert!(told.unwrap().unwrap().as_deref().unwrap().starts_with("the database refuses the login"));
    let impatient = start(false, "authenticator");
    while !impatient.is_ready() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut failure = impatient.failure();
    assert_eq!(*failure.borrow(), None);
    let killed = std::process::Command::new("kill").args(["-9", &cluster.pid().to_string()]).status();
    assert!(killed.unwrap().success());
    impatient.reload();
    let told = tokio::time::timeout(Duration::from_secs(20), failure.wait_for(Option::is_some)).await;
    assert!(told.unwrap().unwrap().as_deref().unwrap().starts_with("automatic recovery is disabled"));
}
