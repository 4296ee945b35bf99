//! Reads that become ready at the same moment travel together: one connection, one flush, one wake-up of the server.
//!
//! A server process that is sent one small request at a time spends a good part of its work on falling asleep and waking
//! up, and so do we. So whoever wants to read and finds a connection free does not send at once: it gives way once, and
//! what else is ready meanwhile puts its batch into the same buffer. Each batch has its own Sync, so each is a
//! transaction of its own, under its own role, and one that fails leaves the others alone.
//!
//! Nobody may suffer from company. Only statements that are prepared on the connection and were swift so far travel
//! this way. When the one in front takes long all the same (a lock, a large answer), those behind it get off and are run
//! elsewhere: they are reads, so running them twice does no harm.
//!
//! There is no task behind it: the first passenger that still waits reads the answers, for itself and for the others.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::{Inner, PooledConnection};
use crate::batch::SentBatch;
use crate::config::ConnectConfig;
use crate::error::Error;
use crate::request::RequestContext;
use crate::statement::Statement;
use crate::stream::{RowStream, StreamEvent};

/// How many travel together at most.
const SEATS: usize = 16;
/// How long those behind wait for the one in front.
const PATIENCE: Duration = Duration::from_millis(5);
/// An answer with more bytes is not held; it is handed out while it arrives.
const LARGE_ANSWER: usize = 256 * 1024;
/// Where convoys gather: one stop for each thread as far as they go round, because what is ready on one thread is ready
/// at the same moment.
const STOPS: usize = 16;

/// Where convoys gather and how many are under way.
pub(super) struct Stops {
    stops: [Stop; STOPS],
    pub(super) departed: AtomicU64,
    pub(super) reads: AtomicU64,
}

struct Stop {
    gathering: Mutex<Option<Arc<Convoy>>>,
    lanes: Arc<Lanes>,
}

impl Stop {
    fn gathering(&self) -> MutexGuard<'_, Option<Arc<Convoy>>> {
        self.gathering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many convoys from one stop may be under way. Beside a server on this machine more of them than there are cores
/// only take turns, so there it is one: who comes later had better wait for company until it is back.
struct Lanes {
    limit: usize,
    under_way: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl Lanes {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a lane; without a free one, `cx` is woken when there may be one.
    fn take(&self, cx: &Context<'_>) -> bool {
        let mut waiting = self.waiting();
        if self.under_way.load(Ordering::Acquire) >= self.limit {
            waiting.push(cx.waker().clone());
            return false;
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        true
    }

    fn give_back(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        // All of them look again: some may have departed meanwhile, or have nobody left.
        for waker in self.waiting().drain(..) {
            waker.wake();
        }
    }
}

impl Stops {
    pub(super) fn new(config: &ConnectConfig) -> Self {
        let limit = if config.is_local() { 1 } else { usize::MAX };
        let stop = |_| Stop {
            gathering: Mutex::default(),
            lanes: Arc::new(Lanes { limit, under_way: AtomicUsize::new(0), waiting: Mutex::default() }),
        };
        Self { stops: std::array::from_fn(stop), departed: AtomicU64::new(0), reads: AtomicU64::new(0) }
    }

    fn here(&self) -> &Stop {
        &self.stops[super::this_thread() % STOPS]
    }
}

struct Convoy(Mutex<State>);

impl Convoy {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch and where the caller's statements stand in it.
type Sent = (SentBatch, usize, usize);

struct State {
    lanes: Arc<Lanes>,
    /// Whether it occupies one.
    in_lane: bool,
    /// Between two answers.
    connection: Option<PooledConnection>,
    /// The answer to the seat at `head`.
    reading: Option<RowStream>,
    seats: Vec<Seat>,
    /// Whose answer comes next, or is being read.
    head: usize,
    /// Whether nobody gets on any more.
    departed: bool,
    flushed: bool,
    patience: Option<Pin<Box<Sleep>>>,
}

struct Seat {
    sent: Option<Sent>,
    events: VecDeque<StreamEvent>,
    bytes: usize,
    passenger: Passage,
}

enum Passage {
    Waiting(Option<Waker>),
    Decided(Verdict),
    Gone,
}

enum Verdict {
    Answered(Result<RowStream, Error>),
    /// To be run elsewhere.
    Again,
}

/// Gets on a convoy, a new one if there is none; `None` when this request had better go alone.
pub(super) fn board(
    pool: &Arc<Inner>,
    context: &RequestContext<'_>,
    statements: &[Statement<'_>],
) -> Option<Passenger> {
    let stop = pool.convoys.here();
    let mut gathering = stop.gathering();
    if let Some(convoy) = &*gathering {
        let mut state = convoy.lock();
        if state.has_room() {
            let connection = state.connection.as_mut()?;
            let sent = connection.start_swift_request(context, statements)?;
            let seat = state.take_seat(sent);
            if !state.has_room() {
                state.hand_over();
            }
            drop(state);
            pool.note_passenger();
            return Some(Passenger { convoy: convoy.clone(), seat });
        }
    }
    let mut connection = pool.lend_now()?;
    let sent = connection.start_swift_request(context, statements)?;
    let mut state = State {
        lanes: stop.lanes.clone(),
        in_lane: false,
        connection: Some(connection),
        reading: None,
        seats: Vec::with_capacity(4),
        head: 0,
        departed: false,
        flushed: false,
        patience: None,
    };
    let seat = state.take_seat(sent);
    let convoy = Arc::new(Convoy(Mutex::new(state)));
    *gathering = Some(convoy.clone());
    pool.metrics.convoys.increment(1);
    pool.convoys.departed.fetch_add(1, Ordering::Relaxed);
    pool.note_passenger();
    Some(Passenger { convoy, seat })
}

impl Inner {
    fn note_passenger(&self) {
        self.metrics.passengers.increment(1);
        self.convoys.reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// One request on its way. Dropped, its answer is read all the same if others wait behind it.
pub(super) struct Passenger {
    convoy: Arc<Convoy>,
    seat: usize,
}

impl Passenger {
    /// The answer; `None` when the request has to be made elsewhere.
    pub(super) async fn ride(self) -> Option<Result<RowStream, Error>> {
        if self.seat == 0 {
            // Whatever else is ready runs before this goes on.
            tokio::task::yield_now().await;
        }
        match std::future::poll_fn(|cx| self.convoy.lock().poll(self.seat, cx)).await {
            Verdict::Answered(answer) => Some(answer),
            Verdict::Again => None,
        }
    }
}

impl Drop for Passenger {
    fn drop(&mut self) {
        let mut state = self.convoy.lock();
        state.seats[self.seat].passenger = Passage::Gone;
        state.hand_over();
    }
}

impl State {
    fn has_room(&self) -> bool {
        !self.departed && self.seats.len() < SEATS
    }

    fn take_seat(&mut self, sent: Sent) -> usize {
        self.seats.push(Seat {
            sent: Some(sent),
            events: VecDeque::new(),
            bytes: 0,
            passenger: Passage::Waiting(None),
        });
        self.seats.len() - 1
    }

    /// Who reads: the first that waits.
    fn driver(&self) -> Option<usize> {
        self.seats.iter().position(|seat| matches!(seat.passenger, Passage::Waiting(_)))
    }

    fn poll(&mut self, seat: usize, cx: &mut Context<'_>) -> Poll<Verdict> {
        if self.driver() == Some(seat) {
            self.drive(cx);
        }
        match &mut self.seats[seat].passenger {
            Passage::Waiting(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            decided => match std::mem::replace(decided, Passage::Gone) {
                Passage::Decided(verdict) => {
                    self.hand_over();
                    Poll::Ready(verdict)
                }
                // Nobody polls after the end.
                _ => Poll::Pending,
            },
        }
    }

    /// Wakes whoever has to read now. With nobody left, the connection goes back, to be brought into order.
    fn hand_over(&mut self) {
        match self.driver() {
            Some(driver) => {
                if let Passage::Waiting(Some(waker)) = &self.seats[driver].passenger {
                    waker.wake_by_ref();
                }
            }
            None => {
                self.departed = true;
                self.reading = None;
                self.connection = None;
                self.leave_lane();
            }
        }
    }

    fn leave_lane(&mut self) {
        if std::mem::take(&mut self.in_lane) {
            self.lanes.give_back();
        }
    }

    fn decide(&mut self, seat: usize, verdict: Verdict) {
        let passenger = &mut self.seats[seat].passenger;
        if let Passage::Waiting(waker) = passenger {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
            *passenger = Passage::Decided(verdict);
        }
    }

    fn dismiss(&mut self, from: usize) {
        for seat in from..self.seats.len() {
            self.decide(seat, Verdict::Again);
        }
    }

    /// Sends, and reads what there is.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.departed {
            if !self.lanes.take(cx) {
                return;
            }
            (self.departed, self.in_lane) = (true, true);
        }
        if !self.flushed {
            let Some(connection) = &mut self.connection else { return };
            match connection.wire.poll_flush(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(_)) => {
                    connection.wire.broken = true;
                    self.connection = None;
                    self.leave_lane();
                    return self.dismiss(0);
                }
            }
            if self.seats.len() > 1 || self.lanes.limit < usize::MAX {
                self.patience = Some(Box::pin(tokio::time::sleep_until(Instant::now() + PATIENCE)));
            }
        }
        while self.read(cx) {}
        if self.reading.is_some()
            && let Some(patience) = &mut self.patience
            && patience.as_mut().poll(cx).is_ready()
        {
            self.patience = None;
            self.leave_lane();
            self.dismiss(self.head + 1);
        }
    }

    /// Takes one event; whether there may be more now.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.reading.is_none() {
            let Some(connection) = self.connection.take() else { return false };
            let Some(seat) = self.seats.get_mut(self.head) else {
                // Behind the last answer the connection goes back to the pool.
                drop(connection);
                self.leave_lane();
                return false;
            };
            let Some((batch, first, count)) = seat.sent.take() else { return false };
            self.reading = Some(RowStream::new(connection, batch, first, count));
        }
        let Some(reading) = &mut self.reading else { return false };
        let Poll::Ready(event) = pin!(reading.advance()).poll(cx) else { return false };
        let head = self.head;
        let seat = &mut self.seats[head];
        match event {
            Ok(Some(event)) => {
                if let StreamEvent::Row(row) = &event {
                    seat.bytes += row.size();
                }
                let large = matches!(event, StreamEvent::LargeRow { .. }) || seat.bytes > LARGE_ANSWER;
                seat.events.push_back(event);
                if large && let Some(stream) = self.reading.take() {
                    let stream = stream.preceded_by(std::mem::take(&mut seat.events));
                    self.leave_lane();
                    self.decide(head, Verdict::Answered(Ok(stream)));
                    self.dismiss(head + 1);
                    return false;
                }
                return true;
            }
            Ok(None) => {
                let events = std::mem::take(&mut seat.events);
                self.decide(head, Verdict::Answered(Ok(RowStream::complete(events))));
            }
            Err(_) if reading.is_broken() => {
                self.reading = None;
                self.leave_lane();
                self.dismiss(0);
                return false;
            }
            Err((_, true)) => self.decide(head, Verdict::Again),
            Err((error, false)) => self.decide(head, Verdict::Answered(Err(error))),
        }
        self.head += 1;
        self.connection = self.reading.take().and_then(RowStream::into_connection);
        true
    }
}
