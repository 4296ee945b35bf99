//! Servers that die.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use database::{ListenEvent, Listener, Pool, PoolConfig, RequestContext, Statement};

async fn heard(listener: &mut Listener) -> ListenEvent {
    tokio::time::timeout(Duration::from_secs(20), listener.recv()).await.expect("an event in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn pool_and_listener_survive_a_restart_of_the_server() {
    let bin = support::debian().or_else(support::embedded).unwrap();
    let mut cluster = support::Cluster::start(&bin, &[], support::TRUST);
    let pool = Pool::new(cluster.config(), PoolConfig::default());
    let one = [Statement::new("select 1", &[])];
    let context = RequestContext::default();
    let mut listener = Listener::connect(cluster.config(), &["c"]).await.unwrap();
    let three = tokio::join!(
        pool.request(&context, &one),
        pool.request(&context, &one),
        pool.request(&context, &one)
    );
    assert!(three.0.is_ok() && three.1.is_ok() && three.2.is_ok());
    cluster.kill();
    let error = pool.request(&context, &one).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    tokio::task::block_in_place(|| cluster.restart());
    assert_eq!(pool.request(&context, &one).await.unwrap()[0].scalar(), Some("1"));
    assert_eq!(heard(&mut listener).await, ListenEvent::Reconnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_process_fails_its_statement_and_the_pool_recovers() {
    for bin in [support::debian(), support::embedded()].into_iter().flatten() {
        let cluster = support::Cluster::start(&bin, &[], support::TRUST);
        let pool = Pool::new(cluster.config(), PoolConfig::default());
        let (context, one) = (RequestContext::default(), [Statement::new("select pg_backend_pid()", &[])]);
        let pid = pool.request(&context, &one).await.unwrap()[0].scalar().unwrap().to_owned();
        let nap = [Statement::new("select pg_sleep(60)", &[])];
        let kill = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        };
        let (outcome, ()) = tokio::join!(pool.request(&context, &nap), kill);
        let error = outcome.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        // The server throws every session out and recovers.
        let begun = Instant::now();
        loop {
            match pool.request(&context, &one).await {
                Ok(_) => break,
                Err(error) => {
                    assert!(error.is_unavailable() && begun.elapsed() < Duration::from_secs(20), "{error}")
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
