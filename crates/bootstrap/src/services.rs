//! Applies the services' migrations, as the services' own roles, and keeps their ledgers.

use std::collections::BTreeSet;

use database::ident::quote_literal;

use crate::error::Error;
use crate::ledgers::{Ledger, Migration};
use crate::session::{RunAs, Session};

/// Brings one service up to date and returns what was applied.
///
/// Holds a lock of the service's own: it may run alone beside a node that bootstraps the whole. Released with the session,
/// should this fail.
pub(crate) async fn migrate(session: &mut Session, ledger: &Ledger) -> Result<Vec<String>, Error> {
    let key = quote_literal(&format!("monobase.migrate.{}", ledger.service));
    session.query(&format!("select pg_catalog.pg_advisory_lock(pg_catalog.hashtext({key}))")).await?;
    let done = migrate_locked(session, ledger).await?;
    session.query(&format!("select pg_catalog.pg_advisory_unlock(pg_catalog.hashtext({key}))")).await?;
    Ok(done)
}

async fn migrate_locked(session: &mut Session, ledger: &Ledger) -> Result<Vec<String>, Error> {
    let run_as = RunAs { role: Some(ledger.role), search_path: ledger.search_path };
    let step = |name: &str| format!("{}/{name}", ledger.service);
    session
        .transaction(run_as, ledger.create)
        .await
        .map_err(|source| Error::Step { step: step("ledger"), source })?;

    let applied: BTreeSet<String> = session.column(ledger.applied).await?.into_iter().collect();
    refuse_unknown(ledger, &applied)?;

    let mut done = Vec::new();
    // Migrations without SQL are part of the next one that has some: both are recorded in its transaction.
    let mut group: Vec<&Migration> = Vec::new();
    let pending = || ledger.migrations.iter().filter(|migration| !applied.contains(migration.version));
    for (index, migration) in pending().enumerate() {
        group.push(migration);
        if migration.sql.is_empty() && index + 1 < pending().count() {
            continue;
        }
        let mut sql = migration.sql.to_owned();
        for member in &group {
            sql.push_str("\n;");
            sql.push_str(&(ledger.record)(member));
        }
        let name = |member: &Migration| step(&format!("{} {}", member.version, member.name));
        session
            .transaction(run_as, &sql)
            .await
            .map_err(|source| Error::Step { step: name(migration), source })?;
        done.extend(group.drain(..).map(name));
    }
    Ok(done)
}

/// Migrations of this service that the ledger does not have; empty when there is no ledger table.
pub(crate) async fn pending(
    session: &mut Session,
    ledger: &Ledger,
) -> Result<Vec<&'static Migration>, Error> {
    let applied: BTreeSet<String> = match session.column(ledger.applied).await {
        Ok(versions) => versions.into_iter().collect(),
        Err(Error::Database(error)) if error.sqlstate().is_some_and(|code| code.as_str() == "42P01") => {
            return Ok(ledger.migrations.iter().collect());
        }
        Err(error) => return Err(error),
    };
    refuse_unknown(ledger, &applied)?;
    Ok(ledger.migrations.iter().filter(|migration| !applied.contains(migration.version)).collect())
}

fn refuse_unknown(ledger: &Ledger, applied: &BTreeSet<String>) -> Result<(), Error> {
    let versions: Vec<String> = applied
        .iter()
        .filter(|version| !ledger.migrations.iter().any(|known| known.version == version.as_str()))
        .filter(|version| !ledger.left_out.contains(&version.as_str()))
        .cloned()
        .collect();
    if versions.is_empty() {
        return Ok(());
    }
    Err(Error::UnknownVersions { ledger: ledger.service.to_owned(), versions })
}
