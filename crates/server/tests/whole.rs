//! The whole, started in a folder of its own and spoken to over TCP.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use config::{Config, Environment, Flags};
use server::control::{self, Status};
use server::{Error, Running, StartOptions, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn config(folder: &Path, change: impl FnOnce(&mut Flags)) -> Config {
    let mut flags = Flags { workdir: Some(folder.to_owned()), port: Some(0), ..Flags::default() };
    change(&mut flags);
    Config::load(&flags, Environment::from_process([]), folder).unwrap()
}

fn options(config: Config) -> StartOptions {
    StartOptions::new(config)
}

async fn started(folder: &Path) -> Running {
    start(options(config(folder, |_| {}))).await.unwrap()
}

/// Each test has a whole PostgreSQL of its own.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Status and body.
async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn get(path: &str) -> String {
    let key = tokens::development::ANON_KEY;
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\napikey: {key}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_becomes_a_backend_that_stops_and_starts_again() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let place = tempfile::tempdir().unwrap();
    let running = started(place.path()).await;
    let api = running.addresses().api.unwrap();
    let (code, health) = ask(api, &get("/health")).await;
    assert_eq!((code, health.contains(r#""database":"up""#)), (200, true), "{health}");
    let socket = config(place.path(), |_| {}).paths.control_socket();
    assert!(matches!(control::status(&socket).await.unwrap(), Status::Up(_)));

    let second = start(options(config(place.path(), |_| {}))).await;
    assert_eq!(second.err().unwrap().to_string(), "monobase is already running here");

    assert!(control::request_stop(&socket).await.unwrap());
    running.wait().await.unwrap();
    assert!(matches!(control::status(&socket).await.unwrap(), Status::Down));
    assert!(TcpStream::connect(api).await.is_err());

    let again = started(place.path()).await;
    assert_eq!(ask(again.addresses().api.unwrap(), &get("/health")).await.0, 200);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_stops_the_start_and_leaves_nothing_running() {
    let place = tempfile::tempdir().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let taken = config(place.path(), |flags| flags.port = Some(port));
    let error = start(options(taken)).await.err().unwrap();
    assert!(matches!(error, Error::PortTaken { .. }), "{error}");
    assert!(!place.path().join(".monobase/control.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_a_clear_error() {
    let place = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outside =
        config(place.path(), |flags| flags.db_url = Some(format!("postgresql://a:b@{closed}/postgres")));
    let error = tokio::time::timeout(Duration::from_secs(20), start(options(outside))).await.unwrap();
    let error = error.err().unwrap();
    assert!(error.to_string().starts_with("cannot prepare the database: "), "{error}");
    assert!(!error.to_string().contains(":b@"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_newer_program_is_refused() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join(".monobase")).unwrap();
    std::fs::write(place.path().join(".monobase/format"), "99\n").unwrap();
    let error = start(options(config(place.path(), |_| {}))).await.err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found: 99, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_run_leaves_no_data() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let place = tempfile::tempdir().unwrap();
    let running = start(options(config(place.path(), |flags| flags.ephemeral = true))).await.unwrap();
    assert_eq!(ask(running.addresses().api.unwrap(), &get("/health")).await.0, 200);
    running.stop().await;
    assert!(!place.path().join(".monobase/postgres").exists());
}

/// The answer's head and body.
async fn ask_whole(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_is_503_and_comes_back_by_itself() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let place = tempfile::tempdir().unwrap();
    let migrations = place.path().join("supabase/migrations");
    std::fs::create_dir_all(&migrations).unwrap();
    let sql = "create table notes (id int primary key); insert into notes values (1);";
    std::fs::write(migrations.join("20240101000000_notes.sql"), sql).unwrap();
    let running = started(place.path()).await;
    let api = running.addresses().api.unwrap();
    assert_eq!(ask(api, &get("/rest/v1/notes")).await, (200, r#"[{"id":1}]"#.to_owned()));

    let pid_file = place.path().join(".monobase/postgres/data/postmaster.pid");
    let pid: i32 = std::fs::read_to_string(pid_file).unwrap().lines().next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let mut seen_away = false;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        assert!(std::time::Instant::now() < deadline, "the database does not come back");
        let answer = ask_whole(api, &get("/rest/v1/notes")).await;
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.contains("\r\nretry-after: "), "{answer}");
            seen_away = true;
        } else {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.ends_with(r#"[{"id":1}]"#), "{answer}");
            if seen_away {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_cannot_be_applied_is_applied_when_it_has_been_mended() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let place = tempfile::tempdir().unwrap();
    let migrations = place.path().join("supabase/migrations");
    std::fs::create_dir_all(&migrations).unwrap();
    let file = migrations.join("20240101000000_notes.sql");
    std::fs::write(&file, "create table notes (id int primary key); insert into nothing values (1);")
        .unwrap();
    let error = start(options(config(place.path(), |_| {}))).await.err().unwrap();
    assert!(error.to_string().starts_with("cannot apply the project to the database: "), "{error}");
    assert!(error.to_string().contains("20240101000000_notes.sql"), "{error}");

    std::fs::write(&file, "create table notes (id int primary key);").unwrap();
    let running = started(place.path()).await;
    let api = running.addresses().api.unwrap();
    assert_eq!(ask(api, &get("/rest/v1/notes")).await, (200, "[]".to_owned()));
    running.stop().await;
}

/// A local token of role `anon` that was signed with this algorithm.
fn signed_by(algorithm: &str) -> String {
    // "k" is base64url of the local secret.
    let key = serde_json::json!([{
        "kty": "oct", "alg": algorithm, "key_ops": ["sign"],
        "k": "c3VwZXItc2VjcmV0LWp3dC10b2tlbi13aXRoLWF0LWxlYXN0LTMyLWNoYXJhY3RlcnMtbG9uZw",
    }]);
    let keys = tokens::KeySet::from_signing_keys(&key.to_string()).unwrap();
    let claims = serde_json::json!({ "role": "anon", "exp": tokens::development::EXPIRES_AT });
    tokens::KeyRing::new(keys).sign(&claims).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_realtime_takes_tokens_of_every_hmac() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let place = tempfile::tempdir().unwrap();
    let running = started(place.path()).await;
    let api = running.addresses().api.unwrap();
    for (algorithm, rest) in [("HS256", 200), ("HS384", 401), ("HS512", 401)] {
        let token = signed_by(algorithm);
        let with_token = |request: &str, body: &str| {
            let head = request.strip_suffix("\r\n").unwrap();
            let (kind, length) = ("application/json", body.len());
            format!(
                "{head}Authorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        let body = r#"{"messages":[{"topic":"room","event":"e","payload":{}}]}"#;
        let post = get("/realtime/v1/api/broadcast").replacen("GET", "POST", 1);
        assert_eq!(ask(api, &with_token(&post, body)).await.0, 202, "{algorithm}");
        // In this order: what one service has verified is no news for another.
        assert_eq!(ask(api, &with_token(&get("/rest/v1/"), "")).await.0, rest, "{algorithm}");
    }
    running.stop().await;
}
