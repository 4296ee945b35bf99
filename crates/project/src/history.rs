//! The history tables, in the schema `supabase_migrations`. The CLI reads and writes the same ones.

use std::collections::BTreeMap;

use database::{Connection, Error as DatabaseError, Param, Statement};

use crate::error::Error;
use crate::folder::Migration;

/// What a statement that records a migration says; its parameters are version, name and statements.
pub(crate) const RECORD_MIGRATION: &str =
    "insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)";

/// The same for a seed file: path and hash.
pub(crate) const RECORD_SEED: &str = "insert into supabase_migrations.seed_files (path, hash) values ($1, $2) \
     on conflict (path) do update set hash = excluded.hash";

/// A user who adds a column or reads the table for long must not be stood in line behind.
const LOCK_TIMEOUT: &str = "select set_config('lock_timeout', '4s', true)";
const SCHEMA: &str = "create schema if not exists supabase_migrations";

/// The versions that were applied, in order. None when there is no history yet.
pub(crate) async fn applied(connection: &mut Connection) -> Result<Vec<String>, Error> {
    let rows = select(
        connection,
        "select version from supabase_migrations.schema_migrations order by version collate \"C\"",
    )
    .await?;
    Ok(rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect())
}

/// Path and hash of the seed files that were run.
pub(crate) async fn seeds(connection: &mut Connection) -> Result<BTreeMap<String, String>, Error> {
    let rows = select(connection, "select path, hash from supabase_migrations.seed_files").await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(path), Some(hash)]) => Some((path, hash)),
            _ => None,
        })
        .collect())
}

/// All rows as text; no rows when the table is not there.
async fn select(connection: &mut Connection, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
    match connection.run(&[Statement::new(sql, &[]).uncached()]).await {
        Ok(results) => Ok(results
            .iter()
            .flat_map(|result| &result.rows)
            .map(|row| (0..row.len()).map(|field| row.text(field).map(str::to_owned)).collect())
            .collect()),
        // undefined_table, also for a schema that is not there
        Err(DatabaseError::Db(error)) if error.code.as_str() == "42P01" => Ok(Vec::new()),
        Err(error) => Err(Error::History(error)),
    }
}

/// Makes the table of migrations, or completes one that an old CLI made.
pub(crate) async fn create_migrations(connection: &mut Connection) -> Result<(), Error> {
    // Asked first: even `if not exists` needs privileges and locks that are not needed otherwise.
    let complete = select(
        connection,
        "select 1 from pg_catalog.pg_attribute
         where attrelid = to_regclass('supabase_migrations.schema_migrations')
             and attname in ('version', 'statements', 'name') and not attisdropped",
    )
    .await?;
    if complete.len() == 3 {
        return Ok(());
    }
    batch(
        connection,
        &[
            LOCK_TIMEOUT,
            SCHEMA,
            "create table if not exists supabase_migrations.schema_migrations (version text not null primary key)",
            "alter table supabase_migrations.schema_migrations add column if not exists statements text[]",
            "alter table supabase_migrations.schema_migrations add column if not exists name text",
        ],
    )
    .await
}

/// Makes the table of seed files.
pub(crate) async fn create_seeds(connection: &mut Connection) -> Result<(), Error> {
    batch(
        connection,
        &[
            LOCK_TIMEOUT,
            SCHEMA,
            "create table if not exists supabase_migrations.seed_files (path text not null primary key, hash text not null)",
        ],
    )
    .await
}

async fn batch(connection: &mut Connection, statements: &[&str]) -> Result<(), Error> {
    let statements: Vec<Statement<'_>> =
        statements.iter().map(|sql| Statement::new(sql, &[]).uncached()).collect();
    connection.run(&statements).await.map_err(Error::History)?;
    Ok(())
}

/// The statements of a file as the text form of `text[]`.
pub(crate) fn array(statements: &[&str]) -> String {
    let mut text = String::from("{");
    for (index, statement) in statements.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        for character in statement.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// The parameters of [`RECORD_MIGRATION`].
pub(crate) fn migration_params<'a>(migration: &'a Migration, statements: &'a str) -> [Param<'a>; 3] {
    [Param::Text(&migration.version), Param::Text(&migration.name), Param::Text(statements)]
}

/// Which of `local` are still to be applied, given the versions in the history. Both are in order.
pub(crate) fn pending<'a>(local: &'a [Migration], applied: &[String]) -> Result<&'a [Migration], Error> {
    let missing: Vec<String> = applied
        .iter()
        .filter(|version| !local.iter().any(|migration| migration.version == **version))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(Error::MissingLocal { versions: missing });
    }
    let is_applied = |migration: &Migration| applied.contains(&migration.version);
    let first = local.iter().rposition(is_applied).map_or(0, |last| last + 1);
    let before: Vec<String> =
        local[..first].iter().filter(|migration| !is_applied(migration)).map(Migration::file_name).collect();
    if !before.is_empty() {
        return Err(Error::MissingRemote { files: before });
    }
    Ok(&local[first..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn local(versions: &[&str]) -> Vec<Migration> {
        versions
            .iter()
            .map(|version| Migration { version: (*version).into(), name: "n".into(), path: "".into() })
            .collect()
    }

    fn applied(versions: &[&str]) -> Vec<String> {
        versions.iter().map(|version| (*version).to_owned()).collect()
    }

    #[test]
    fn what_comes_after_the_history_is_pending() {
        let files = local(&["1", "2", "3"]);
        let versions = |versions: &[&str]| -> Vec<String> {
            pending(&files, &applied(versions)).unwrap().iter().map(|m| m.version.clone()).collect()
        };
        assert_eq!(versions(&[]), ["1", "2", "3"]);
        assert_eq!(versions(&["1", "2"]), ["3"]);
        assert_eq!(versions(&["1", "2", "3"]), [""; 0]);
    }

    #[test]
    fn a_history_that_does_not_fit_the_folder_is_refused() {
        assert!(matches!(
            pending(&local(&["1", "3"]), &applied(&["1", "2"])),
            Err(Error::MissingLocal { versions }) if versions == ["2"]
        ));
        assert!(matches!(
            pending(&local(&["1", "2", "3"]), &applied(&["1", "3"])),
            Err(Error::MissingRemote { files }) if files == ["2_n.sql"]
        ));
    }

    #[test]
    fn statements_are_written_as_an_array() {
        assert_eq!(array(&[]), "{}");
        assert_eq!(
            array(&["select 'a, {b}'", r#"select "x\y""#, "null"]),
            r#"{"select 'a, {b}'","select \"x\\y\"","null"}"#
        );
    }
}
