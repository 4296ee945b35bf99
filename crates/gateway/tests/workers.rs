//! Connections on threads of their own. A test binary of its own: the threads are started once in a process.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::MethodRouter;
use gateway::{Alone, Limits};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

fn thread() -> String {
    let thread = std::thread::current();
    format!("{} {:?}", thread.name().unwrap_or_default(), thread.id())
}

async fn thread_name() -> String {
    // Long enough that a stop comes in between.
    tokio::time::sleep(Duration::from_millis(100)).await;
    thread()
}

fn ask(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    socket
}

fn body(mut socket: TcpStream) -> String {
    let mut answer = [0; 1024];
    let count = socket.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..count]).split("\r\n\r\n").nth(1).unwrap().to_owned()
}

fn shares(answers: &[String]) -> Vec<usize> {
    let threads: BTreeSet<_> = answers.iter().collect();
    let mut shares: Vec<_> =
        threads.iter().map(|thread| answers.iter().filter(|answer| answer == thread).count()).collect();
    shares.sort_unstable();
    shares
}

/// Serves one route: where, what stops it, and its end.
async fn serve(route: MethodRouter) -> (SocketAddr, watch::Sender<bool>, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let handler = Arc::new(Alone::new(axum::Router::new().route("/", route), Duration::from_secs(5)));
    let served = gateway::serve(listener, handler, Limits::default(), stopped, Duration::from_secs(5));
    (address, stop, tokio::spawn(served))
}

/// One test, because there is one set of threads.
#[tokio::test]
async fn connections_are_spread_over_the_threads() {
    gateway::workers::start(2, 1).unwrap();
    requests_are_spread_and_finished_at_a_stop().await;
    websockets_are_spread_too().await;
    let again = gateway::workers::start(2, 1).unwrap_err();
    assert_eq!(again.to_string(), "the threads for connections were started twice");
}

async fn requests_are_spread_and_finished_at_a_stop() {
    let (address, stop, served) = serve(axum::routing::get(thread_name)).await;
    let answers = tokio::task::spawn_blocking(move || {
        let sockets: Vec<_> = (0..40).map(|_| ask(address)).collect();
        std::thread::sleep(Duration::from_millis(30));
        stop.send(true).unwrap();
        sockets.into_iter().map(body).collect::<Vec<_>>()
    });
    let answers = answers.await.unwrap();
    served.await.unwrap().unwrap();
    assert!(answers.iter().all(|answer| answer.starts_with("monobase-door ")), "{answers:?}");
    assert_eq!(shares(&answers), [20, 20]);
    assert!(answers[..16].iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(TcpStream::connect(address).is_err());
}

/// Switches protocols, says in a header which thread does it, and keeps the socket for as long as the client does.
async fn upgrade(request: Request) -> Response {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let mut socket = TokioIo::new(upgraded.await.unwrap());
        socket.read_to_end(&mut Vec::new()).await
    });
    Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "anything")
        .header("x-thread", thread())
        .body(Body::empty())
        .unwrap()
}

async fn websockets_are_spread_too() {
    let (address, _stop, _served) = serve(axum::routing::get(upgrade)).await;
    let one_after_the_other = move || {
        let mut sockets = Vec::new();
        for _ in 0..40 {
            let mut socket = TcpStream::connect(address).unwrap();
            let head =
                "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: anything\r\n\r\n";
            socket.write_all(head.as_bytes()).unwrap();
            let mut answer = [0; 1024];
            let count = socket.read(&mut answer).unwrap();
            let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
            let thread = answer.lines().find(|line| line.starts_with("x-thread: ")).unwrap().to_owned();
            sockets.push((socket, thread));
        }
        sockets.into_iter().map(|(_, thread)| thread).collect::<Vec<_>>()
    };
    let threads = tokio::task::spawn_blocking(one_after_the_other).await.unwrap();
    assert_eq!(shares(&threads), [20, 20]);
}
