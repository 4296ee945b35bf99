//! Runs migrations, each once, in order, under a lock.
use crate::connection::Connection;
use crate::error::Error;

/// One migration.
#[derive(Debug, Clone, Copy)]
pub struct Migration<'a> {
    /// Its version, unique in the ledger.
    pub version: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its statements.
    pub sql: &'a str,
    /// Whether to run it, with its ledger row, in a transaction. Off for what refuses to run in one
    /// (`create index concurrently`): such a migration must be safe to run again.
    pub transaction: bool,
}

/// Where applied migrations are recorded, in the shape each program has it.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'a> {
    /// Key of the advisory lock, hashed by the server.
    pub lock: &'a str,
    /// Creates the ledger where it is missing; any number of statements.
    pub create: &'a str,
    /// Selects the versions that were applied: one column of text.
    pub applied: &'a str,
    /// Records one: `$1` version, `$2` name, `$3` its statements, all text. May use the first, two or all.
    pub record: &'a str,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Versions applied now, in order.
    pub applied: Vec<String>,
    /// How many had been applied before.
    pub already: usize,
}

/// Applies the migrations that the ledger does not have, in the order given.
///
/// A ledger that holds versions which are not in `migrations` is refused with [`Error::UnknownMigrations`]: a newer
/// program has been here.
pub async fn run(
    connection: &mut Connection,
    ledger: &Ledger<'_>,
    migrations: &[Migration<'_>],
) -> Result<Report, Error> {
    let _ = (connection, ledger, migrations);
    todo!()
}
