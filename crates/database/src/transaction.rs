//! A transaction of a service's own queries.

use postgres_types::ToSql;

use crate::connection::{Connection, TransactionStatus};
use crate::error::Error;
use crate::request::{Access, Isolation};
use crate::result::ResultSet;
use crate::statement::Statement;
use crate::typed::{Execution, TypedRow};

/// How a transaction begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// Isolation; `None` is the server's default.
    pub isolation: Option<Isolation>,
    /// Whether it may write.
    pub access: Access,
    /// `DEFERRABLE`: a serializable read-only transaction waits for a safe snapshot.
    pub deferrable: bool,
}

/// An open transaction. Dropped, it is rolled back before the connection does anything else.
pub struct Transaction<'c> {
    connection: &'c mut Connection,
}

impl Transaction<'_> {
    /// Rows of a query.
    pub async fn query(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<TypedRow>, Error> {
        self.connection.query(sql, params).await
    }
    /// At most one row of a query.
    pub async fn query_opt(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<TypedRow>, Error> {
        self.connection.query_opt(sql, params).await
    }
    /// Exactly one row of a query.
    pub async fn query_one(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<TypedRow, Error> {
        self.connection.query_one(sql, params).await
    }
    /// Runs a statement and returns how many rows it concerned.
    pub async fn execute(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        self.connection.execute(sql, params).await
    }
    /// Any number of statements, as text.
    pub async fn simple_query(&mut self, sql: &str) -> Result<Vec<ResultSet>, Error> {
        self.connection.simple_query(sql).await
    }
    /// Statements with text parameters, in one round trip.
    pub async fn run(&mut self, statements: &[Statement<'_>]) -> Result<Vec<ResultSet>, Error> {
        self.connection.run(statements).await
    }
    /// The connection beneath.
    pub fn connection(&mut self) -> &mut Connection {
        self.connection
    }
    /// COMMIT. An error means that nothing was committed (save for a connection lost before the answer came).
    pub async fn commit(self) -> Result<(), Error> {
        let results = self.connection.simple_query("commit").await?;
        match results.first() {
            Some(result) if result.tag.as_str() == "ROLLBACK" => Err(Error::RolledBack),
            _ => Ok(()),
        }
    }

    /// Statements and COMMIT, in one round trip. After an error nothing was committed (save for a connection lost before
    /// the answer came).
    pub async fn commit_after(self, statements: &[Execution<'_>]) -> Result<(), Error> {
        self.connection.execute_batch(statements, true).await
    }

    /// ROLLBACK.
    pub async fn rollback(self) -> Result<(), Error> {
        self.connection.simple_query("rollback").await.map(drop)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.connection.rollback_owed = !self.connection.is_settled();
    }
}

/// The statement that begins a transaction.
pub(crate) fn begin_statement(isolation: Option<Isolation>, access: Access) -> &'static str {
    use Access::{ReadOnly, ReadWrite};
    use Isolation::{ReadCommitted, RepeatableRead, Serializable};
    match (isolation, access) {
        (None, ReadWrite) => "begin",
        (None, ReadOnly) => "begin read only",
        (Some(ReadCommitted), ReadWrite) => "begin isolation level read committed",
        (Some(ReadCommitted), ReadOnly) => "begin isolation level read committed, read only",
        (Some(RepeatableRead), ReadWrite) => "begin isolation level repeatable read",
        (Some(RepeatableRead), ReadOnly) => "begin isolation level repeatable read, read only",
        (Some(Serializable), ReadWrite) => "begin isolation level serializable",
        (Some(Serializable), ReadOnly) => "begin isolation level serializable, read only",
    }
}

impl Connection {
    /// Begins a transaction.
    pub async fn begin(&mut self, options: TransactionOptions) -> Result<Transaction<'_>, Error> {
        self.settle().await?;
        if self.transaction_status() != TransactionStatus::Idle {
            return Err(Error::Protocol("a transaction is open already".into()));
        }
        // If this future is dropped after the server has begun, the next call must roll back.
        self.rollback_owed = true;
        let begun = self.begin_statement(options).await;
        self.rollback_owed = false;
        begun?;
        Ok(Transaction { connection: self })
    }

    async fn begin_statement(&mut self, options: TransactionOptions) -> Result<(), Error> {
        let begin = begin_statement(options.isolation, options.access);
        let begun = if options.deferrable {
            self.simple_unsettled(&format!("{begin} deferrable")).await
        } else {
            self.simple_unsettled(begin).await
        };
        begun.map(drop)
    }
}
