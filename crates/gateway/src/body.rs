//! Bodies on their way in and out: counted, limited, watched for clients that stop.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::error::Refusal;

/// Why a request body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// The body is longer than allowed.
    #[error("the request body is larger than allowed")]
    TooLarge,
    /// The client sent nothing for too long.
    #[error("the request body stopped arriving")]
    TimedOut,
    /// The connection broke, or the chunks were malformed.
    #[error("the request body is incomplete or malformed")]
    Broken,
}

/// Tells the door, after the service has answered, that the body it read was cut: whatever the service made of that,
/// the client is owed the reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<AtomicU8>);

impl Verdict {
    fn set(&self, cut: Cut) {
        self.0.store(cut as u8 + 1, Ordering::Release);
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Refusal::BodyTooLarge),
            2 => Some(Refusal::RequestTimeout),
            _ => Some(Refusal::BadRequest),
        }
    }
}

/// A request body that ends with an error when it grows too long or pauses too long.
pub(crate) struct Inbound {
    body: Incoming,
    left: Option<u64>,
    pause: Duration,
    /// Whether it has been waited for once.
    waited: bool,
    /// Armed while waiting; moved forward only when it fires, so that a fast client costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
    verdict: Verdict,
    cut: bool,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, limit: Option<u64>, pause: Duration) -> (Self, Verdict) {
        let verdict = Verdict::default();
        let inbound = Self {
            body,
            left: limit,
            pause,
            waited: false,
            timer: None,
            waiting_since: None,
            verdict: verdict.clone(),
            cut: false,
        };
        (inbound, verdict)
    }

    fn cut(&mut self, cut: Cut) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.cut = true;
        self.verdict.set(cut);
        Poll::Ready(Some(Err(cut)))
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A body is never there when it is first asked for: the connection reads it only then. So it is asked for once
        // more, before a timer is made for it.
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let deadline = *self.waiting_since.get_or_insert_with(Instant::now) + self.pause;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        if this.cut {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting_since = None;
                if let (Some(left), Some(data)) = (&mut this.left, frame.data_ref()) {
                    match left.checked_sub(data.remaining() as u64) {
                        Some(rest) => *left = rest,
                        None => return this.cut(Cut::TooLarge),
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "request body broke off");
                this.cut(Cut::Broken)
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match this.poll_pause(cx) {
                Poll::Ready(()) => this.cut(Cut::TimedOut),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body that keeps `G` alive until the last byte was handed over, and tells it how many there were.
pub struct Outbound<G: Meter> {
    body: axum::body::Body,
    guard: G,
}

/// What is told about the bytes of a response.
pub trait Meter: Unpin {
    /// So many bytes were handed over.
    fn sent(&mut self, bytes: u64);
}

impl<G: Meter> Outbound<G> {
    pub(crate) fn new(body: axum::body::Body, guard: G) -> Self {
        Self { body, guard }
    }
}

impl<G: Meter> Body for Outbound<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.guard.sent(data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
