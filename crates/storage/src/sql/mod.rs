//! The statements. Those for a client run in a transaction of its [`crate::Context`], under its role.

pub(crate) mod buckets;
pub(crate) mod ledger;
pub(crate) mod list;
pub(crate) mod objects;
pub(crate) mod parts;

use std::sync::Arc;

use chrono::DateTime;
use database::Row;
use serde_json::{Map, Value};

use crate::domain::{Mode, Object, ObjectRow, timestamp};

/// An upload that policies are asked about.
pub(crate) struct Probe<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) mode: Mode,
    /// What is known of its metadata, as JSON.
    pub(crate) metadata: Option<&'a str>,
}

/// Puts the login's own role back, for the statements after a client's in one transaction.
const OWN_ROLE: &str = "select pg_catalog.set_config('role', 'none', true)";

/// A time as it goes over the wire.
macro_rules! wire_time {
    ($column:literal) => {
        concat!("to_char(", $column, " at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    };
}
pub(crate) use wire_time;

/// The columns of [`object_row`], of a table called `o`.
macro_rules! object_columns {
    () => {
        concat!(
            "o.id::text, o.bucket_id, o.name, o.version, o.owner::text, o.owner_id, ",
            "pg_catalog.date_part('epoch', o.created_at), pg_catalog.date_part('epoch', o.updated_at), ",
            "pg_catalog.date_part('epoch', o.last_accessed_at)",
            ", o.metadata::text, o.user_metadata::text"
        )
    };
}
pub(crate) use object_columns;

fn text(row: &Row, index: usize) -> Option<String> {
    row.text(index).map(str::to_owned)
}

/// A time of an object as it goes over the wire, from the seconds since 1970 that the database gives: to write a date costs
/// it twenty times what it costs here. None for what is no time, infinity among it.
fn moment(row: &Row, index: usize) -> Option<String> {
    wire_moment(row.text(index)?)
}

fn wire_moment(seconds: &str) -> Option<String> {
    let seconds: f64 = seconds.parse().ok().filter(|seconds: &f64| seconds.is_finite())?;
    // Exact to the microsecond, and cut off at the millisecond.
    DateTime::from_timestamp_micros((seconds * 1e6).round() as i64).map(timestamp)
}

/// Reads `object_columns!()` from column `first` on.
fn object_row(row: &Row, first: usize) -> ObjectRow {
    ObjectRow {
        id: text(row, first).unwrap_or_default(),
        bucket_id: text(row, first + 1).unwrap_or_default(),
        name: text(row, first + 2).unwrap_or_default(),
        version: text(row, first + 3),
        owner: text(row, first + 4),
        owner_id: text(row, first + 5),
        created_at: moment(row, first + 6),
        updated_at: moment(row, first + 7),
        last_accessed_at: moment(row, first + 8),
        // What a user's SQL put there may be no object.
        metadata: row.get(first + 9).and_then(|json| serde_json::from_slice::<Map<String, Value>>(json).ok()),
        user_metadata: row.get(first + 10).and_then(|json| serde_json::from_slice(json).ok()),
    }
}

fn object(row: &Row, first: usize) -> Object {
    Object { row: Arc::new(object_row(row, first)) }
}

#[cfg(test)]
mod tests {
    use super::wire_moment;

    #[test]
    fn a_moment_is_cut_off_at_the_millisecond() {
        let moments = ["1763824253.123999", "1763824253.123", "0", "-0.001", "253402300799.5", "4e-06"];
        assert_eq!(
            moments.map(|seconds| wire_moment(seconds).unwrap_or_default()),
            [
                "2025-11-22T15:10:53.123Z",
                "2025-11-22T15:10:53.123Z",
                "1970-01-01T00:00:00.000Z",
                "1969-12-31T23:59:59.999Z",
                "9999-12-31T23:59:59.500Z",
                "1970-01-01T00:00:00.000Z",
            ]
        );
        assert_eq!(["Infinity", "-Infinity", "NaN", "", "1e300"].map(wire_moment), [const { None }; 5]);
    }
}
