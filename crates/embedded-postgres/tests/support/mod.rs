#![allow(dead_code, unreachable_pub)]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use embedded_postgres::{Cluster, Engine, EngineSource, Options, SUPERUSER, Seed, template};
use tempfile::TempDir;
use tokio::sync::OnceCell;

pub fn engine() -> Engine {
    Engine::locate(EngineSource::Auto).expect("the engine is assembled by `make engine`")
}

pub fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("monobase-engine-").tempdir().unwrap()
}

/// Options for a cluster that begins as a copy of a fresh one, which is kept between runs: `initdb` takes its time.
pub async fn options(folder: &TempDir) -> Options {
    static TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(make_template).await;
    let mut options = Options::new(folder.path().join("cluster"));
    options.seed = Seed::Folder(template.clone());
    options
}

async fn make_template() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(base).unwrap();
    let target = base.join(format!("template-{}", engine().id()));
    // Test binaries may run beside each other.
    let lock = File::create(base.join("template.lock")).unwrap();
    lock.lock().unwrap();
    if !target.exists() {
        let folder = scratch();
        let options = Options::new(folder.path().join("cluster"));
        let cluster = Cluster::start(&engine(), options).await.unwrap();
        let source = cluster.folder().to_owned();
        cluster.stop().await;
        let made = tempfile::tempdir_in(base).unwrap();
        template::capture(&source, &made.path().join("template")).unwrap();
        fs::rename(made.path().join("template"), &target).unwrap();
    }
    target
}

/// Runs statements as the superuser over the socket: the rows as text, or what `psql` complained about.
pub fn psql(cluster: &Cluster, sql: &str) -> Result<String, String> {
    let folder = cluster.socket_folder().display().to_string();
    psql_at(&folder, cluster.port(), SUPERUSER, Some(cluster.superuser_password()), "", sql)
}

pub fn psql_at(
    host: &str,
    port: u16,
    user: &str,
    password: Option<&str>,
    more: &str,
    sql: &str,
) -> Result<String, String> {
    let output = Command::new(engine().program("psql"))
        .env_clear()
        .envs(password.map(|password| ("PGPASSWORD", password)))
        .args(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .arg(format!("host='{host}' port={port} user={user} dbname=postgres connect_timeout=5 {more}"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether the process exists and has not merely failed to be collected.
pub fn alive(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X'])))
}

pub fn kill(process: u32) {
    let process = nix::unistd::Pid::from_raw(process.cast_signed());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// Waits for a condition; panics after twenty seconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
