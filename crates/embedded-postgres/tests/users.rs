//! Root's cluster runs as somebody else. All of this needs root and is skipped without.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use embedded_postgres::{Cluster, Error, Options, Seed};
use support::{engine, is_root, options, psql, scratch};

fn skip() -> bool {
    if !is_root() {
        eprintln!("skipped: only root becomes another user");
    }
    !is_root()
}

fn status(process: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn root_hands_postgresql_to_another_user_without_any_privilege() {
    if skip() {
        return;
    }
    let folder = scratch();
    let cluster = Cluster::start(&engine(), options(&folder).await).await.unwrap();
    let process = cluster.process().unwrap();
    let owner = fs::metadata(cluster.folder().join("data")).unwrap();
    assert_ne!(owner.uid(), 0);
    assert_eq!(status(process, "Uid"), [owner.uid(); 4].map(|id| id.to_string()).join(" "));
    assert_eq!(status(process, "Gid"), [owner.gid(); 4].map(|id| id.to_string()).join(" "));
    assert_eq!(status(process, "Groups"), "");
    assert_eq!(status(process, "CapEff"), "0000000000000000");
    assert_eq!(status(process, "NoNewPrivs"), "1");
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    let secret = fs::metadata(cluster.folder().join("superuser.password")).unwrap();
    assert_eq!((secret.uid(), secret.mode() & 0o777), (0, 0o600));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_folder_above_the_data_is_no_obstacle() {
    if skip() {
        return;
    }
    let folder = scratch();
    for seed in [Seed::Initdb, options(&folder).await.seed] {
        let closed = tempfile::tempdir_in(folder.path()).unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut options = Options::new(closed.path().join("cluster"));
        options.seed = seed;
        options.tcp = Some("127.0.0.1:0".parse().unwrap());
        for _ in 0..2 {
            let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
            assert_eq!(psql(&cluster, "select pg_reload_conf()"), Ok("t".into()));
            cluster.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_id_without_a_name_will_do() {
    if skip() {
        return;
    }
    let folder = scratch();
    for seed in [Seed::Initdb, options(&folder).await.seed] {
        let mut options = Options::new(tempfile::tempdir_in(folder.path()).unwrap().path().join("cluster"));
        options.seed = seed;
        options.user = Some("54021:54022".into());
        let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
        assert!(status(cluster.process().unwrap(), "Uid").starts_with("54021 "));
        assert!(status(cluster.process().unwrap(), "Gid").starts_with("54022 "));
        cluster.stop().await;

        // Without being told again it stays with the owner of the data; told otherwise, the data changes hands.
        options.user = None;
        let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
        assert!(status(cluster.process().unwrap(), "Uid").starts_with("54021 "));
        cluster.stop().await;
        options.user = Some("54023".into());
        let cluster = Cluster::start(&engine(), options).await.unwrap();
        assert!(status(cluster.process().unwrap(), "Uid").starts_with("54023 "));
        assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_itself_is_refused() {
    if skip() {
        return;
    }
    let folder = scratch();
    let mut options = options(&folder).await;
    options.user = Some("root".into());
    let error = Cluster::start(&engine(), options).await.unwrap_err();
    assert!(matches!(error, Error::User { .. }), "{error}");
    assert!(!Path::new(&folder.path().join("cluster/data")).exists());
}
