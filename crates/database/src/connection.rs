//! One physical connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Context;

use postgres_protocol::message::frontend;
use postgres_types::Type;

use crate::batch::Piece;
use crate::cache::{Scope, StatementCache};
use crate::cancel::CancelToken;
use crate::config::ConnectConfig;
use crate::decode;
use crate::error::{DbError, Error, Severity};
use crate::listen::Notification;
use crate::pace::Paces;
use crate::pool::Pooler;
use crate::pooler;
use crate::result::{CommandTag, ResultSet, Row};
use crate::startup::{self, Route};
use crate::statement::Statement;
pub use crate::wire::NoticeHook;
use crate::wire::{Message, Wire};

/// What the server said about the transaction at the end of the last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// None is open.
    Idle,
    /// One is open.
    Open,
    /// One is open and has failed.
    Failed,
}

/// Which protocol the statements in flight were sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Simple,
    Extended,
}

/// Why COPY does not work.
pub(crate) const NO_COPY: &str = "COPY is not available on this connection";

/// How many statements a connection keeps prepared unless told otherwise.
pub(crate) const STATEMENT_CACHE_SIZE: usize = 256;

/// One physical connection. All work takes `&mut self`: there is no task behind it.
///
/// A future of it may be dropped at any point: the next call first reads what the abandoned one had asked for.
pub struct Connection {
    pub(crate) wire: Wire,
    config: Arc<ConnectConfig>,
    route: Route,
    process_id: i32,
    secret_key: i32,
    /// How many answers, each ended by ReadyForQuery, have not been read to their end.
    pub(crate) outstanding: u32,
    pub(crate) mode: Mode,
    pub(crate) status: TransactionStatus,
    pub(crate) cache: StatementCache,
    pub(crate) types: HashMap<u32, Type>,
    /// A transaction was dropped without an end.
    pub(crate) rollback_owed: bool,
    /// A statement has left something in the session.
    pub(crate) touched: bool,
}

impl Connection {
    /// Opens a connection: every host in turn, until one answers and is acceptable.
    pub async fn connect(config: &ConnectConfig) -> Result<Self, Error> {
        Self::connect_with(config, Arc::new(Paces::new(config.is_local()))).await
    }

    /// The same with what others know of statements.
    pub(crate) async fn connect_with(config: &ConnectConfig, paces: Arc<Paces>) -> Result<Self, Error> {
        let opened = startup::open(config).await?;
        let mut cache = StatementCache::new(STATEMENT_CACHE_SIZE, paces);
        cache.named = !config.transaction_pooler;
        Ok(Connection {
            wire: opened.wire,
            config: Arc::new(config.clone()),
            route: opened.route,
            process_id: opened.process_id,
            secret_key: opened.secret_key,
            outstanding: 0,
            mode: Mode::Simple,
            status: TransactionStatus::Idle,
            cache,
            types: HashMap::new(),
            rollback_owed: false,
            touched: false,
        })
    }

    /// Runs the text with the simple protocol: any number of statements, one result each, values as text.
    ///
    /// Without `begin` in it, the whole text is one transaction. The results before a failing statement are lost.
    pub async fn simple_query(&mut self, sql: &str) -> Result<Vec<ResultSet>, Error> {
        self.settle().await?;
        self.simple_unsettled(sql).await
    }

    /// The same on a connection that is known to be in order.
    pub(crate) async fn simple_unsettled(&mut self, sql: &str) -> Result<Vec<ResultSet>, Error> {
        let start = self.wire.output.len();
        if let Err(error) = frontend::query(sql, &mut self.wire.output) {
            self.wire.output.truncate(start);
            return Err(error.into());
        }
        self.wire.expect_answer();
        self.outstanding += 1;
        self.mode = Mode::Simple;
        self.wire.flush().await?;

        let mut results = Vec::new();
        let mut columns = crate::batch::no_columns();
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let message = self.wire.message().await?;
            match message.tag {
                b'T' => {
                    columns = decode::columns(&message.body)
                        .ok_or_else(|| self.wire.protocol_error("malformed row description"))?;
                }
                b'D' => {
                    let row =
                        Row::decode(message.body).ok_or_else(|| self.wire.protocol_error("malformed row"))?;
                    rows.push(row);
                }
                b'C' | b'I' => {
                    let end = message.body.len().saturating_sub(1);
                    let tag = CommandTag::new(message.body.slice(..end));
                    self.note_tag(tag.as_str());
                    let columns = std::mem::replace(&mut columns, crate::batch::no_columns());
                    results.push(ResultSet { columns, rows: std::mem::take(&mut rows), tag });
                }
                b'E' => {
                    let report = self.failure(&message)?;
                    failure.get_or_insert(Error::Db(Box::new(report)));
                }
                b'Z' => {
                    self.ready(&message)?;
                    break;
                }
                b'G' | b'H' | b'd' | b'c' => {
                    if message.tag == b'G' {
                        self.refuse_copy()?;
                        self.wire.flush().await?;
                    }
                    failure.get_or_insert(Error::Protocol(NO_COPY.into()));
                }
                tag => {
                    let what = format!("message {:?} in answer to a simple query", char::from(tag));
                    return Err(self.wire.protocol_error(what));
                }
            }
        }
        failure.map_or(Ok(results), Err)
    }

    /// Runs statements with the extended protocol in one round trip.
    ///
    /// Outside a transaction they are one transaction of their own, committed at the end. A prepared statement that
    /// has gone stale is prepared anew and the batch repeated, since nothing of it was committed.
    pub async fn run(&mut self, statements: &[Statement<'_>]) -> Result<Vec<ResultSet>, Error> {
        let pieces: Vec<Piece<'_>> =
            statements.iter().map(|statement| Piece::of(statement, Scope::default())).collect();
        self.run_pieces(&pieces).await.map_err(|error| error.into_error(0, statements.len()))
    }

    /// A token that stops, from anywhere, the statement that this connection is running.
    pub fn cancel_token(&self) -> CancelToken {
        CancelToken { route: self.route.clone(), process_id: self.process_id, secret_key: self.secret_key }
    }

    /// A setting that the server reports, such as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.wire.parameters.get(name).map(String::as_str)
    }

    /// The server's version as a number: 180004 for 18.4; 0 when it does not say.
    pub fn server_version(&self) -> u32 {
        let text = self.parameter("server_version").unwrap_or("");
        let mut parts =
            text.split(|character: char| !character.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        let (major, minor): (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        major.saturating_mul(10_000).saturating_add(minor)
    }

    /// Process id of the server process, as told when connecting. (Poolers make one up.)
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// What the connection goes through. May open a second one for a moment, to find out.
    pub async fn pooler(&mut self) -> Result<Pooler, Error> {
        let config = self.config.clone();
        pooler::detect(self, &config).await
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.wire.socket(), crate::socket::Socket::Tls(_))
    }

    /// Whether a transaction is open.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether the connection is of no more use.
    pub fn is_broken(&self) -> bool {
        self.wire.broken
    }

    /// How many statements are kept prepared, and how often one was found and not found.
    pub fn statement_cache(&self) -> (usize, u64, u64) {
        (self.cache.len(), self.cache.hits, self.cache.misses)
    }

    /// How many statements are kept prepared at most.
    pub fn set_statement_cache_size(&mut self, size: usize) {
        self.cache.set_capacity(size);
    }

    /// Whether statements are kept prepared. Off for transaction poolers.
    pub fn set_prepared_statements(&mut self, on: bool) {
        self.cache.named = on;
    }

    /// Calls `hook` with every notice, instead of logging it.
    pub fn set_notice_hook(&mut self, hook: Option<NoticeHook>) {
        self.wire.notice_hook = hook;
    }

    /// Says goodbye and closes.
    pub async fn close(mut self) -> Result<(), Error> {
        startup::terminate(&mut self.wire.output);
        self.wire.flush().await
    }

    /// Waits for a notification. Safe to drop.
    pub(crate) async fn notification(&mut self) -> Result<Notification, Error> {
        self.settle().await?;
        loop {
            if let Some(notification) = self.wire.notifications.pop_front() {
                return Ok(notification);
            }
            self.check_idle()?;
            if self.wire.notifications.is_empty() {
                self.wire.fill().await?;
                self.check_idle()?;
            }
        }
    }

    /// Whether nothing is in flight, open or owed.
    pub(crate) fn is_settled(&self) -> bool {
        self.outstanding == 0
            && self.status == TransactionStatus::Idle
            && !self.rollback_owed
            && self.wire.output.is_empty()
    }

    /// Brings the connection into order after an abandoned future or transaction.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        if self.wire.broken {
            return Err(Error::Closed);
        }
        if self.outstanding > 0 {
            self.drain().await?;
        }
        if self.rollback_owed {
            if self.status != TransactionStatus::Idle {
                self.simple_unsettled("rollback").await?;
            }
            self.rollback_owed = false;
        }
        Ok(())
    }

    /// Reads abandoned answers to their end.
    async fn drain(&mut self) -> Result<(), Error> {
        self.wire.flush().await?;
        while self.outstanding > 0 {
            let message = self.wire.message().await?;
            match message.tag {
                b'Z' => self.ready(&message)?,
                b'G' => {
                    self.refuse_copy()?;
                    self.wire.flush().await?;
                }
                b'E' => {
                    self.failure(&message)?;
                }
                b'C' => {
                    let tag = CommandTag::new(message.body.slice(..message.body.len().saturating_sub(1)));
                    self.note_tag(tag.as_str());
                }
                _ => {}
            }
        }
        self.cache.remove_pending();
        Ok(())
    }

    /// What an error report says. One that ends the session is the error itself.
    pub(crate) fn failure(&mut self, message: &Message) -> Result<DbError, Error> {
        let Some(report) = decode::report(&message.body) else {
            return Err(self.wire.protocol_error("malformed error report"));
        };
        if matches!(report.severity, Severity::Fatal | Severity::Panic) {
            self.wire.broken = true;
            return Err(Error::Db(Box::new(report)));
        }
        Ok(report)
    }

    /// Ends a transaction that has failed.
    pub(crate) async fn rollback_failed(&mut self) -> Result<(), Error> {
        if self.status == TransactionStatus::Failed {
            self.simple_unsettled("rollback").await?;
        }
        Ok(())
    }

    /// ReadyForQuery.
    pub(crate) fn ready(&mut self, message: &Message) -> Result<(), Error> {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.status = match *message.body {
            [b'I'] => TransactionStatus::Idle,
            [b'T'] => TransactionStatus::Open,
            [b'E'] => TransactionStatus::Failed,
            _ => return Err(self.wire.protocol_error("malformed ready message")),
        };
        Ok(())
    }

    /// Keeps account of what statements leave behind in the session.
    pub(crate) fn note_tag(&mut self, tag: &str) {
        match tag {
            "DISCARD ALL" => {
                self.cache.clear();
                self.touched = false;
            }
            "DEALLOCATE ALL" | "DEALLOCATE" => self.cache.clear(),
            "SET" | "LISTEN" | "PREPARE" | "LOAD" | "DECLARE CURSOR" | "CREATE TABLE" | "CREATE VIEW"
            | "CREATE SEQUENCE" => self.touched = true,
            _ => {}
        }
    }

    /// Answers a server that wants data for `COPY … FROM STDIN`.
    ///
    /// In a batch the server takes what follows for data and throws the Sync away, so that both sides no longer agree
    /// on what was asked: the connection is given up.
    pub(crate) fn refuse_copy(&mut self) -> Result<(), Error> {
        if self.mode == Mode::Extended {
            return Err(self.wire.protocol_error(NO_COPY));
        }
        frontend::copy_fail(NO_COPY, &mut self.wire.output)?;
        Ok(())
    }

    /// Takes what arrived while nobody was using the connection, without waiting.
    pub(crate) fn check_idle(&mut self) -> Result<(), Error> {
        let waker = futures_util::task::noop_waker_ref();
        self.wire.poll_idle(&mut Context::from_waker(waker))
    }

    /// Like [`Connection::check_idle`], asking the kernel first.
    pub(crate) async fn check_idle_thoroughly(&mut self) -> Result<(), Error> {
        if !self.wire.socket().is_quiet() {
            // Something is there: let the runtime see it, then take it. Nothing may come of it (a TLS record
            // without content), which is no reason to wait for long.
            let fill = self.wire.fill();
            if let Ok(filled) = tokio::time::timeout(std::time::Duration::from_millis(5), fill).await {
                filled?;
            }
        }
        self.check_idle()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Best effort: the server takes the end of the stream for the same, with a line in its log.
        if !self.wire.broken && self.outstanding == 0 {
            startup::terminate(&mut self.wire.output);
            self.wire.flush_now();
        }
    }
}
