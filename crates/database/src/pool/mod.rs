//! A bounded set of connections.

mod clean;
mod convoy;
mod lent;
mod limits;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram};
use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use convoy::Alone;

use crate::config::ConnectConfig;
use crate::connection::Connection;
use crate::error::Error;
use crate::pace::Paces;
use crate::pooler;
use crate::request::{Access, RequestContext, RequestTransaction};
use crate::result::ResultSet;
use crate::statement::Statement;
use crate::stream::RowStream;

pub use lent::PooledConnection;
pub use limits::{PoolConfig, PoolStatus, Pooler, PreparedStatements, SessionReset};

/// A bounded set of connections to one server. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    config: ConnectConfig,
    limits: PoolConfig,
    permits: Arc<Semaphore>,
    /// The one used last is taken first, so that the others can grow old and be closed.
    idle: Mutex<Vec<Idle>>,
    pooler: OnceCell<Pooler>,
    closed: AtomicBool,
    /// Connections that were opened under an earlier number are not used again.
    generation: AtomicU64,
    size: Arc<AtomicUsize>,
    waiting: AtomicUsize,
    timeouts: AtomicU64,
    connects: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    returned: Notify,
    /// Connections that are being brought into order, and the task that closes old ones.
    tasks: Mutex<JoinSet<()>>,
    has_reaper: AtomicBool,
    convoys: convoy::Stops,
    paces: Arc<Paces>,
    metrics: Metrics,
}

struct Idle {
    live: Live,
    since: Instant,
}

/// A connection that counts towards the size of its pool.
struct Live {
    connection: Box<Connection>,
    created: Instant,
    generation: u64,
    /// Whose it is, see [`reactor`].
    home: usize,
    size: Arc<AtomicUsize>,
}

/// A number for the thread that this runs on: small, and its own for as long as the process lives.
pub fn this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    THREAD.with(|thread| *thread)
}

/// A number for what watches the sockets that this thread opens: zero for what the threads of a runtime share, the
/// thread's own for one that has a runtime to itself.
fn reactor() -> usize {
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::CurrentThread) => this_thread() + 1,
        _ => 0,
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.size.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Metrics {
    in_use: Gauge,
    idle: Gauge,
    waiting: Gauge,
    wait: Histogram,
    connects: Counter,
    hits: Counter,
    misses: Counter,
    convoys: Counter,
    passengers: Counter,
}

impl Metrics {
    fn new(pool: &'static str) -> Self {
        Metrics {
            in_use: metrics::gauge!("database_pool_connections", "pool" => pool, "state" => "in_use"),
            idle: metrics::gauge!("database_pool_connections", "pool" => pool, "state" => "idle"),
            waiting: metrics::gauge!("database_pool_waiting", "pool" => pool),
            wait: metrics::histogram!("database_pool_wait_seconds", "pool" => pool),
            connects: metrics::counter!("database_pool_connects_total", "pool" => pool),
            hits: metrics::counter!("database_statement_cache_hits_total", "pool" => pool),
            misses: metrics::counter!("database_statement_cache_misses_total", "pool" => pool),
            convoys: metrics::counter!("database_convoys_total", "pool" => pool),
            passengers: metrics::counter!("database_convoy_reads_total", "pool" => pool),
        }
    }
}

/// An idle connection that was used this recently is only asked what the runtime knows of its socket.
const FRESH: Duration = Duration::from_millis(100);

impl Pool {
    /// A pool; connections are opened when they are needed.
    pub fn new(config: ConnectConfig, limits: PoolConfig) -> Self {
        let max_size = limits.max_size.max(1);
        let metrics = Metrics::new(limits.name);
        Pool {
            inner: Arc::new(Inner {
                convoys: convoy::Stops::new(&config),
                paces: Arc::new(Paces::new(config.is_local())),
                config,
                limits: PoolConfig { max_size, ..limits },
                permits: Arc::new(Semaphore::new(max_size)),
                idle: Mutex::new(Vec::with_capacity(max_size)),
                pooler: OnceCell::new(),
                closed: AtomicBool::new(false),
                generation: AtomicU64::new(0),
                size: Arc::new(AtomicUsize::new(0)),
                waiting: AtomicUsize::new(0),
                timeouts: AtomicU64::new(0),
                connects: AtomicU64::new(0),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                returned: Notify::new(),
                tasks: Mutex::new(JoinSet::new()),
                has_reaper: AtomicBool::new(false),
                metrics,
            }),
        }
    }

    /// Takes a connection for as long as the guard lives.
    ///
    /// What the borrower leaves behind in the session is discarded as [`PoolConfig::reset`] says; an open transaction
    /// is always rolled back.
    pub async fn acquire(&self) -> Result<PooledConnection, Error> {
        let permit = self.inner.permit().await?;
        self.inner.lend(permit).await
    }

    /// Runs statements as one request transaction, COMMIT included, in one round trip.
    ///
    /// The results are those of `statements`. Nothing was committed when this fails (save for a connection lost
    /// before the answer came). Statements that the server only takes inside a transaction block (`savepoint`,
    /// `declare … cursor`) need [`Pool::begin_request`].
    pub async fn request(
        &self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<Vec<ResultSet>, Error> {
        let mut connection = self.acquire().await?;
        loop {
            match self.inner.in_time(connection.request(context, statements)).await {
                Err(error) if connection.can_retry(&error, context.access == Access::ReadOnly) => {
                    connection = connection.exchange().await?;
                }
                other => return other,
            }
        }
    }

    /// Like [`Pool::request`], but leaves the decision between COMMIT and ROLLBACK to the caller.
    pub async fn begin_request(
        &self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<RequestTransaction, Error> {
        let mut connection = self.acquire().await?;
        loop {
            match self.inner.in_time(connection.begin_request(context, statements)).await {
                // Nothing can have been committed.
                Err(error) if connection.can_retry(&error, true) => {
                    connection = connection.exchange().await?
                }
                Err(error) => return Err(error),
                Ok(results) => return Ok(RequestTransaction::new(connection, context, results)),
            }
        }
    }

    /// Like [`Pool::request`], with rows handed out while they arrive.
    pub async fn stream_request(
        &self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<RowStream, Error> {
        let connection = self.acquire().await?;
        self.stream_on(connection, context, statements).await
    }

    async fn stream_on(
        &self,
        mut connection: PooledConnection,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<RowStream, Error> {
        let mut repeated = false;
        loop {
            let read_only = context.access == Access::ReadOnly;
            let (batch, first, count) = match connection.start_request(context, statements).await {
                Ok(sent) => sent,
                Err(error) if connection.can_retry(&error, read_only) => {
                    connection = connection.exchange().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut stream = RowStream::new(connection, batch, first, count);
            let Err((error, stale)) = stream.read_ahead().await else { return Ok(stream) };
            let Some(given_back) = stream.into_connection() else { return Err(error) };
            connection = given_back;
            if connection.can_retry(&error, read_only) {
                connection = connection.exchange().await?;
            } else if stale && !repeated {
                repeated = true;
                connection.rollback_failed().await?;
            } else {
                return Err(error);
            }
        }
    }

    /// Like [`Pool::stream_request`], for reads: swift ones that become ready at the same moment share a connection and
    /// a flush, and wait for each other's answers. Each is a transaction of its own all the same. When one of them is
    /// slow after all, those behind it are run again elsewhere, so nothing may be read this way that does more than read.
    pub async fn stream_read(
        &self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<RowStream, Error> {
        let pool = &self.inner;
        let mut permit = None;
        if context.access == Access::ReadOnly {
            // Who has to get off may find other company, and who has to wait for a connection too: with all of them lent,
            // they would queue for ever, each for a connection of its own. It starts with none.
            for _ in 0..3 {
                match convoy::board(pool, permit.take(), context, statements) {
                    Ok(passenger) => {
                        if let Some(answer) = passenger.ride().await {
                            return answer;
                        }
                    }
                    Err(Alone::With(connection)) => {
                        return Box::pin(self.stream_on(connection, context, statements)).await;
                    }
                    Err(Alone::Without(Some(granted))) => {
                        permit = Some(granted);
                        break;
                    }
                    Err(Alone::Without(None)) => match pool.permit_now()? {
                        Some(granted) => {
                            permit = Some(granted);
                            break;
                        }
                        None => permit = Some(pool.permit().await?),
                    },
                }
            }
        }
        let permit = match permit {
            Some(permit) => permit,
            None => pool.permit().await?,
        };
        let connection = Box::pin(pool.lend(permit)).await?;
        Box::pin(self.stream_on(connection, context, statements)).await
    }

    /// What stands between us and the server. Opens a connection when none has been opened yet.
    pub async fn pooler(&self) -> Result<Pooler, Error> {
        if let Some(found) = self.inner.pooler.get() {
            return Ok(*found);
        }
        let mut connection = self.acquire().await?;
        let config = &self.inner.config;
        self.inner.pooler.get_or_try_init(|| pooler::detect(&mut connection, config)).await.copied()
    }

    /// Where the pool connects to.
    pub fn config(&self) -> &ConnectConfig {
        &self.inner.config
    }

    /// Its figures.
    pub fn status(&self) -> PoolStatus {
        let inner = &self.inner;
        PoolStatus {
            max_size: inner.limits.max_size,
            size: inner.size.load(Ordering::Relaxed),
            idle: inner.idle().len(),
            waiting: inner.waiting.load(Ordering::Relaxed),
            timeouts: inner.timeouts.load(Ordering::Relaxed),
            connects: inner.connects.load(Ordering::Relaxed),
            cache_hits: inner.hits.load(Ordering::Relaxed),
            cache_misses: inner.misses.load(Ordering::Relaxed),
            convoys: inner.convoys.departed.load(Ordering::Relaxed),
            convoy_reads: inner.convoys.reads.load(Ordering::Relaxed),
        }
    }

    /// Closes idle connections, and those in use when they come back: what the server applies when a connection is opened
    /// has changed. Requests get new ones.
    pub fn retire(&self) {
        self.inner.generation.fetch_add(1, Ordering::SeqCst);
        drop(std::mem::take(&mut *self.inner.idle()));
    }

    /// Closes idle connections, those in use when they come back, and refuses new work. Waits for both.
    pub async fn close(&self) {
        let inner = &self.inner;
        inner.closed.store(true, Ordering::SeqCst);
        inner.permits.close();
        drop(std::mem::take(&mut *inner.idle()));
        let mut tasks = std::mem::take(&mut *inner.tasks());
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        loop {
            let returned = inner.returned.notified();
            if inner.size.load(Ordering::SeqCst) == 0 {
                return;
            }
            returned.await;
        }
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(limit) = self.limits.request_timeout else { return work.await };
        match tokio::time::timeout(limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout { what: "the request transaction", limit }),
        }
    }

    /// A permit if there is one.
    fn permit_now(&self) -> Result<Option<OwnedSemaphorePermit>, Error> {
        use tokio::sync::TryAcquireError;
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => Ok(Some(permit)),
            Err(TryAcquireError::Closed) => Err(Error::PoolClosed),
            Err(TryAcquireError::NoPermits) => Ok(None),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Some(permit) = self.permit_now()? {
            return Ok(permit);
        }
        let limit = self.limits.acquire_timeout;
        let refused = Error::PoolTimeout { limit, max_size: self.limits.max_size };
        let waiting = Waiting::begin(self);
        if waiting.before >= self.limits.max_waiting {
            self.timeouts.fetch_add(1, Ordering::Relaxed);
            return Err(refused);
        }
        match tokio::time::timeout(limit, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::PoolClosed),
            Err(_) => {
                self.timeouts.fetch_add(1, Ordering::Relaxed);
                Err(refused)
            }
        }
    }

    /// Which idle connection to take: the one used last of those whose answers wake this thread. Others only when the
    /// pool may not grow: to wake another thread first costs as much as a good part of a short request.
    fn nearest(&self, idle: &[Idle]) -> Option<usize> {
        let here = reactor();
        idle.iter().rposition(|idle| idle.live.home == here).or_else(|| {
            let full = self.size.load(Ordering::Relaxed) >= self.limits.max_size;
            full.then(|| idle.len().checked_sub(1)).flatten()
        })
    }

    /// A connection without waiting for anything: one that was in use a moment ago. Otherwise the permit goes back.
    fn lend_now(
        self: &Arc<Self>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<PooledConnection, Option<OwnedSemaphorePermit>> {
        let Some(permit) = permit.or_else(|| self.permit_now().ok().flatten()) else { return Err(None) };
        let mut idle = self.idle();
        let Some(at) = self.nearest(&idle) else { return Err(Some(permit)) };
        let found = &idle[at];
        if found.since.elapsed() >= FRESH || found.live.created.elapsed() >= self.limits.max_lifetime {
            return Err(Some(permit));
        }
        let Idle { mut live, .. } = idle.remove(at);
        self.metrics.idle.set(idle.len() as f64);
        drop(idle);
        if live.connection.check_idle().is_err() {
            return Err(Some(permit));
        }
        Ok(PooledConnection::new(self.clone(), live, permit, true))
    }

    /// A connection for the holder of a permit: the idle one used last that is in order, or a new one.
    async fn lend(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Result<PooledConnection, Error> {
        loop {
            let popped = {
                let mut idle = self.idle();
                let popped = self.nearest(&idle).map(|at| idle.remove(at));
                if popped.is_some() {
                    self.metrics.idle.set(idle.len() as f64);
                }
                popped
            };
            let Some(Idle { mut live, since }) = popped else { break };
            if live.created.elapsed() > self.limits.max_lifetime {
                continue;
            }
            let healthy = if since.elapsed() < FRESH {
                live.connection.check_idle()
            } else {
                live.connection.check_idle_thoroughly().await
            };
            if healthy.is_ok() {
                return Ok(PooledConnection::new(self.clone(), live, permit, true));
            }
        }
        let live = Box::pin(self.connect()).await?;
        Ok(PooledConnection::new(self.clone(), live, permit, false))
    }

    async fn connect(self: &Arc<Self>) -> Result<Live, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::PoolClosed);
        }
        // Boxed: connecting is rare, and its future would make that of every request large.
        let generation = self.generation.load(Ordering::SeqCst);
        let mut connection =
            Box::new(Box::pin(Connection::connect_with(&self.config, self.paces.clone())).await?);
        connection.set_statement_cache_size(self.limits.statement_cache_size);
        let named = match self.limits.prepared_statements {
            PreparedStatements::On => true,
            PreparedStatements::Off => false,
            PreparedStatements::Auto => {
                let found =
                    self.pooler.get_or_try_init(|| pooler::detect(&mut connection, &self.config)).await?;
                *found != Pooler::Transaction
            }
        };
        connection.set_prepared_statements(named);
        self.connects.fetch_add(1, Ordering::Relaxed);
        self.metrics.connects.increment(1);
        self.size.fetch_add(1, Ordering::Relaxed);
        self.spawn_reaper();
        let home = reactor();
        Ok(Live { connection, created: Instant::now(), generation, home, size: self.size.clone() })
    }

    /// Takes a connection back.
    fn put_back(self: &Arc<Self>, mut live: Live, permit: OwnedSemaphorePermit) {
        let connection = &mut live.connection;
        if connection.is_broken() || self.closed.load(Ordering::SeqCst) {
            drop(live);
            drop(permit);
            self.returned();
        } else if connection.is_settled() && !self.wants_reset(connection) {
            self.store(live);
            drop(permit);
            self.returned();
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let pool = Arc::downgrade(self);
            let mut tasks = self.tasks();
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(clean::clean(pool, live, permit), &runtime);
        }
    }

    fn wants_reset(&self, connection: &Connection) -> bool {
        match self.limits.reset {
            _ if self.pooler.get() == Some(&Pooler::Transaction) => false,
            SessionReset::Never => false,
            SessionReset::WhenTouched => connection.touched,
            SessionReset::Always => true,
        }
    }

    /// Tells `close`, if it waits, that there may be one connection less.
    fn returned(&self) {
        if self.closed.load(Ordering::SeqCst) {
            self.returned.notify_waiters();
        }
    }

    fn store(&self, live: Live) {
        let mut idle = self.idle();
        // `close` sets the flag before it empties the stack, `retire` the number.
        if !self.closed.load(Ordering::SeqCst) && live.generation == self.generation.load(Ordering::SeqCst) {
            idle.push(Idle { live, since: Instant::now() });
            self.metrics.idle.set(idle.len() as f64);
        }
    }

    /// Starts the task that closes connections nobody has used for long.
    fn spawn_reaper(self: &Arc<Self>) {
        if self.has_reaper.swap(true, Ordering::Relaxed) {
            return;
        }
        let pool = Arc::downgrade(self);
        let pause = (self.limits.idle_timeout / 2).clamp(Duration::from_millis(100), Duration::from_secs(30));
        self.tasks().spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = pool.upgrade() else { return };
                pool.close_old();
            }
        });
    }

    fn close_old(&self) {
        let mut old = Vec::new();
        let mut idle = self.idle();
        let mut at = 0;
        while at < idle.len() {
            let is_old = idle[at].since.elapsed() > self.limits.idle_timeout
                || idle[at].live.created.elapsed() > self.limits.max_lifetime;
            if is_old { old.push(idle.remove(at)) } else { at += 1 }
        }
        self.metrics.idle.set(idle.len() as f64);
        drop(idle);
    }
}

/// Counts a caller that waits, however the waiting ends.
struct Waiting<'p> {
    inner: &'p Inner,
    begun: Instant,
    before: usize,
}

impl<'p> Waiting<'p> {
    fn begin(inner: &'p Inner) -> Self {
        inner.metrics.waiting.increment(1.0);
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { inner, begun: Instant::now(), before }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.inner.waiting.fetch_sub(1, Ordering::Relaxed);
        self.inner.metrics.waiting.decrement(1.0);
        self.inner.metrics.wait.record(self.begun.elapsed().as_secs_f64());
    }
}
