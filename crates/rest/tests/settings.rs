//! Configuration that lives in the database.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use axum::body::Body;
use database::{Pool, PoolConfig};
use http::Request;
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
    rest.stop().await;
}
