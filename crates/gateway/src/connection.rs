//! One client connection: time limits, and readable answers to heads that cannot be parsed.
//!
//! hyper's own head timeout also counts the idle time before a request and allocates a timer for each; here one timer
//! a connection is moved forward only when it fires, so that a busy connection pays nothing for it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::config::Limits;
use crate::error::raw_parse_failure;
use crate::listener::Held;

/// What the handler tells the socket of the same connection.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    requests: AtomicU32,
    busy: AtomicBool,
    /// When the last answer was through, in milliseconds since `started`.
    idle_since: AtomicU64,
    /// The connection speaks another protocol from here on, with its own idea of silence.
    upgraded: AtomicBool,
}

impl Activity {
    /// A connection that has just been accepted.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            started: Instant::now(),
            requests: AtomicU32::new(0),
            busy: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            upgraded: AtomicBool::new(false),
        }))
    }

    /// A request was parsed; it is in progress until the answer is dropped.
    pub(crate) fn begin(&self) -> InProgress {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.busy.store(true, Ordering::Relaxed);
        InProgress(self.clone())
    }

    fn requests(&self) -> u32 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// The answer switches protocols: no time limit of HTTP applies any more.
    pub(crate) fn upgrade(&self) {
        self.0.upgraded.store(true, Ordering::Relaxed);
    }

    fn idle_since(&self) -> Instant {
        self.0.started + Duration::from_millis(self.0.idle_since.load(Ordering::Relaxed))
    }

    fn busy(&self) -> bool {
        self.0.busy.load(Ordering::Relaxed) || self.0.upgraded.load(Ordering::Relaxed)
    }
}

/// Marks a connection as busy.
#[derive(Debug)]
pub(crate) struct InProgress(Activity);

impl Drop for InProgress {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let elapsed = u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        shared.idle_since.store(elapsed, Ordering::Relaxed);
        shared.busy.store(false, Ordering::Relaxed);
    }
}

/// A timer that is cheap to move: the deadline is a number, and the timer catches up when it fires.
#[derive(Default)]
struct Alarm {
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    fn set_if_unset(&mut self, after: Duration) {
        if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + after);
        }
    }

    fn set(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    fn clear(&mut self) {
        self.deadline = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // A timer set for later than this deadline would oversleep it; one set for earlier wakes up in time.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// A socket with the time limits of [`Limits`].
pub(crate) struct Guarded<S> {
    socket: S,
    #[expect(dead_code, reason = "held for its drop")]
    held: Held,
    activity: Activity,
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Bytes of a head have arrived, but no whole head.
    in_head: bool,
    /// The number of requests when `in_head` was last decided.
    seen: u32,
    reading: Alarm,
    writing: Alarm,
    /// Our own answer in place of hyper's empty one, with the number of bytes already written.
    substitute: Option<(Bytes, usize)>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(socket: S, activity: Activity, limits: &Limits, held: Held) -> Self {
        Self {
            socket,
            held,
            activity,
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            in_head: false,
            seen: 0,
            reading: Alarm::default(),
            writing: Alarm::default(),
            substitute: None,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf);
        if this.seen != this.activity.requests() {
            this.seen = this.activity.requests();
            if this.in_head {
                this.in_head = false;
                this.reading.clear();
            }
        }
        match polled {
            Poll::Ready(done) => {
                if !this.in_head && !this.activity.busy() && buf.filled().len() > before {
                    this.in_head = true;
                    this.reading.set(Instant::now() + this.head_timeout);
                }
                Poll::Ready(done)
            }
            Poll::Pending => {
                ready!(this.poll_patience(cx));
                if this.in_head && this.substitute.is_none() {
                    // Best effort: a client that is merely slow learns why; the connection ends either way.
                    let answer = raw_parse_failure(408);
                    let _ = Pin::new(&mut this.socket).poll_write(cx, &answer);
                }
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S> Guarded<S> {
    /// Resolves when the client has taken too long. The alarm may ring early, because it is not moved while requests
    /// come and go: then it is set to the true deadline.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.reading.set_if_unset(self.idle_timeout);
            ready!(self.reading.poll(cx));
            if self.activity.busy() {
                // Pauses within a body are the body's business, pauses of the service are nobody's.
                self.in_head = false;
                self.reading.set(Instant::now() + self.idle_timeout);
            } else if self.in_head {
                return Poll::Ready(());
            } else {
                let deadline = self.activity.idle_since() + self.idle_timeout;
                if Instant::now() >= deadline {
                    return Poll::Ready(());
                }
                self.reading.set(deadline);
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.writing.clear();
            return polled;
        }
        self.writing.set_if_unset(self.write_timeout);
        ready!(self.writing.poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// hyper answers a head that it cannot parse with a bare status line. On a connection that has not carried any
    /// request yet such an answer cannot be anyone else's, so it is replaced by one with a message.
    fn is_parse_failure(&self, start: &[u8]) -> Option<u16> {
        if self.activity.requests() > 0 {
            return None;
        }
        let status = start.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        std::str::from_utf8(status).ok()?.parse().ok().filter(|status| *status >= 400)
    }

    fn poll_substitute(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<()>>> {
        let (answer, mut written) = self.substitute.clone()?;
        while written < answer.len() {
            let polled = Pin::new(&mut self.socket).poll_write(cx, &answer[written..]);
            match self.watch(cx, polled) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(count)) => {
                    written += count;
                    self.substitute = Some((answer.clone(), written));
                }
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        Some(Poll::Ready(Ok(())))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.substitute.is_none()
            && let Some(status) = this.is_parse_failure(buf)
        {
            this.substitute = Some((raw_parse_failure(status), 0));
        }
        if let Some(polled) = this.poll_substitute(cx) {
            return polled.map_ok(|()| buf.len());
        }
        let polled = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.watch(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.activity.requests() == 0 {
            // Only hyper's own answer can come now: take the path that looks at it.
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            return Pin::new(this).poll_write(cx, first);
        }
        let polled = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
