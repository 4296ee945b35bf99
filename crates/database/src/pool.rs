//! A bounded set of connections.
use crate::config::ConnectConfig;
use crate::connection::Connection;
use crate::error::Error;
use crate::request::{RequestContext, RequestTransaction};
use crate::result::ResultSet;
use crate::statement::Statement;
use crate::stream::RowStream;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

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
            idle_timeout: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(30 * 60),
            prepared_statements: PreparedStatements::Auto,
            statement_cache_size: 256,
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
    /// Connections opened so far.
    pub connects: u64,
    /// Statements found prepared so far.
    pub cache_hits: u64,
    /// Statements that had to be parsed so far.
    pub cache_misses: u64,
}

/// A bounded set of connections to one server. Cheap to clone.
#[derive(Clone)]
pub struct Pool {}

impl Pool {
    /// A pool; connections are opened when they are needed.
    pub fn new(config: ConnectConfig, limits: PoolConfig) -> Self {
        let _ = (config, limits);
        todo!()
    }
    /// Takes a connection for as long as the guard lives.
    pub async fn acquire(&self) -> Result<PooledConnection, Error> {
        todo!()
    }
    /// Runs statements as one request transaction, COMMIT included, in one round trip.
    ///
    /// The results are those of `statements`. Nothing was committed when this fails (save for a connection lost
    /// before the answer came).
    pub async fn request(
        &self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<Vec<ResultSet>, Error> {
        let _ = (context, statements);
        todo!()
    }
    /// Like [`Pool::request`], but leaves the decision between COMMIT and ROLLBACK to the caller.
    pub async fn begin_request(
        &self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<RequestTransaction, Error> {
        let _ = (context, statements);
        todo!()
    }
    /// Like [`Pool::request`], with rows handed out while they arrive.
    pub async fn stream_request(
        &self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<RowStream, Error> {
        let _ = (context, statements);
        todo!()
    }
    /// What stands between us and the server, found when the first connection was opened.
    pub async fn pooler(&self) -> Result<Pooler, Error> {
        todo!()
    }
    /// Where the pool connects to.
    pub fn config(&self) -> &ConnectConfig {
        todo!()
    }
    /// Its figures.
    pub fn status(&self) -> PoolStatus {
        todo!()
    }
    /// Closes idle connections, those in use when they come back, and refuses new work. Waits for both.
    pub async fn close(&self) {
        todo!()
    }
}

/// A connection on loan.
pub struct PooledConnection {}

impl Deref for PooledConnection {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        todo!()
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        todo!()
    }
}
