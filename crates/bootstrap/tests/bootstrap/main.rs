//! The bootstrapped database, on the embedded engine and on Debian's PostgreSQL 15.
#![allow(clippy::unwrap_used)]

mod acceptance;
mod adoption;
mod extensions;
mod guard;
mod idempotence;
mod passwords;

use bootstrap::{Class, Options, Passwords};
use database::Connection;

/// How the tests bootstrap: like `monobase start` does in development.
fn options() -> Options {
    Options { class: Class::Embedded, passwords: Passwords::shared("a password"), ..Options::default() }
        .with_jwt(Some("super-secret-jwt-token-with-at-least-32-characters-long"), 3600)
}

/// The rows of the last statement in `sql`, fields separated by `|`.
async fn rows(connection: &mut Connection, sql: &str) -> Vec<String> {
    let results = connection.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    results
        .last()
        .unwrap()
        .rows
        .iter()
        .map(|row| (0..row.len()).map(|index| row.text(index).unwrap_or("∅")).collect::<Vec<_>>().join("|"))
        .collect()
}

/// The only field that `sql` returns.
async fn value(connection: &mut Connection, sql: &str) -> String {
    let rows = rows(connection, sql).await;
    assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
    rows.into_iter().next().unwrap()
}

/// `sqlstate message` of the error that `sql` must end in.
async fn error(connection: &mut Connection, sql: &str) -> String {
    match connection.simple_query(sql).await {
        Ok(_) => panic!("{sql} succeeded"),
        Err(error) => {
            let report = error.as_db().unwrap_or_else(|| panic!("{sql}: {error}"));
            format!("{} {}", report.code.as_str(), report.message)
        }
    }
}
