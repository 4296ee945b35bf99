//! Answers too large to be held, over real sockets: they flow, and nobody holds a connection by not reading.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use axum::body::Body;
use database::{Pool, PoolConfig};
use http::Request;
use rest::{Config, Rest};
use testkit::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// 40 MB as JSON: more than all the sockets on the way hold.
const LARGE: &str = "
    create table public.large as select n, repeat('x', 1000) as text from generate_series(1, 40000) n;
    create function public.all_of_it() returns setof public.large stable language sql as 'select * from public.large';
    create function public.all_at_once() returns setof public.large volatile language sql as 'select * from public.large';
    create table public.small (n int);
    grant select on public.large, public.small to anon;";

/// A service with one connection to its database, behind a listener.
struct Narrow {
    rest: Rest,
    pool: Pool,
    port: u16,
    serving: JoinHandle<()>,
    _database: TestDatabase,
}

impl Narrow {
    async fn open(stall: Duration) -> Self {
        let database = testkit::database().await;
        database.connect("postgres").await.simple_query(LARGE).await.unwrap();
        let limits = PoolConfig { max_size: 1, ..PoolConfig::default() };
        let pool = Pool::new(database.config("authenticator"), limits);
        let config = Config { anon_role: Some("anon".to_owned()), stall_timeout: stall, ..Config::default() };
        let rest = Rest::start(config, pool.clone(), None);
        while !rest.is_ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let listener = listener().await;
        let port = listener.local_addr().unwrap().port();
        let router = rest.router();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { rest, pool, port, serving, _database: database }
    }

    /// A client that asks for everything and reads the head only. Returns it with the length that was announced.
    async fn ask(&self) -> (TcpStream, usize) {
        let mut client = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        client.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        (client, length.parse().unwrap())
    }

    async fn get(&self, path: &str) -> String {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = self.rest.router().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    async fn nothing_flows(&self) {
        let began = Instant::now();
        while self.rest.flowing() > 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "something still flows");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Below the ports that the system hands out.
async fn listener() -> TcpListener {
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    for port in start..32_000 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
    }
    panic!("no free port");
}

async fn read_to_end(mut client: TcpStream) -> usize {
    let mut read = 0;
    let mut buffer = vec![0; 1 << 16];
    // A reset ends it as well.
    while let Ok(count @ 1..) = client.read(&mut buffer).await {
        read += count;
    }
    read
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off_and_its_connection_given_up() {
    let stall = Duration::from_millis(400);
    let service = Narrow::open(stall).await;
    let (client, length) = service.ask().await;
    let began = Instant::now();
    assert_eq!(service.rest.flowing(), 1);
    let connects = service.pool.status().connects;
    // Waits for the only connection, which the client does not give back.
    assert_eq!(service.get("/small").await, "[]");
    assert!(began.elapsed() >= stall, "cut off after {:?}", began.elapsed());
    service.nothing_flows().await;
    assert_eq!(
        service.pool.status().connects,
        connects + 1,
        "the connection was given up, not read to its end"
    );
    let read = read_to_end(client).await;
    assert!(read < length, "{read} of {length} bytes cannot be all of it");
}

#[tokio::test]
async fn a_slow_client_gets_everything() {
    let service = Narrow::open(Duration::from_millis(400)).await;
    let (mut client, length) = service.ask().await;
    let mut buffer = vec![0; 4 << 20];
    let mut read = 0;
    while read < length {
        let wanted = buffer.len().min(length - read);
        client.read_exact(&mut buffer[..wanted]).await.unwrap();
        read += wanted;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(service.get("/small").await, "[]");
    assert_eq!(service.pool.status().connects, 1, "what was read to its end is used again");
}

#[tokio::test]
async fn a_client_that_goes_away_holds_nothing() {
    let service = Narrow::open(Duration::from_secs(60)).await;
    let (client, _) = service.ask().await;
    drop(client);
    service.nothing_flows().await;
    assert_eq!(service.get("/small").await, "[]");
}

#[tokio::test]
async fn the_end_of_the_service_is_the_end_of_its_flows() {
    let service = Narrow::open(Duration::from_secs(60)).await;
    let (client, length) = service.ask().await;
    service.rest.clone().stop().await;
    assert_eq!(service.rest.flowing(), 0);
    assert!(read_to_end(client).await < length);
    tokio::time::timeout(Duration::from_secs(10), service.pool.close()).await.unwrap();
}

#[tokio::test]
async fn what_functions_read_flows_and_what_they_write_is_committed_first() {
    let service = Narrow::open(Duration::from_secs(60)).await;
    for (method, path, flows) in
        [("GET", "all_of_it", 1), ("POST", "all_of_it", 1), ("POST", "all_at_once", 0)]
    {
        let request =
            Request::builder().method(method).uri(format!("/rpc/{path}")).body(Body::empty()).unwrap();
        let response = service.rest.router().oneshot(request).await.unwrap();
        assert_eq!(service.rest.flowing(), flows, "{method} {path}");
        assert_eq!(response.headers()["content-range"], "0-39999/*");
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body.len(), length);
        assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&body).unwrap().len(), 40_000);
    }
}
