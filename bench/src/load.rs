//! A load generator that costs little: fixed request bytes over kept-alive connections, one request in flight on each.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use memchr::memmem;
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
    piece: Vec<u8>,
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
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), piece: Vec::new() })
    }

    /// Sends one request and reads its whole answer.
    pub(crate) async fn request(&mut self, request: &[u8]) -> Result<Answer> {
        let Round { status, body } = self.round(request).await?;
        Ok(Answer { status, body: self.buffer[body].to_vec() })
    }

    /// Sends one request and reads its whole answer into the buffer.
    async fn round(&mut self, request: &[u8]) -> Result<Round> {
        let head = self.head(request).await?;
        let (status, begin) = (head.status, head.end);
        if let Some(length) = head.length {
            let end = begin + length;
            while self.buffer.len() < end {
                self.read().await?;
            }
            return Ok(Round { status, body: begin..end });
        }
        if head.chunked {
            while !self.buffer.ends_with(b"0\r\n\r\n") {
                self.read().await?;
            }
        }
        Ok(Round { status, body: begin..self.buffer.len() })
    }

    /// Sends one request, drops the body of its answer while it arrives, and returns its length.
    pub(crate) async fn swallow(&mut self, request: &[u8]) -> Result<usize> {
        let head = self.head(request).await?;
        if head.status != 200 {
            bail!("{}", String::from_utf8_lossy(&self.buffer));
        }
        let length = head.length.context("a length")?;
        let mut left = length - (self.buffer.len() - head.end);
        self.piece.resize(1 << 18, 0);
        while left > 0 {
            match self.stream.read(&mut self.piece).await? {
                0 => bail!("the connection was closed {left} bytes before the end"),
                count => left = left.saturating_sub(count),
            }
        }
        Ok(length)
    }

    /// Sends a head and `times` times the same piece of a body, and reads the whole answer.
    pub(crate) async fn send_in_pieces(&mut self, head: &[u8], piece: &[u8], times: usize) -> Result<Answer> {
        self.stream.write_all(head).await?;
        for _ in 0..times {
            self.stream.write_all(piece).await?;
        }
        self.request(&[]).await
    }

    /// Sends one request and reads until the head of its answer is complete.
    async fn head(&mut self, request: &[u8]) -> Result<Head> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            self.read().await?;
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                return Head::parse(&self.buffer[..end + 2]);
            }
        }
    }

    async fn read(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the connection was closed within an answer"),
            _ => Ok(()),
        }
    }
}

/// What an answer's head says.
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    /// Where the body begins.
    end: usize,
}

/// An answer in the buffer.
struct Round {
    status: u16,
    body: Range<usize>,
}

impl Head {
    /// A head whose last line ends with a line feed.
    fn parse(bytes: &[u8]) -> Result<Self> {
        let status = bytes.get(9..12).context("a status line")?;
        let status = std::str::from_utf8(status)?.parse()?;
        let mut head = Self { status, length: None, chunked: false, end: bytes.len() + 2 };
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[begin..end];
            begin = end + 1;
            if let Some(value) = field(line, b"content-length:") {
                head.length = Some(std::str::from_utf8(value)?.trim().parse()?);
            } else if field(line, b"transfer-encoding:").is_some() {
                head.chunked = true;
            }
        }
        Ok(head)
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// Answers a second to one request over `connections` connections for `duration`; bodies are dropped while they arrive.
pub(crate) async fn drained(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
    request: Vec<u8>,
) -> Result<f64> {
    let began = Instant::now();
    let until = began + duration;
    let request = std::rc::Rc::new(request);
    let local = tokio::task::LocalSet::new();
    let total = local
        .run_until(async {
            let tasks: Vec<_> = (0..connections)
                .map(|_| {
                    let request = request.clone();
                    tokio::task::spawn_local(async move {
                        let mut http = Http::connect(address).await?;
                        let mut done = 0_usize;
                        while Instant::now() < until {
                            http.swallow(&request).await?;
                            done += 1;
                        }
                        Ok::<_, anyhow::Error>(done)
                    })
                })
                .collect();
            let mut total = 0;
            for task in tasks {
                total += task.await??;
            }
            Ok::<_, anyhow::Error>(total)
        })
        .await?;
    Ok(total as f64 / began.elapsed().as_secs_f64())
}

/// Sends `request(n)` over `connections` connections for `duration`; every answer must be a success.
pub(crate) async fn run<F, B>(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
    request: F,
) -> Result<Outcome>
where
    F: Fn(usize) -> B + Clone + 'static,
    B: AsRef<[u8]>,
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
                            let answer = http.round(bytes.as_ref()).await?;
                            if answer.status >= 300 {
                                let body = String::from_utf8_lossy(&http.buffer[answer.body]);
                                bail!("status {}: {body}", answer.status);
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
