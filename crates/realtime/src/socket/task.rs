//! The one task of a socket.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::session::{Done, Job, Session};
use super::wire::Wire;
use crate::hub::Item;
use crate::protocol::{Inbound, Malformed};

/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many messages wait while the database is asked. Further ones stay in the socket.
const BACKLOG: usize = 64;

struct Task<S> {
    wire: Wire<S>,
    session: Session,
    job: Option<Job>,
    backlog: VecDeque<Message>,
    heard: Instant,
    timer: Pin<Box<Sleep>>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

enum Event {
    Message(Message),
    Order(Item),
    Done(Done),
    Timer,
    Stop,
    /// The connection is over.
    Gone,
}

/// What becomes of the socket.
enum Outcome {
    Continue,
    Close(CloseCode, &'static str),
    Gone,
}

/// Serves a socket until it ends.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(socket: S, session: Session) {
    let config = &session.service.config;
    let wire = Wire::new(socket, config.limits.max_message_size).await;
    let heard = Instant::now();
    let mut task = Task {
        wire,
        job: None,
        backlog: VecDeque::new(),
        heard,
        timer: Box::pin(tokio::time::sleep_until(heard + config.idle_timeout)),
        stopped: Box::pin(session.service.stop.clone().cancelled_owned()),
        session,
    };
    let outcome = loop {
        let event = poll_fn(|cx| task.poll(cx)).await;
        match task.handle(event) {
            Outcome::Continue => {}
            end => break end,
        }
    };
    task.session.end();
    if let Outcome::Close(code, reason) = outcome {
        let frame = CloseFrame { code, reason: reason.into() };
        // It is only a courtesy: whoever does not read gets none.
        let _ = tokio::time::timeout(FAREWELL, task.wire.close(frame)).await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match self.wire.poll_write(cx, &self.session.outbox) {
            Poll::Ready(Ok(order)) => return Poll::Ready(Event::Order(order)),
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
            Poll::Pending => {}
        }
        if let Some(job) = &mut self.job
            && let Poll::Ready(done) = job.as_mut().poll(cx)
        {
            return Poll::Ready(Event::Done(done));
        }
        if self.backlog.len() < BACKLOG
            && let Poll::Ready(message) = self.wire.poll_read(cx)
        {
            return Poll::Ready(match message {
                Some(Ok(message)) => Event::Message(message),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a socket ended");
                    Event::Gone
                }
                None => Event::Gone,
            });
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Timer);
        }
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Stop);
        }
        Poll::Pending
    }

    fn handle(&mut self, event: Event) -> Outcome {
        let outcome = match event {
            Event::Message(message) => self.message(message),
            Event::Done(done) => {
                self.job = None;
                self.session.complete(done);
                self.catch_up()
            }
            Event::Order(Item::Shut { channel, message }) => {
                self.session.obey(channel, message);
                Outcome::Continue
            }
            Event::Order(Item::Overflow) => {
                tracing::info!("a socket was closed because it did not read");
                return Outcome::Close(CloseCode::Policy, "slow reader: too many messages waiting");
            }
            Event::Order(Item::Disconnect) => {
                self.session.disconnect();
                Outcome::Continue
            }
            Event::Order(Item::Close) => {
                return Outcome::Close(CloseCode::Normal, "server requested disconnect");
            }
            Event::Order(Item::Frame(_)) => Outcome::Continue,
            Event::Timer => self.time(),
            Event::Stop => return Outcome::Close(CloseCode::Restart, "server is shutting down"),
            Event::Gone => return Outcome::Gone,
        };
        self.set_timer();
        outcome
    }

    fn message(&mut self, message: Message) -> Outcome {
        self.heard = Instant::now();
        if !matches!(message, Message::Text(_) | Message::Binary(_)) {
            return Outcome::Continue;
        }
        if self.job.is_none() {
            return self.take_in(message);
        }
        // A heartbeat is answered even while the database is asked.
        if let Message::Text(text) = &message
            && let Ok(inbound) = Inbound::from_text(self.session.version, text)
            && inbound.topic == "phoenix"
        {
            self.session.receive(inbound);
        } else {
            self.backlog.push_back(message);
        }
        Outcome::Continue
    }

    fn take_in(&mut self, message: Message) -> Outcome {
        let version = self.session.version;
        let job = match message {
            Message::Text(text) => {
                Inbound::from_text(version, &text).map(|inbound| self.session.receive(inbound))
            }
            Message::Binary(data) => {
                Inbound::from_binary(version, data).map(|inbound| self.session.receive(inbound))
            }
            _ => Ok(None),
        };
        match job {
            Ok(job) => {
                self.job = job;
                Outcome::Continue
            }
            Err(Malformed) => Outcome::Close(CloseCode::Error, "malformed message"),
        }
    }

    /// Takes in what waited for the database.
    fn catch_up(&mut self) -> Outcome {
        while self.job.is_none() {
            let Some(message) = self.backlog.pop_front() else {
                self.backlog = VecDeque::new();
                break;
            };
            match self.take_in(message) {
                Outcome::Continue => {}
                end => return end,
            }
        }
        Outcome::Continue
    }

    fn time(&mut self) -> Outcome {
        let now = Instant::now();
        let config = &self.session.service.config;
        if self.wire.is_blocked() {
            // It may be sending, but nothing can be heard before it has read.
            self.heard = now;
        }
        if now >= self.heard + config.idle_timeout {
            return Outcome::Close(CloseCode::Normal, "idle");
        }
        if self.session.emptied.is_some_and(|since| now >= since + config.no_channel_timeout) {
            return Outcome::Close(CloseCode::Normal, "no channel");
        }
        self.session.verify_tokens(now);
        self.session.stirred = true;
        Outcome::Continue
    }

    /// The timer is moved when it has fired, and forward when something falls due sooner.
    fn set_timer(&mut self) {
        if !std::mem::take(&mut self.session.stirred) {
            return;
        }
        let config = &self.session.service.config;
        let mut next = self.heard + config.idle_timeout;
        if let Some(at) = self.session.next_verification() {
            next = next.min(at);
        }
        if let Some(since) = self.session.emptied {
            next = next.min(since + config.no_channel_timeout);
        }
        self.timer.as_mut().reset(next);
    }
}
