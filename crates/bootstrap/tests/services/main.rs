//! The services' schemas: what is in them, what their functions do, and how older forms are brought forward.
#![allow(clippy::unwrap_used)]

mod auth;
mod catalogue;
mod older;
mod realtime;
mod storage;

use database::Connection;

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

/// `sqlstate message` of the error that `sql` must end in.
async fn error(connection: &mut Connection, sql: &str) -> String {
    match connection.simple_query(sql).await {
        Ok(_) => panic!("{sql} succeeded"),
        Err(database::Error::Db(report)) => format!("{} {}", report.code.as_str(), report.message),
        Err(other) => panic!("{sql}: {other}"),
    }
}
