//! Writes of one transaction that need not wait for each other's answers.

use std::borrow::Cow;

use database::{Connection, Execution, ToSql, Transaction};

use super::Result;

/// A parameter of its own.
pub(crate) type Param = Box<dyn ToSql + Sync + Send>;

/// Statements that travel together: one round trip for all of them.
#[derive(Default)]
pub(crate) struct Batch(Vec<(Cow<'static, str>, Vec<Param>)>);

impl Batch {
    /// Puts a statement behind the others.
    pub(crate) fn add<const N: usize>(&mut self, sql: impl Into<Cow<'static, str>>, params: [Param; N]) {
        self.add_all(sql, params.into());
    }

    /// The same with a number of parameters that is not known beforehand.
    pub(crate) fn add_all(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Param>) {
        self.0.push((sql.into(), params));
    }

    /// Runs what was put in, in its order.
    pub(crate) async fn run(self, db: &mut Connection) -> Result<()> {
        let params = self.params();
        db.execute_all(&self.executions(&params)).await
    }

    /// Runs what was put in and commits.
    pub(crate) async fn commit(self, transaction: Transaction<'_>) -> Result<()> {
        let params = self.params();
        transaction.commit_after(&self.executions(&params)).await
    }

    fn params(&self) -> Vec<Vec<&(dyn ToSql + Sync)>> {
        let borrowed = |param| -> &(dyn ToSql + Sync) {
            let param: &Param = param;
            &**param
        };
        self.0.iter().map(|(_, params)| params.iter().map(borrowed).collect()).collect()
    }

    fn executions<'a>(&'a self, params: &'a [Vec<&'a (dyn ToSql + Sync)>]) -> Vec<Execution<'a>> {
        self.0.iter().zip(params).map(|((sql, _), params)| Execution { sql, params }).collect()
    }
}
