//! Bad input over raw sockets: each piece gets a clear answer, and nothing of it reaches a service as something else.

use std::time::{Duration, Instant};

use crate::support::{ANON_KEY, Answer, Door, door, door_with, read_to_end};
use gateway::{Config, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn small() -> Config {
    Config {
        max_body: Some(1000),
        connection: Limits {
            max_head: 8 << 10,
            head_timeout: Duration::from_millis(300),
            idle_timeout: Duration::from_millis(600),
            body_timeout: Duration::from_millis(300),
            write_timeout: Duration::from_millis(500),
            max_connections: 64,
        },
        ..Config::default()
    }
}

fn post(path: &str, extra: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\n{extra}\r\n")
}

async fn status(door: &Door, request: impl AsRef<[u8]>) -> u16 {
    Answer::parse(&door.send(request).await).status
}

#[tokio::test]
async fn what_is_no_http_gets_a_readable_400() {
    let door = door().await;
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nx: a\x00b\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let answer = Answer::parse(&door.send(request).await);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, "Bad request\n"),
            "{:?}",
            String::from_utf8_lossy(request)
        );
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn malformed_paths_are_400() {
    let door = door().await;
    for path in ["/rest/v1/%", "/rest/v1/%zz", "/rest/v1/a%00", "/..", "/rest/v1/../../..", "*"] {
        let answer = Answer::parse(&door.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await);
        assert_eq!((answer.status, answer.body.as_str()), (400, "Bad request\n"), "{path}");
    }
}

#[tokio::test]
async fn a_host_is_needed_exactly_once() {
    let door = door().await;
    assert_eq!(status(&door, "GET /nothing HTTP/1.1\r\n\r\n").await, 400);
    assert_eq!(status(&door, "GET /nothing HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await, 400);
}

#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    let door = door().await;
    let answer = door.send(format!("GET /rest/v1/todos HTTP/1.0\r\napikey: {ANON_KEY}\r\n\r\n")).await;
    assert_eq!(Answer::parse(&answer).status, 200);
}

#[tokio::test]
async fn methods_of_the_connection_are_refused_and_others_left_to_the_service() {
    let door = door().await;
    let close = "Connection: close\r\n";
    for (method, expected) in [("TRACE", 405), ("BREW", 200), ("PROPFIND", 200)] {
        let request =
            format!("{method} /rest/v1/todos HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\n{close}\r\n");
        assert_eq!(status(&door, request).await, expected, "{method}");
    }
    assert_eq!(status(&door, format!("CONNECT door:443 HTTP/1.1\r\nHost: x\r\n{close}\r\n")).await, 405);
}

#[tokio::test]
async fn an_oversize_head_is_refused_with_words() {
    let door = door_with(small()).await;
    let answer = door.ask("GET /nothing", &[&format!("X-Long: {}", "a".repeat(9000))]).await;
    assert_eq!((answer.status, answer.body.as_str()), (494, "Request header or cookie too large\n"));
    let answer = door.ask("GET /nothing", &[&format!("X-Long: {}", "a".repeat(40_000))]).await;
    assert_eq!((answer.status, answer.body.as_str()), (494, "Request header or cookie too large\n"));
    let many: Vec<String> = (0..200).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(door.ask("GET /nothing", &many).await.status, 494);
    let long = door.ask(&format!("GET /rest/v1/{}", "a".repeat(9000)), &[]).await;
    assert_eq!(long.status, 494);
}

#[tokio::test]
async fn an_oversize_body_is_refused_by_its_announcement() {
    let door = door_with(small()).await;
    let answer = Answer::parse(&door.send(post("/rest/v1/body", "Content-Length: 1001\r\n")).await);
    assert_eq!((answer.status, answer.body.as_str()), (413, "Payload too large\n"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let fits = post("/rest/v1/body", "Connection: close\r\nContent-Length: 1000\r\n") + &"a".repeat(1000);
    assert_eq!(Answer::parse(&door.send(fits).await).body, "1000 bytes");
}

#[tokio::test]
async fn an_oversize_body_without_announcement_is_cut_while_it_streams() {
    let door = door_with(small()).await;
    let mut request = post("/rest/v1/body", "Transfer-Encoding: chunked\r\n");
    for _ in 0..20 {
        request.push_str(&format!("64\r\n{}\r\n", "a".repeat(100)));
    }
    request.push_str("0\r\n\r\n");
    let answer = Answer::parse(&door.send(request).await);
    assert_eq!((answer.status, answer.body.as_str()), (413, "Payload too large\n"));
}

#[tokio::test]
async fn a_body_that_stops_is_a_408() {
    let door = door_with(small()).await;
    let started = Instant::now();
    let answer = Answer::parse(&door.send(post("/rest/v1/body", "Content-Length: 10\r\n") + "abc").await);
    assert_eq!((answer.status, answer.body.as_str()), (408, "Request timeout\n"));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_body_that_breaks_is_a_400() {
    let door = door_with(small()).await;
    let request = post("/rest/v1/body", "Transfer-Encoding: chunked\r\n") + "zz\r\nabc\r\n0\r\n\r\n";
    assert_eq!(status(&door, request).await, 400);
}

#[tokio::test]
async fn a_slow_head_is_ended() {
    let door = door_with(small()).await;
    let mut socket = door.connect().await;
    let started = Instant::now();
    let (mut reader, mut writer) = socket.split();
    let dripping = async {
        for byte in
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter().cycle()
        {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    let reading = async {
        let _ = reader.read_to_end(&mut answer).await;
    };
    tokio::select! { () = dripping => {}, () = reading => {} }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let answer = Answer::parse(&String::from_utf8_lossy(&answer));
    assert_eq!((answer.status, answer.body.as_str()), (408, "Request timeout\n"));
}

#[tokio::test]
async fn a_silent_connection_is_ended_without_a_word() {
    let door = door_with(small()).await;
    let mut socket = door.connect().await;
    let started = Instant::now();
    assert_eq!(read_to_end(&mut socket).await, "");
    assert!(started.elapsed() > Duration::from_millis(400));
}

#[tokio::test]
async fn a_connection_is_ended_when_it_rests_after_a_request() {
    let door = door_with(small()).await;
    let started = Instant::now();
    let answer =
        door.send(format!("GET /rest/v1/ignored HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\n\r\n")).await;
    assert_eq!(Answer::parse(&answer).status, 200);
    assert!(
        (Duration::from_millis(500)..Duration::from_secs(3)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_ended() {
    let door = door_with(small()).await;
    let mut socket = door.connect().await;
    let request = format!("GET /rest/v1/endless HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let started = Instant::now();
    let mut sink = vec![0; 1 << 20];
    // What was under way still arrives, then the connection is over.
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_secs(2), socket.read(&mut sink)).await {
        assert!(started.elapsed() < Duration::from_secs(5), "the answer goes on");
    }
}

#[tokio::test]
async fn a_slow_service_is_not_a_slow_client() {
    let door = door_with(Config {
        connection: Limits { idle_timeout: Duration::from_millis(100), ..small().connection },
        ..small()
    })
    .await;
    let answer = door.ask("GET /rest/v1/slow", &[&format!("apikey: {ANON_KEY}")]).await;
    assert_eq!(answer.body, "slow");
}

#[tokio::test]
async fn a_busy_connection_outlives_the_idle_timeout() {
    let door = door_with(small()).await;
    let mut socket = door.connect().await;
    for _ in 0..8 {
        let request = format!("GET /rest/v1/ignored HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = [0; 2048];
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(
            buffer[..count].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer[..count])
        );
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test]
async fn two_lengths_smuggle_nothing() {
    let door = door().await;
    let smuggled = "0\r\n\r\nGET /rest/v1/ignored HTTP/1.1\r\nHost: x\r\n\r\n";
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let answer = door.send(post("/rest/v1/body", headers) + smuggled).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers}: {answer}");
        assert_eq!(Answer::parse(&answer).header("connection"), Some("close"), "{headers}");
    }
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ] {
        let answer = door.send(post("/rest/v1/body", headers) + smuggled).await;
        assert_eq!(
            (Answer::parse(&answer).status, answer.matches("HTTP/1.1 ").count()),
            (400, 1),
            "{headers}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_nobody_read_is_not_the_next_request() {
    let door = door().await;
    let inner = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n";
    let request = post("/rest/v1/ignored", &format!("Content-Length: {}\r\n", inner.len())) + inner;
    let next = format!(
        "GET /rest/v1/ignored HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\nConnection: close\r\n\r\n"
    );
    let answer = door.send(request + &next).await;
    assert!(!answer.contains("404"), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let door = door().await;
    let request = |path: &str, last: bool| {
        let close = if last { "Connection: close\r\n" } else { "" };
        format!("GET {path} HTTP/1.1\r\nHost: x\r\napikey: {ANON_KEY}\r\n{close}\r\n")
    };
    let answer = door
        .send(
            request("/rest/v1/slow", false)
                + &request("/nothing", false)
                + &request("/rest/v1/ignored", true),
        )
        .await;
    let codes: Vec<&str> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(codes, ["200", "404", "200"]);
}

#[tokio::test]
async fn hidden_headers_are_not_named_away() {
    let door = door().await;
    let answer = door
        .ask(
            "GET /rest/v1/t",
            &["Connection: x-forwarded-for, x-consumer-username, x-real-ip", &format!("apikey: {ANON_KEY}")],
        )
        .await;
    let seen = answer.json()["headers"].to_string();
    for header in ["x-forwarded-for: 127.0.0.1", "x-real-ip: 127.0.0.1", "x-consumer-username: anon"] {
        assert!(seen.contains(header), "{seen}");
    }
}

#[tokio::test]
async fn random_bytes_never_break_the_door() {
    let door = door_with(small()).await;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..60 {
        let mut bytes = b"GET /rest/v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec();
        for _ in 0..=round % 7 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = (seed >> 8) as usize % bytes.len();
            bytes[at] = seed as u8;
        }
        door.send(bytes).await;
    }
    assert_eq!(door.ask("GET /health", &[]).await.status, 200);
}
