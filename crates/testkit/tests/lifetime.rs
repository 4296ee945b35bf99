//! Clusters end with their process, databases with their test.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Cluster, Server};

/// Set in the process that is going to be killed.
const CHILD: &str = "TESTKIT_LIFETIME_CHILD";

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_killed_process_leaves_no_server_and_no_folder() {
    if std::env::var_os(CHILD).is_some() {
        let cluster = Cluster::bootstrapped(Server::Embedded).await;
        std::fs::write(
            std::env::var_os(CHILD).unwrap(),
            format!("{}\n{}\n", cluster.pid(), cluster.socket_folder().display()),
        )
        .unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_leaves_no_server_and_no_folder"])
        .env(CHILD, &note)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut text = String::new();
    eventually("the child starts a cluster", || {
        text = std::fs::read_to_string(&note).unwrap_or_default();
        text.lines().count() == 2
    });
    let (pid, cluster) = text.trim().split_once('\n').unwrap();
    let running = || Path::new("/proc").join(pid).join("cmdline").exists();
    assert!(running());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server ends", || !running());
    eventually("the folder is removed", || !Path::new(cluster).exists());
}

#[tokio::test]
async fn databases_are_apart_and_go_with_their_test() {
    let (one, other) = tokio::join!(testkit::database(), testkit::database());
    assert_ne!(one.name(), other.name());
    one.connect("postgres").await.simple_query("create table public.t (id int)").await.unwrap();
    let found = other.connect("postgres").await.simple_query("select to_regclass('public.t')").await.unwrap();
    assert_eq!(found[0].scalar(), None);

    let gone = other.name().to_owned();
    drop(other);
    let mut admin = one.admin().await;
    let began = Instant::now();
    loop {
        let sql = format!("select count(*) from pg_database where datname = '{gone}'");
        if admin.simple_query(&sql).await.unwrap()[0].scalar() == Some("0") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{gone} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_crashed_cluster_comes_back_with_what_was_committed() {
    let mut cluster =
        Cluster::with_settings(Server::Embedded, &[("synchronous_commit", "on"), ("work_mem", "5MB")]).await;
    let mut postgres = cluster.connect("postgres", "postgres").await;
    postgres.simple_query("create table public.t (id int); insert into public.t values (1)").await.unwrap();
    cluster.crash().await;
    let mut postgres = cluster.connect("postgres", "postgres").await;
    let rows = postgres.simple_query("select id, current_setting('work_mem') from public.t").await.unwrap();
    assert_eq!((rows[0].rows[0].text(0), rows[0].rows[0].text(1)), (Some("1"), Some("5MB")));
}
