//! The end of the door: what is in flight finishes, what hangs is cut, nothing new begins.

use std::time::{Duration, Instant};

use crate::support::{ANON_KEY, door, door_with, read_to_end};
use gateway::{Config, Mount, Service};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\n\r\n")
}

#[tokio::test]
async fn a_request_in_flight_finishes_and_its_connection_closes() {
    let door = door().await;
    let address = door.address;
    let mut busy = door.connect().await;
    busy.write_all(get("/rest/v1/slow").as_bytes()).await.unwrap();
    let mut idle = door.connect().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    door.order_stop();
    assert_eq!(read_to_end(&mut idle).await, "");
    let answer = read_to_end(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    door.stopped().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_that_hangs_is_cut_after_the_bound() {
    let door = door().await;
    let mut busy = door.connect().await;
    busy.write_all(get("/rest/v1/forever").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    door.order_stop();
    door.stopped().await;
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&started.elapsed()));
    assert_eq!(read_to_end(&mut busy).await, "");
}

#[tokio::test]
async fn a_request_waits_for_a_service_that_starts() {
    let door = door().await;
    door.gateway.mount(Service::Meta, Mount::Starting);
    let gateway = door.gateway.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        gateway.mount(Service::Meta, Mount::Off);
    });
    let started = Instant::now();
    let answer = door.ask("GET /pg/x", &[&format!("apikey: {}", crate::support::SECRET_KEY)]).await;
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(answer.body, r#"{"message":"The meta service is switched off here"}"#);
}

#[tokio::test]
async fn a_service_that_starts_too_slowly_asks_to_come_back() {
    let door = door_with(Config { start_wait: Duration::from_millis(100), ..Config::default() }).await;
    door.gateway.mount(Service::Rest, Mount::Starting);
    let answer = door.ask("GET /rest/v1/x", &[&format!("apikey: {ANON_KEY}")]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn a_suspended_door_asks_to_come_back() {
    let door = door().await;
    door.gateway.suspend(true);
    let key = format!("apikey: {ANON_KEY}");
    let answer = door.ask("GET /rest/v1/x", &[&key]).await;
    assert_eq!(
        (answer.status, answer.header("retry-after"), answer.body.as_str()),
        (503, Some("1"), r#"{"message":"The database is restarting"}"#)
    );
    assert_eq!(door.ask("GET /rest/v1/x", &[]).await.status, 401);
    door.gateway.suspend(false);
    assert_eq!(door.ask("GET /rest/v1/x", &[&key]).await.status, 200);
}
