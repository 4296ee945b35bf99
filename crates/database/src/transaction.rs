//! A transaction of a service's own queries.
use crate::connection::Connection;
use crate::error::Error;
use crate::request::{Access, Isolation};
use crate::typed::TypedRow;
use crate::{ResultSet, Statement};
use postgres_types::ToSql;

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
    /// COMMIT.
    pub async fn commit(self) -> Result<(), Error> {
        todo!()
    }
    /// ROLLBACK.
    pub async fn rollback(self) -> Result<(), Error> {
        todo!()
    }
}

impl Connection {
    /// Begins a transaction.
    pub async fn begin(&mut self, options: TransactionOptions) -> Result<Transaction<'_>, Error> {
        let _ = options;
        todo!()
    }
}
