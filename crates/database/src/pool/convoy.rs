//! Reads that become ready at the same moment travel together: one connection, one flush, one wake-up of the server.
//!
//! A server process that is sent one small request at a time spends a good part of its work on falling asleep and waking
//! up, and so do we. So whoever wants to read and finds a connection free does not send at once: it gives way once, and
//! what else is ready meanwhile puts its batch into the same buffer. Each batch has its own Sync, so each is a
//! transaction of its own, under its own role, and one that fails leaves the others alone.
//!
//! Beside a server on this machine, server and we share the cores, and neither should wait for the other. There a convoy
//! takes passengers on while it is under way: they gather until they are as many as the answers still to come, and follow
//! then, so that the server finds the next requests when it is through with the last ones, and finds many at a time.
//!
//! Nobody may suffer from company. Only statements that are prepared on the connection and were swift so far travel
//! this way. When the one in front takes long all the same (a lock, a large answer), those behind it get off and are run
//! elsewhere: they are reads, so running them twice does no harm.
//!
//! There is no task behind it: the first passenger that still waits reads the answers, for itself and for the others.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::{Inner, PooledConnection};
use crate::batch::SentBatch;
use crate::config::ConnectConfig;
use crate::error::Error;
use crate::request::RequestContext;
use crate::statement::Statement;
use crate::stream::{RowStream, StreamEvent};

/// How many may wait for answers in one convoy.
const SEATS: usize = 128;
/// How many may depart together where nobody gets on under way.
const SEATS_AT_ONCE: usize = 16;
/// How long those behind wait for the one in front.
const PATIENCE: Duration = Duration::from_millis(5);
/// An answer with more bytes is not held; it is handed out while it arrives.
const LARGE_ANSWER: usize = 256 * 1024;
/// After so many passengers a convoy ends, so that its connection goes back to the pool now and then, and grows old there.
const LAST: usize = 4096;
/// Where convoys gather: one stop for each thread as far as they go round, because what is ready on one thread is ready
/// at the same moment.
const STOPS: usize = 16;

/// Where convoys gather and how many are under way.
pub(super) struct Stops {
    stops: [Mutex<Option<Arc<Convoy>>>; STOPS],
    /// Whether passengers get on under way.
    rolling: bool,
    pub(super) departed: AtomicU64,
    pub(super) reads: AtomicU64,
}

impl Stops {
    pub(super) fn new(config: &ConnectConfig) -> Self {
        Self {
            stops: std::array::from_fn(|_| Mutex::default()),
            rolling: config.is_local(),
            departed: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        }
    }

    /// The convoy that takes passengers on here.
    fn here(&self) -> MutexGuard<'_, Option<Arc<Convoy>>> {
        self.stops[super::this_thread() % STOPS].lock().unwrap_or_else(PoisonError::into_inner)
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
    rolling: bool,
    /// Between two answers.
    connection: Option<PooledConnection>,
    /// The answer to the seat at `head`.
    reading: Option<RowStream>,
    /// Those that wait, or whose answer is still to come, in order.
    seats: VecDeque<Seat>,
    /// The number of the first of them.
    first: usize,
    /// Whose answer comes next, or is being read.
    head: usize,
    /// The first whose batch is still here.
    unsent: usize,
    /// Whether somebody gives way at the moment, and departs after that.
    gathering: bool,
    /// Whether the connection has not taken all that departed.
    flushing: bool,
    /// Whether nobody gets on any more.
    closed: bool,
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
    /// All of it is here.
    Answered(VecDeque<StreamEvent>),
    /// The rest is still to come.
    Begun(Box<RowStream>),
    Failed(Error),
    /// To be run elsewhere.
    Again,
}

/// Who travels alone, and with what.
pub(super) enum Alone {
    /// A connection that was lent, and on which the request cannot travel with others yet.
    With(PooledConnection),
    /// No connection; the permit if there was one.
    Without(Option<OwnedSemaphorePermit>),
}

/// Gets on a convoy, a new one if there is none, for which `permit` is used if there is one; or not, when this request had
/// better go alone.
pub(super) fn board(
    pool: &Arc<Inner>,
    permit: Option<OwnedSemaphorePermit>,
    context: &RequestContext<'_>,
    statements: &[Statement<'_>],
) -> Result<Passenger, Alone> {
    let mut here = pool.convoys.here();
    if let Some(convoy) = &*here {
        let mut state = convoy.lock();
        if state.takes_passengers() {
            let has_seats = state.seats.len() < SEATS;
            let connection = has_seats.then(|| state.connection()).flatten();
            let Some(sent) =
                connection.and_then(|connection| connection.start_swift_request(context, statements))
            else {
                return Err(Alone::Without(permit));
            };
            let (seat, gathers) = state.take_seat(sent);
            drop(state);
            pool.note_passenger();
            return Ok(Passenger { convoy: convoy.clone(), seat, gathers });
        }
    }
    let mut connection = pool.lend_now(permit).map_err(Alone::Without)?;
    let Some(sent) = connection.start_swift_request(context, statements) else {
        return Err(Alone::With(connection));
    };
    let mut state = State {
        rolling: pool.convoys.rolling,
        connection: Some(connection),
        reading: None,
        seats: VecDeque::with_capacity(8),
        first: 0,
        head: 0,
        unsent: 0,
        gathering: false,
        flushing: false,
        closed: false,
        patience: None,
    };
    let (seat, gathers) = state.take_seat(sent);
    let convoy = Arc::new(Convoy(Mutex::new(state)));
    *here = Some(convoy.clone());
    pool.note_passenger();
    Ok(Passenger { convoy, seat, gathers })
}

impl Inner {
    fn note_passenger(&self) {
        self.metrics.passengers.increment(1);
        self.convoys.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_departure(&self) {
        self.metrics.convoys.increment(1);
        self.convoys.departed.fetch_add(1, Ordering::Relaxed);
    }
}

/// One request on its way. Dropped, its answer is read all the same if others wait behind it.
pub(super) struct Passenger {
    convoy: Arc<Convoy>,
    seat: usize,
    /// Whether others wait for this one to have given way.
    gathers: bool,
}

impl Passenger {
    /// The answer; `None` when the request has to be made elsewhere.
    pub(super) async fn ride(mut self) -> Option<Result<RowStream, Error>> {
        if self.gathers {
            // Whatever else is ready runs before this goes on.
            tokio::task::yield_now().await;
            self.gathers = false;
            self.convoy.lock().gathering = false;
        }
        match std::future::poll_fn(|cx| self.convoy.lock().poll(self.seat, cx)).await {
            Verdict::Answered(events) => Some(Ok(RowStream::complete(events))),
            Verdict::Begun(stream) => Some(Ok(*stream)),
            Verdict::Failed(error) => Some(Err(error)),
            Verdict::Again => None,
        }
    }
}

impl Drop for Passenger {
    fn drop(&mut self) {
        let mut state = self.convoy.lock();
        if self.gathers {
            state.gathering = false;
        }
        if state.leave(self.seat) {
            state.hand_over();
        }
    }
}

impl State {
    fn takes_passengers(&mut self) -> bool {
        self.closed |= !self.connection().is_some_and(|connection| connection.is_current());
        !self.closed
    }

    /// The connection, whoever reads from it.
    fn connection(&mut self) -> Option<&mut PooledConnection> {
        match &mut self.reading {
            Some(reading) => reading.connection(),
            None => self.connection.as_mut(),
        }
    }

    fn end(&self) -> usize {
        self.first + self.seats.len()
    }

    /// The number of the new seat, and whether its passenger has to give way.
    fn take_seat(&mut self, sent: Sent) -> (usize, bool) {
        self.seats.push_back(Seat {
            sent: Some(sent),
            events: VecDeque::new(),
            bytes: 0,
            passenger: Passage::Waiting(None),
        });
        let gathers = !self.gathering && self.should_depart();
        self.gathering |= gathers;
        self.closed |= !self.rolling && self.seats.len() >= SEATS_AT_ONCE;
        (self.end() - 1, gathers)
    }

    /// Marks the seat as left, and forgets those in front that nobody needs. False when it had been left before.
    fn leave(&mut self, seat: usize) -> bool {
        let Some(left) = seat.checked_sub(self.first).and_then(|at| self.seats.get_mut(at)) else {
            return false;
        };
        let was_here = !matches!(left.passenger, Passage::Gone);
        left.passenger = Passage::Gone;
        while self.first < self.head
            && matches!(self.seats.front(), Some(Seat { passenger: Passage::Gone, .. }))
        {
            self.seats.pop_front();
            self.first += 1;
        }
        was_here
    }

    /// Who reads: the first that waits.
    fn driver(&self) -> Option<usize> {
        let waits = |seat: &Seat| matches!(seat.passenger, Passage::Waiting(_));
        self.seats.iter().position(waits).map(|at| self.first + at)
    }

    fn poll(&mut self, number: usize, cx: &mut Context<'_>) -> Poll<Verdict> {
        if self.driver() == Some(number) {
            self.drive(cx);
        } else if !self.gathering && self.should_depart() {
            let nobody_reads = self.reading.is_none();
            // Whoever reads also sends the rest.
            if !self.depart(cx) || nobody_reads {
                self.hand_over();
            }
        }
        let Some(seat) = number.checked_sub(self.first).and_then(|at| self.seats.get_mut(at)) else {
            // Nobody polls after the end.
            return Poll::Pending;
        };
        if let Passage::Waiting(waker) = &mut seat.passenger {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        let Passage::Decided(verdict) = std::mem::replace(&mut seat.passenger, Passage::Gone) else {
            return Poll::Pending;
        };
        self.leave(number);
        self.hand_over();
        Poll::Ready(verdict)
    }

    /// Wakes whoever has to read now. With nobody left, the connection goes back, to be brought into order.
    fn hand_over(&mut self) {
        match self.driver() {
            Some(driver) => {
                if let Passage::Waiting(Some(waker)) = &self.seats[driver - self.first].passenger {
                    waker.wake_by_ref();
                }
            }
            None => {
                self.closed = true;
                self.reading = None;
                self.connection = None;
            }
        }
    }

    fn decide(&mut self, number: usize, verdict: Verdict) {
        let Some(seat) = number.checked_sub(self.first).and_then(|at| self.seats.get_mut(at)) else { return };
        if let Passage::Waiting(waker) = &mut seat.passenger {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
            seat.passenger = Passage::Decided(verdict);
        }
    }

    /// Nobody gets on any more, and those from this seat on get off.
    fn dismiss(&mut self, from: usize) {
        self.closed = true;
        for number in from..self.end() {
            self.decide(number, Verdict::Again);
        }
    }

    /// Whether those who gathered are to be sent after the others.
    fn should_depart(&self) -> bool {
        let (gathered, under_way) = (self.end() - self.unsent, self.unsent - self.head.min(self.unsent));
        gathered > 0 && gathered >= under_way
    }

    /// Sends those who gathered; whether the connection took all.
    fn depart(&mut self, cx: &mut Context<'_>) -> bool {
        self.unsent = self.end();
        self.closed |= !self.rolling || self.unsent >= LAST;
        let Some(connection) = self.connection() else { return true };
        connection.note_departure();
        self.flushing = true;
        if self.patience.is_none() && (self.rolling || self.seats.len() > 1) {
            self.patience = Some(Box::pin(tokio::time::sleep(PATIENCE)));
        }
        self.flush(cx)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(connection) = self.connection() else { return true };
        match connection.wire.poll_flush(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => {
                connection.wire.broken = true;
                self.reading = None;
                self.connection = None;
                self.dismiss(self.first);
            }
        }
        self.flushing = false;
        true
    }

    /// Sends, and reads what there is.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.flushing && !self.flush(cx) {
            return;
        }
        loop {
            while self.read(cx) {}
            if self.gathering || !self.should_depart() {
                break;
            }
            if !self.depart(cx) {
                return;
            }
        }
        self.be_patient(cx);
    }

    /// When the one in front takes too long, those behind it get off.
    fn be_patient(&mut self, cx: &mut Context<'_>) {
        let (Some(reading), Some(patience)) = (&self.reading, &mut self.patience) else { return };
        while patience.as_mut().poll(cx).is_ready() {
            let until = Instant::from_std(reading.began()) + PATIENCE;
            if until <= Instant::now() {
                self.patience = None;
                self.dismiss(self.head + 1);
                return;
            }
            patience.as_mut().reset(until);
        }
    }

    /// Takes one event; whether there may be more now.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.reading.is_none() {
            if self.head == self.end() {
                // Behind the last answer the connection goes back to the pool.
                self.closed = true;
                self.connection = None;
                return false;
            }
            if self.head >= self.unsent {
                return false;
            }
            let Some(connection) = self.connection.take() else { return false };
            let Some((batch, first, count)) = self.seats[self.head - self.first].sent.take() else {
                return false;
            };
            self.reading = Some(RowStream::new(connection, batch, first, count));
        }
        let Some(reading) = &mut self.reading else { return false };
        let Poll::Ready(event) = pin!(reading.advance()).poll(cx) else { return false };
        let head = self.head;
        let seat = &mut self.seats[head - self.first];
        match event {
            Ok(Some(event)) => {
                if let StreamEvent::Row(row) = &event {
                    seat.bytes += row.size();
                }
                let large = matches!(event, StreamEvent::LargeRow { .. }) || seat.bytes > LARGE_ANSWER;
                seat.events.push_back(event);
                if large && let Some(stream) = self.reading.take() {
                    let stream = stream.preceded_by(std::mem::take(&mut seat.events));
                    self.decide(head, Verdict::Begun(Box::new(stream)));
                    self.dismiss(head + 1);
                    return false;
                }
                return true;
            }
            Ok(None) => {
                let events = std::mem::take(&mut seat.events);
                self.decide(head, Verdict::Answered(events));
            }
            Err(_) if reading.is_broken() => {
                self.reading = None;
                self.dismiss(self.first);
                return false;
            }
            Err((_, true)) => self.decide(head, Verdict::Again),
            Err((error, false)) => self.decide(head, Verdict::Failed(error)),
        }
        self.head += 1;
        self.connection = self.reading.take().and_then(RowStream::into_connection);
        true
    }
}
