#![allow(dead_code, unreachable_pub)]

use std::process::Command;

use embedded_postgres::{Cluster, Engine, EngineSource, SUPERUSER};
use tempfile::TempDir;

pub fn engine() -> Engine {
    Engine::locate(EngineSource::Auto).expect("the engine is assembled by `make engine`")
}

pub fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("monobase-engine-").tempdir().unwrap()
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
