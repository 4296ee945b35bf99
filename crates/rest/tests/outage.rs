//! The database goes away and comes back.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use axum::body::Body;
use database::{Pool, PoolConfig};
use http::{Request, Response, StatusCode};
use rest::{Config, Rest};
use testkit::Cluster;
use tower::ServiceExt;

async fn get(rest: &Rest, path: &str) -> Response<Body> {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    rest.router().oneshot(request).await.unwrap()
}

async fn eventually(rest: &Rest, status: StatusCode) {
    let began = Instant::now();
    while get(rest, "/things").await.status() != status {
        assert!(began.elapsed() < Duration::from_secs(30), "still not {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn requests_get_503_while_the_database_is_away_and_work_again_by_themselves() {
    let mut cluster = Cluster::bootstrapped(testkit::servers()[0]).await;
    cluster
        .connect("postgres", "postgres")
        .await
        .simple_query("set synchronous_commit = on; create table public.things (id int primary key)")
        .await
        .unwrap();
    let limits = PoolConfig { acquire_timeout: Duration::from_secs(2), ..PoolConfig::default() };
    let pool = Pool::new(cluster.config("authenticator", "postgres"), limits);
    let config = Config { anon_role: Some("anon".to_owned()), ..Config::default() };
    let rest = Rest::start(config.clone(), pool.clone(), None);
    let cold = get(&rest, "/things").await;
    assert_eq!(cold.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(cold.headers()["retry-after"], "1");
    assert_eq!(cold.headers()["proxy-status"], "PostgREST; error=PGRST002");
    eventually(&rest, StatusCode::OK).await;

    let killed = std::process::Command::new("kill").args(["-9", &cluster.pid().to_string()]).status();
    assert!(killed.unwrap().success());
    eventually(&rest, StatusCode::SERVICE_UNAVAILABLE).await;
    let away = get(&rest, "/things").await;
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(away.headers().contains_key("retry-after"));
    // What needs no database goes on.
    let options = Request::builder().method("OPTIONS").uri("/things").body(Body::empty()).unwrap();
    assert_eq!(rest.router().oneshot(options).await.unwrap().status(), StatusCode::OK);
    // A reload that fails takes nothing away; a service that starts now finds its way later.
    rest.reload();
    let late = Rest::start(config, pool, None);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(rest.is_ready() && !late.is_ready());

    cluster.crash().await;
    eventually(&rest, StatusCode::OK).await;
    eventually(&late, StatusCode::OK).await;
    rest.stop().await;
    late.stop().await;
}

#[tokio::test]
async fn who_says_that_the_database_is_back_is_believed() {
    let mut cluster = Cluster::bootstrapped(testkit::servers()[0]).await;
    let killed = std::process::Command::new("kill").args(["-9", &cluster.pid().to_string()]).status();
    assert!(killed.unwrap().success());
    let pool = Pool::new(cluster.config("authenticator", "postgres"), PoolConfig::default());
    let config = Config { anon_role: Some("anon".to_owned()), ..Config::default() };
    let rest = Rest::start(config, pool, None);
    // After these attempts the next one by itself is eight seconds away.
    tokio::time::sleep(Duration::from_secs(8)).await;
    cluster.crash().await;
    let back = Instant::now();
    while !rest.is_ready() {
        rest.notified(None);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(back.elapsed() < Duration::from_secs(4), "{:?}", back.elapsed());
    rest.stop().await;
}
