//! What is left behind and what dies: everything comes back, nothing is lost.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use embedded_postgres::{Cluster, Options, Seed, State};
use support::{alive, engine, eventually, kill, options, psql, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgresql_is_restarted_and_nothing_acknowledged_is_lost() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    psql(&cluster, "create table t as select generate_series(1, 1000) as n").unwrap();
    let mut state = cluster.state();
    for round in 1..=3 {
        let before = cluster.process().unwrap();
        psql(&cluster, "insert into t select 1").unwrap();
        state.mark_unchanged();
        kill(before);
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, state.wait_for(|state| *state == State::Restarting))
            .await
            .unwrap()
            .unwrap();
        tokio::time::timeout(limit, state.wait_for(|state| *state == State::Running)).await.unwrap().unwrap();
        assert_eq!(psql(&cluster, "select count(*) from t"), Ok((1000 + round).to_string()));
        assert_ne!(cluster.process(), Some(before));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_backend_does_not_hold_up_the_restart() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let mut busy = Command::new(engine().program("psql"))
        .env("PGPASSWORD", cluster.superuser_password())
        .args(["-X", "-h"])
        .arg(cluster.socket_folder())
        .args(["-p", &cluster.port().to_string(), "-U", "supabase_admin", "postgres", "-c"])
        .arg("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let count =
        "select count(*) from pg_stat_activity where state = 'active' and query like '%generate_series%b'";
    eventually("the query runs", || psql(&cluster, count) == Ok("1".into()));
    let before = cluster.process();
    kill(before.unwrap());
    let began = Instant::now();
    let state = cluster.state();
    let back = || cluster.process().is_some_and(|process| Some(process) != before);
    eventually("it is back", || back() && *state.borrow() == State::Running);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(psql(&cluster, count), Ok("0".into()));
    busy.wait().unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backend_is_told_as_a_restart() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let before = cluster.process();
    let mut state = cluster.state();
    state.mark_unchanged();
    let mut idle = Command::new(engine().program("psql"))
        .env("PGPASSWORD", cluster.superuser_password())
        .args(["-X", "-h"])
        .arg(cluster.socket_folder())
        .args(["-p", &cluster.port().to_string(), "-U", "supabase_admin", "postgres"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let find = "select max(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'";
    eventually("the session is there", || psql(&cluster, find).is_ok_and(|pid| !pid.is_empty()));
    kill(psql(&cluster, find).unwrap().parse().unwrap());
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, state.wait_for(|state| *state == State::Restarting)).await.unwrap().unwrap();
    tokio::time::timeout(limit, state.wait_for(|state| *state == State::Running)).await.unwrap().unwrap();
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    assert_eq!(cluster.process(), before);
    drop(idle.stdin.take());
    idle.wait().unwrap();
    cluster.stop().await;
}

/// Not a test: the server process that other tests kill. It runs a cluster until then.
#[tokio::test(flavor = "multi_thread")]
async fn server_process() {
    let (Ok(folder), Ok(seed)) = (std::env::var("CLUSTER_FOLDER"), std::env::var("CLUSTER_SEED")) else {
        return;
    };
    let mut options = Options::new(folder);
    options.seed = Seed::Folder(seed.into());
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    eprintln!("\nprocess {}", cluster.process().unwrap());
    std::future::pending::<()>().await;
}

/// Starts a server process over the cluster; returns it with the id of its PostgreSQL.
fn serve(options: &Options) -> (Child, u32) {
    let Seed::Folder(seed) = &options.seed else { panic!("a seed is a folder here") };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server_process", "--nocapture"])
        .env("CLUSTER_FOLDER", &options.folder)
        .env("CLUSTER_SEED", seed)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let process = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("process ")?.parse().ok());
    (child, process.expect("the server starts"))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_ends_when_its_server_is_killed_and_the_next_start_takes_over() {
    let folder = scratch();
    let options = options(&folder).await;
    let (mut server, postgresql) = serve(&options);
    assert!(alive(postgresql));
    server.kill().unwrap();
    server.wait().unwrap();
    // At once, while the other one may still be writing its last checkpoint.
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert!(!alive(postgresql));
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_killed_at_once_are_recovered_from() {
    let folder = scratch();
    let options = options(&folder).await;
    let (mut server, postgresql) = serve(&options);
    server.kill().unwrap();
    kill(postgresql);
    server.wait().unwrap();
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_pid_file_of_a_living_stranger_is_no_obstacle() {
    let folder = scratch();
    let options = options(&folder).await;
    let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
    let data = cluster.folder().join("data");
    cluster.stop().await;
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let file = data.join("postmaster.pid");
    fs::write(
        &file,
        format!("{}\n{}\n1795316062\n5432\n\n\n 1 1\nready   \n", stranger.id(), data.display()),
    )
    .unwrap();
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    assert!(alive(stranger.id()), "a stranger was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_first_start_is_made_again() {
    let folder = scratch();
    let options = options(&folder).await;
    let half = options.folder.join("data.incomplete");
    fs::create_dir_all(half.join("base/1")).unwrap();
    fs::write(half.join("PG_VERSION"), "18\n").unwrap();
    fs::write(options.folder.join("superuser.password"), "of the first try").unwrap();
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert!(cluster.created() && !half.exists());
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    cluster.stop().await;
}
