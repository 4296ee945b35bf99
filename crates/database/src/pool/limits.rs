//! What a pool may do, and what it reports of itself.

use std::time::Duration;

use crate::connection::STATEMENT_CACHE_SIZE;

/// Whether statements are kept prepared on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreparedStatements {
    /// Yes, unless a transaction pooler is found between us and the server.
    #[default]
    Auto,
    /// Yes.
    On,
    /// No: each is parsed anew, unnamed.
    Off,
}

/// What is done to a session that was lent out by [`Pool::acquire`] and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionReset {
    /// Nothing but the rollback of an open transaction.
    Never,
    /// Settings, locks, temporary tables and subscriptions are discarded when a statement has shown that there
    /// are some (`SET`, `LISTEN`, `CREATE TEMP` …).
    #[default]
    WhenTouched,
    /// They are always discarded.
    Always,
}

/// What stands between us and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing.
    None,
    /// Something that keeps one server session for one of ours.
    Session,
    /// Something that may give every transaction another server session.
    Transaction,
}

/// The limits of a pool.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Name in metrics, such as `rest`.
    pub name: &'static str,
    /// How many connections at most.
    pub max_size: usize,
    /// How long a caller waits for a connection.
    pub acquire_timeout: Duration,
    /// How many callers may wait; more are refused at once.
    pub max_waiting: usize,
    /// How long a request may take once it has a connection; it is then cancelled. The server's own
    /// `statement_timeout` answers better, but not when the server does not answer at all.
    pub request_timeout: Option<Duration>,
    /// How long a connection may be unused before it is closed.
    pub idle_timeout: Duration,
    /// How long a connection may live.
    pub max_lifetime: Duration,
    /// Whether statements are kept prepared.
    pub prepared_statements: PreparedStatements,
    /// How many statements a connection keeps prepared.
    pub statement_cache_size: usize,
    /// What happens to a session that comes back.
    pub reset: SessionReset,
    /// How long a connection with an abandoned statement may take to come clean before it is closed.
    pub drain_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            name: "default",
            max_size: 10,
            acquire_timeout: Duration::from_secs(10),
            max_waiting: 10_000,
            request_timeout: None,
            idle_timeout: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(30 * 60),
            prepared_statements: PreparedStatements::Auto,
            statement_cache_size: STATEMENT_CACHE_SIZE,
            reset: SessionReset::WhenTouched,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// A pool's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatus {
    /// The limit.
    pub max_size: usize,
    /// Connections that exist.
    pub size: usize,
    /// Connections nobody uses.
    pub idle: usize,
    /// Callers that wait.
    pub waiting: usize,
    /// How many callers were refused because no connection came free in time.
    pub timeouts: u64,
    /// Connections opened so far.
    pub connects: u64,
    /// Statements found prepared so far.
    pub cache_hits: u64,
    /// Statements that had to be parsed so far.
    pub cache_misses: u64,
    /// Groups of reads that shared a connection and a flush so far; see [`crate::Pool::stream_read`].
    pub convoys: u64,
    /// Reads in them.
    pub convoy_reads: u64,
}
