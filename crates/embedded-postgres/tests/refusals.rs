//! What cannot be started says why and what to do, and leaves everything as it was.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod support;

use std::{fs, net::TcpListener, path::Path, process::Command};

use embedded_postgres::{Cluster, Error, Options};
use support::{engine, is_root, options, psql, scratch};

/// All files below a folder with their contents.
fn contents(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().unwrap() != "lock" {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

async fn refused(options: Options) -> Error {
    Cluster::start(&engine(), options).await.map(drop).unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_over_the_same_folder_names_the_first() {
    let folder = scratch();
    let options = options(&folder).await;
    let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
    let error = refused(options).await;
    let message =
        format!("the data folder {} is in use by process {}", cluster.folder().display(), std::process::id());
    assert_eq!(error.to_string(), message);
    assert!(error.hint().unwrap().contains("monobase stop"));
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_before_anything_is_made() {
    let folder = scratch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(&folder).await;
    options.tcp = Some(listener.local_addr().unwrap());
    let error = refused(options.clone()).await;
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    assert!(error.hint().unwrap().contains("[db] port"));
    assert!(!options.folder.join("data").exists());

    drop(listener);
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_major_version_is_left_alone() {
    let folder = scratch();
    let options = options(&folder).await;
    Cluster::start(&engine(), options.clone()).await.unwrap().stop().await;
    fs::write(options.folder.join("data/PG_VERSION"), "15\n").unwrap();
    let before = contents(&options.folder);
    let error = refused(options.clone()).await;
    assert!(error.to_string().ends_with("is of PostgreSQL 15, this engine is PostgreSQL 18"), "{error}");
    assert!(error.hint().unwrap().starts_with("nothing was changed"));
    assert_eq!(contents(&options.folder), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_newer_version_is_left_alone() {
    let folder = scratch();
    let options = options(&folder).await;
    Cluster::start(&engine(), options.clone()).await.unwrap().stop().await;
    fs::write(options.folder.join("format"), "2\n").unwrap();
    let before = contents(&options.folder);
    let error = refused(options.clone()).await;
    assert!(error.to_string().ends_with("has format 2, this version knows formats up to 1"), "{error}");
    assert_eq!(contents(&options.folder), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_data_directory_is_left_alone() {
    let folder = scratch();
    fs::write(folder.path().join("PG_VERSION"), "18\n").unwrap();
    let error = refused(Options::new(folder.path())).await;
    assert!(matches!(error, Error::BareDataDirectory(_)), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_with_its_heart_missing_is_left_alone() {
    for missing in ["PG_VERSION", "global/pg_control"] {
        let folder = scratch();
        let options = options(&folder).await;
        Cluster::start(&engine(), options.clone()).await.unwrap().stop().await;
        fs::remove_file(options.folder.join("data").join(missing)).unwrap();
        let before = contents(&options.folder);
        let error = refused(options.clone()).await;
        assert!(error.to_string().ends_with(&format!("is incomplete: {missing} is missing")), "{error}");
        assert_eq!(contents(&options.folder), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_postgresql_refuses_is_told_in_its_words() {
    let folder = scratch();
    let mut options = options(&folder).await;
    options.settings = vec![("shared_buffers".into(), "lots".into())];
    let error = refused(options.clone()).await;
    assert!(
        error.to_string().contains("invalid value for parameter \"shared_buffers\": \"lots\""),
        "{error}"
    );
    options.settings.clear();
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    cluster.stop().await;
}

/// A file system of a few megabytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = scratch();
        let mounted = is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "none"])
                .arg(folder.path())
                .status()
                .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: a small disk can only be mounted by root");
        }
        mounted.then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_too_small_for_the_first_start_is_told_and_left_empty() {
    let Some(disk) = SmallDisk::mount("20m") else { return };
    let mut options = options(&disk.0).await;
    for seed in [options.seed.clone(), embedded_postgres::Seed::Initdb] {
        options.seed = seed;
        let error = refused(options.clone()).await;
        assert!(matches!(error, Error::DiskFull(_)), "{error}");
        assert!(!options.folder.join("data").exists() && !options.folder.join("data.incomplete").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_costs_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount("110m") else { return };
    let options = options(&disk.0).await;
    let cluster = Cluster::start(&engine(), options.clone()).await.unwrap();
    psql(&cluster, "create table t as select 1 as n").unwrap();
    fs::write(disk.0.path().join("filler"), vec![1; 200 << 20]).unwrap_err();
    let full = psql(
        &cluster,
        "create table big as select repeat(md5(i::text), 50) from generate_series(1, 100000) as i",
    );
    let full = full.unwrap_err();
    assert!(full.contains("No space left on device") || full.contains("connection"), "{full}");
    drop(cluster);
    // Whether it starts depends on what was left; when it does not, the reason is told.
    match Cluster::start(&engine(), options.clone()).await {
        Ok(cluster) => cluster.stop().await,
        Err(error) => assert!(matches!(error, Error::DiskFull(_)), "{error}"),
    }
    fs::remove_file(disk.0.path().join("filler")).unwrap();
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    assert_eq!(psql(&cluster, "select n from t"), Ok("1".into()));
    cluster.stop().await;
}
