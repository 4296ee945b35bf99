//! Websockets: deliveries of broadcasts to many sockets beside a bare fan-out server, and the memory of idle sockets.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::tungstenite::Message;

use crate::Arguments;
use crate::backend::{Backend, free_port};
use crate::process::rss_kib;
use crate::table::{head, line, median, note};

/// Sockets that receive every message.
const SOCKETS: usize = 2_000;
/// Sockets that do nothing.
const IDLE: usize = 10_000;
/// How often a socket says that it is there; one that is silent for a minute is closed.
const BEAT: Duration = Duration::from_secs(20);
/// Messages under way at a time.
const WINDOW: u64 = 16;
const TOPIC: &str = "realtime:bench";

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let backend = Backend::start(&arguments.binary, folder.path()).await?;
    let key = backend.status()?["ANON_KEY"].as_str().context("ANON_KEY")?.to_owned();
    let path = format!("/realtime/v1/websocket?vsn=2.0.0&apikey={key}");
    let bare = Bare::start()?;

    let payload =
        format!(r#"{{"type":"broadcast","event":"bench","payload":{{"text":"{}"}}}}"#, "x".repeat(100));
    let delivered = format!(r#"[null,null,"{TOPIC}","broadcast",{payload}]"#);
    let sent = format!(r#"["1","2","{TOPIC}","broadcast",{payload}]"#);
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    let seconds = Duration::from_secs(arguments.seconds);
    for _ in 0..arguments.runs {
        limits.push(fan_out(bare.address, "/", None, &delivered, delivered.len(), seconds).await?);
        ours.push(fan_out(backend.address, &path, Some(TOPIC), &sent, delivered.len(), seconds).await?);
    }
    head("Broadcast; the limit is a bare tungstenite server that sends every message to everybody");
    line(
        &format!("deliveries to {SOCKETS} sockets"),
        median(&ours),
        median(&limits),
        "deliveries/s",
        "≥ 0.7; 200,000 deliveries/s",
    );

    let before = rss_kib(backend.pid())? as f64 / 1024.0;
    let mut idle = Vec::with_capacity(IDLE);
    let mut beaten = Instant::now();
    for _ in 0..IDLE {
        let mut socket = Socket::connect(backend.address, &path).await?;
        socket.join(TOPIC).await?;
        idle.push(socket);
        if beaten.elapsed() > BEAT {
            beat(&mut idle).await?;
            beaten = Instant::now();
        }
    }
    beat(&mut idle).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    note(
        &format!("RSS with {IDLE} idle sockets (target < 250 MB)"),
        rss_kib(backend.pid())? as f64 / 1024.0,
        "MiB",
    );
    note("RSS before them", before, "MiB");
    drop(idle);
    backend.stop()
}

/// Says for each socket that it is there, and reads the answer.
async fn beat(sockets: &mut [Socket]) -> Result<()> {
    for socket in sockets {
        Socket::send(&mut socket.0, r#"[null,"2","phoenix","heartbeat",{}]"#).await?;
        socket.answer().await?;
    }
    Ok(())
}

/// A websocket that costs little: frames are written by hand, and what comes is only counted.
struct Socket(TcpStream);

impl Socket {
    async fn connect(address: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut answer).await? == 0 {
                bail!("no websocket: {}", String::from_utf8_lossy(&answer));
            }
        }
        if !answer.starts_with(b"HTTP/1.1 101") {
            bail!("no websocket: {}", String::from_utf8_lossy(&answer));
        }
        Ok(Self(stream))
    }

    async fn send(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) -> Result<()> {
        let len = u16::try_from(text.len())?;
        let mut frame = vec![0x81];
        if len < 126 {
            frame.push(0x80 | len as u8);
        } else {
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
        // A mask of zeros leaves the text as it is.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        Ok(stream.write_all(&frame).await?)
    }

    /// Joins, and reads the answer.
    async fn join(&mut self, topic: &str) -> Result<()> {
        let config = r#"{"config":{"presence":{"enabled":false}}}"#;
        Self::send(&mut self.0, &format!(r#"["1","1","{topic}","phx_join",{config}]"#)).await?;
        self.answer().await
    }

    /// Reads an answer.
    async fn answer(&mut self) -> Result<()> {
        let mut answer = Vec::new();
        while !answer.ends_with(b"]") {
            if self.0.read_buf(&mut answer).await? == 0 {
                bail!("the socket ended instead of an answer");
            }
        }
        Ok(())
    }
}

/// Messages delivered a second: one socket sends, `SOCKETS` others receive.
async fn fan_out(
    address: SocketAddr,
    path: &str,
    topic: Option<&str>,
    text: &str,
    size: usize,
    duration: Duration,
) -> Result<f64> {
    let frame = size as u64 + if size < 126 { 2 } else { 4 };
    let received = Arc::new(AtomicU64::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..SOCKETS {
        let mut socket = Socket::connect(address, path).await?;
        if let Some(topic) = topic {
            socket.join(topic).await?;
        }
        let received = received.clone();
        readers.spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(count @ 1..) = socket.0.read(&mut buffer).await {
                received.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
    }
    let mut sender = Socket::connect(address, path).await?;
    if let Some(topic) = topic {
        sender.join(topic).await?;
    }
    let deliveries = || received.load(Ordering::Relaxed) / frame;
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < duration {
        if sent * SOCKETS as u64 >= deliveries() + WINDOW * SOCKETS as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        Socket::send(&mut sender.0, text).await?;
        sent += 1;
    }
    let rate = deliveries() as f64 / began.elapsed().as_secs_f64();
    readers.shutdown().await;
    Ok(rate)
}

/// The bare server, in a process of its own.
struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    fn start() -> Result<Self> {
        let port = free_port()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["--binary", "-", "bare-fan-out", &port.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        while std::net::TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { child, address })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends every message that any socket sends to all others: no topics, no protocol, a queue for each.
pub(crate) fn serve_bare(port: u16) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let queues: Arc<Mutex<Vec<mpsc::UnboundedSender<Message>>>> = Arc::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(relay(stream, queues.clone()));
        }
    })
}

async fn relay(stream: TcpStream, queues: Arc<Mutex<Vec<mpsc::UnboundedSender<Message>>>>) {
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut sink, mut source) = socket.split();
    let (queue, mut waiting) = mpsc::unbounded_channel();
    let own = queue.clone();
    queues.lock().await.push(queue);
    let writing = tokio::spawn(async move {
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, 64).await > 0 {
            for message in batch.drain(..) {
                if sink.feed(message).await.is_err() {
                    return;
                }
            }
            if sink.flush().await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = source.next().await {
        if message.is_text() {
            queues
                .lock()
                .await
                .retain(|queue| queue.same_channel(&own) || queue.send(message.clone()).is_ok());
        }
    }
    writing.abort();
}
