//! A load generator that costs little: fixed request bytes over kept-alive connections, one request in flight on each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a run of load came to.
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// One kept-alive connection and its read buffer.
pub(crate) struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer: its status and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// Sends one request and reads its whole answer.
    pub(crate) async fn request(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed before an answer");
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).context("a head in UTF-8")?.to_owned();
        let status = text.get(9..12).context("a status line")?.parse()?;
        let header = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if let Some(length) = header("content-length") {
            let end = head + length.parse::<usize>()?;
            while self.buffer.len() < end {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    bail!("the connection was closed within a body");
                }
            }
            return Ok(Answer { status, body: self.buffer[head..end].to_vec() });
        }
        if header("transfer-encoding").is_some() {
            while !self.buffer.ends_with(b"0\r\n\r\n") {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    bail!("the connection was closed within a chunked body");
                }
            }
        }
        Ok(Answer { status, body: self.buffer[head..].to_vec() })
    }
}

impl Http {
    /// Sends one request, drops the body of its answer while it arrives, and returns its length.
    pub(crate) async fn swallow(&mut self, request: &[u8]) -> Result<usize> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed before an answer");
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).context("a head in UTF-8")?;
        if text.get(9..12) != Some("200") {
            bail!("{text}");
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("a length")?.parse()?;
        let mut left = length - (self.buffer.len() - head);
        let mut piece = vec![0; 1 << 18];
        while left > 0 {
            match self.stream.read(&mut piece).await? {
                0 => bail!("the connection was closed {left} bytes before the end"),
                count => left = left.saturating_sub(count),
            }
        }
        Ok(length)
    }
}

/// Sends `request(n)` over `connections` connections for `duration`; every answer must be a success.
pub(crate) async fn run<F>(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
    request: F,
) -> Result<Outcome>
where
    F: Fn(usize) -> Vec<u8> + Clone + 'static,
{
    let began = Instant::now();
    let until = began + duration;
    let local = tokio::task::LocalSet::new();
    let latencies = local
        .run_until(async {
            let tasks: Vec<_> = (0..connections)
                .map(|number| {
                    let request = request.clone();
                    tokio::task::spawn_local(async move {
                        let mut http = Http::connect(address).await?;
                        let mut latencies = Vec::with_capacity(1 << 14);
                        let mut turn = number;
                        while Instant::now() < until {
                            let bytes = request(turn);
                            let sent = Instant::now();
                            let answer = http.request(&bytes).await?;
                            if answer.status >= 300 {
                                bail!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                            }
                            latencies.push(sent.elapsed());
                            turn += connections;
                        }
                        Ok(latencies)
                    })
                })
                .collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await??);
            }
            Ok::<_, anyhow::Error>(all)
        })
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut sorted = latencies;
    sorted.sort_unstable();
    let at = |share: f64| {
        let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or_default()
    };
    Ok(Outcome {
        requests: sorted.len(),
        per_second: sorted.len() as f64 / seconds,
        p50: at(0.5),
        p99: at(0.99),
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
