//! One physical connection.
use crate::cancel::CancelToken;
use crate::config::ConnectConfig;
use crate::error::{DbError, Error};
use crate::result::ResultSet;
use crate::statement::Statement;
use std::sync::Arc;

/// Called with every notice of the server.
pub type NoticeHook = Arc<dyn Fn(&DbError) + Send + Sync>;

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

/// One physical connection. All work takes `&mut self`: there is no task behind it.
pub struct Connection {}

impl Connection {
    /// Opens a connection: every host in turn, until one answers and is acceptable.
    pub async fn connect(config: &ConnectConfig) -> Result<Self, Error> {
        let _ = config;
        todo!()
    }
    /// Runs the text with the simple protocol: any number of statements, one result each, values as text.
    pub async fn simple_query(&mut self, sql: &str) -> Result<Vec<ResultSet>, Error> {
        let _ = sql;
        todo!()
    }
    /// Runs statements with the extended protocol in one round trip, as one transaction (unless one is open).
    pub async fn run(&mut self, statements: &[Statement<'_>]) -> Result<Vec<ResultSet>, Error> {
        let _ = statements;
        todo!()
    }
    /// Stops the statement that this connection is running.
    pub fn cancel_token(&self) -> CancelToken {
        todo!()
    }
    /// A setting that the server reports, such as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let _ = name;
        todo!()
    }
    /// The server's version as a number: 180004 for 18.4.
    pub fn server_version(&self) -> u32 {
        todo!()
    }
    /// Process id of the server process, as told when connecting.
    pub fn process_id(&self) -> i32 {
        todo!()
    }
    /// Whether a transaction is open.
    pub fn transaction_status(&self) -> TransactionStatus {
        todo!()
    }
    /// Calls `hook` with every notice, instead of logging it.
    pub fn set_notice_hook(&mut self, hook: Option<NoticeHook>) {
        let _ = hook;
        todo!()
    }
    /// Says goodbye and closes.
    pub async fn close(self) -> Result<(), Error> {
        todo!()
    }
}
