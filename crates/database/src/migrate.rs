//! Runs migrations, each once, in order, under a lock.

use std::collections::HashSet;

use postgres_types::ToSql;

use crate::connection::Connection;
use crate::error::Error;
use crate::pool::Pooler;
use crate::statement::{Param, Statement};
use crate::transaction::TransactionOptions;

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
    /// (`create index concurrently`): such a migration must be a single statement that is safe to run again.
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
/// program has been here. When one fails, those before it stay applied, and it leaves nothing behind.
///
/// The lock belongs to the session: through a transaction pooler this fails with [`Error::Pooler`].
pub async fn run(
    connection: &mut Connection,
    ledger: &Ledger<'_>,
    migrations: &[Migration<'_>],
) -> Result<Report, Error> {
    if connection.pooler().await? == Pooler::Transaction {
        return Err(Error::Pooler { what: "migrating under a lock" });
    }
    let key = [Param::Text(ledger.lock)];
    connection
        .run(&[Statement::new(
            "select pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended($1, 0))",
            &key,
        )])
        .await?;
    let outcome = run_locked(connection, ledger, migrations).await;
    let unlock = "select pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended($1, 0))";
    let unlocked = connection.run(&[Statement::new(unlock, &key)]).await;
    let report = outcome?;
    unlocked?;
    Ok(report)
}

async fn run_locked(
    connection: &mut Connection,
    ledger: &Ledger<'_>,
    migrations: &[Migration<'_>],
) -> Result<Report, Error> {
    connection.simple_query(ledger.create).await?;
    let rows = connection.simple_query(ledger.applied).await?;
    let applied: HashSet<&str> =
        rows.iter().flat_map(|result| &result.rows).filter_map(|row| row.text(0)).collect();
    let known: HashSet<&str> = migrations.iter().map(|migration| migration.version).collect();
    let mut versions: Vec<String> = applied.difference(&known).map(|version| (*version).to_owned()).collect();
    if !versions.is_empty() {
        versions.sort();
        return Err(Error::UnknownMigrations { versions });
    }
    let mut report = Report::default();
    for migration in migrations {
        if applied.contains(migration.version) {
            report.already += 1;
            continue;
        }
        apply(connection, ledger, migration).await.map_err(|source| Error::Migration {
            version: migration.version.to_owned(),
            name: migration.name.to_owned(),
            source: Box::new(source),
        })?;
        tracing::info!(version = migration.version, name = migration.name, "migration applied");
        report.applied.push(migration.version.to_owned());
    }
    Ok(report)
}

async fn apply(
    connection: &mut Connection,
    ledger: &Ledger<'_>,
    migration: &Migration<'_>,
) -> Result<(), Error> {
    if !migration.transaction {
        connection.simple_query(migration.sql).await?;
        return record(connection, ledger, migration).await;
    }
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    transaction.simple_query(migration.sql).await?;
    // What a migration sets must not reach the next one, nor the ledger.
    transaction.simple_query("reset role; reset search_path").await?;
    record(transaction.connection(), ledger, migration).await?;
    transaction.commit().await
}

async fn record(
    connection: &mut Connection,
    ledger: &Ledger<'_>,
    migration: &Migration<'_>,
) -> Result<(), Error> {
    let values: [&(dyn ToSql + Sync); 3] = [&migration.version, &migration.name, &migration.sql];
    let used = (1..=3).rev().find(|at| ledger.record.contains(&format!("${at}"))).unwrap_or(0);
    connection.execute(ledger.record, &values[..used]).await.map(drop)
}
