//! A release: the engine and the data directory to begin with come out of the executable itself.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod support;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use embedded_postgres::{Cluster, Engine, EngineSource, Options, Seed, payload, template};
use support::{engine, psql, scratch};
use tempfile::TempDir;

/// A packed executable with a cluster that holds the table `kept` in its template.
async fn release(folder: &Path) -> PathBuf {
    let mut options = Options::new(folder.join("origin"));
    options.seed = Seed::Initdb;
    let cluster = Cluster::start(&engine(), options).await.unwrap();
    psql(&cluster, "create table kept as select 7 as n; alter role supabase_admin password null").unwrap();
    let origin = cluster.folder().to_owned();
    cluster.stop().await;
    let (engine_archive, template_archive) = (folder.join("engine.tar.zst"), folder.join("template.tar.zst"));
    template::pack(&engine(), &origin, 1, &template_archive).unwrap();
    template::pack_engine(&engine(), 1, &engine_archive).unwrap();
    let parts =
        [(payload::ENGINE, "test", &*engine_archive), (payload::TEMPLATE, "test", &*template_archive)];
    let output = folder.join("monobase");
    payload::append(Path::new("/bin/true"), &parts, &output).unwrap();
    output
}

/// Not a test: a process with a cache folder of its own choice that starts a cluster out of a release.
#[tokio::test(flavor = "multi_thread")]
async fn first_start() {
    let Some(executable) = std::env::var_os("RELEASE") else { return };
    let began = Instant::now();
    let engine = Engine::locate(EngineSource::Payload(executable.into())).unwrap_or_else(|error| {
        println!("\nanswer {error}");
        std::process::exit(0)
    });
    let located = began.elapsed();
    let folder = scratch();
    let cluster = Cluster::start(&engine, Options::new(folder.path())).await.unwrap();
    eprintln!("located in {located:?}, started in {:?}", began.elapsed() - located);
    println!("\nanswer {} {}", psql(&cluster, "select n from kept").unwrap(), engine.folder().display());
    cluster.stop().await;
}

fn start(release: &Path, cache: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "first_start", "--nocapture"])
        .env("RELEASE", release)
        .env("MONOBASE_CACHE", cache)
        // For `psql` alone.
        .env("MONOBASE_ENGINE", engine().folder())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn answer(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("answer ")).unwrap_or(&text).to_owned()
}

/// PostgreSQL may run as another user, who must be able to come here.
fn cache() -> TempDir {
    let folder = scratch();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_unpacks_once_even_when_started_three_times_at_once() {
    let (folder, cache) = (scratch(), cache());
    let release = release(folder.path()).await;
    let first: Vec<_> = (0..3).map(|_| start(&release, cache.path())).collect();
    let answers: Vec<_> = first.into_iter().map(answer).collect();
    assert!(answers[0].starts_with(&format!("7 {}/engine/test-", cache.path().display())), "{}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let kept: Vec<_> =
        fs::read_dir(cache.path().join("engine")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(kept.len(), 2, "only the lock and one engine: {kept:?}");

    // An engine that a power cut may have damaged is unpacked again.
    let engine = Path::new(answers[0].strip_prefix("7 ").unwrap());
    fs::write(engine.join(".unsynced"), "another boot").unwrap();
    fs::write(engine.join("bin/postgres"), "").unwrap();
    assert_eq!(answer(start(&release, cache.path())), answers[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_release_is_noticed_and_leaves_nothing_behind() {
    let (folder, cache) = (scratch(), cache());
    let release = release(folder.path()).await;
    let mut content = fs::read(&release).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::remove_file(&release).unwrap();
    fs::write(&release, content).unwrap();
    let told = answer(start(&release, cache.path()));
    assert!(told.starts_with("the engine inside of this executable is damaged: "), "{told}");
    let kept: Vec<_> =
        fs::read_dir(cache.path().join("engine")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(kept, [".lock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_others_can_write_to_is_refused() {
    let (folder, cache) = (scratch(), cache());
    let release = release(folder.path()).await;
    fs::set_permissions(cache.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let told = answer(start(&release, cache.path()));
    assert_eq!(told, format!("{} is owned or writable by another user", cache.path().display()));
    std::io::stderr().flush().unwrap();
}
