//! Connections on threads of their own. A test binary of its own: the threads are started once in a process.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use gateway::{Alone, Limits};
use tokio::net::TcpListener;
use tokio::sync::watch;

async fn thread_name() -> String {
    // Long enough that a stop comes in between.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let thread = std::thread::current();
    format!("{} {:?}", thread.name().unwrap_or_default(), thread.id())
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

#[tokio::test]
async fn connections_are_spread_over_the_threads_and_finished_at_a_stop() {
    gateway::workers::start(2, 1).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let router = axum::Router::new().route("/", axum::routing::get(thread_name));
    let handler = Arc::new(Alone::new(router, Duration::from_secs(5)));
    let served =
        tokio::spawn(gateway::serve(listener, handler, Limits::default(), stopped, Duration::from_secs(5)));
    let answers = tokio::task::spawn_blocking(move || {
        let sockets: Vec<_> = (0..40).map(|_| ask(address)).collect();
        std::thread::sleep(Duration::from_millis(30));
        stop.send(true).unwrap();
        sockets.into_iter().map(body).collect::<Vec<_>>()
    });
    let answers = answers.await.unwrap();
    served.await.unwrap().unwrap();
    assert!(answers.iter().all(|answer| answer.starts_with("monobase-door ")), "{answers:?}");
    let threads: BTreeSet<_> = answers.iter().collect();
    let mut shares: Vec<_> =
        threads.iter().map(|thread| answers.iter().filter(|answer| answer == thread).count()).collect();
    shares.sort_unstable();
    assert_eq!(shares, [20, 20]);
    assert!(answers[..16].iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(TcpStream::connect(address).is_err());
    let again = gateway::workers::start(2, 1).unwrap_err();
    assert_eq!(again.to_string(), "the threads for connections were started twice");
}
