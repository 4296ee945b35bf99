//! Rows of `realtime.messages` on their way out of the log: what the database itself broadcasts.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use database::replication::POSTGRES_EPOCH_MICROS;
use database::replication::pgoutput::{Relation, Tuple};
use serde_json::value::RawValue;

use super::index::position;
use super::json::write_string;
use super::row::Field;
use crate::hub::{DatabaseBroadcast, DatabasePayload};

/// Whether the table is `realtime.messages` or one of its partitions.
pub(crate) fn is_messages(relation: &Relation) -> bool {
    &*relation.schema == "realtime"
        && (&*relation.name == "messages" || relation.name.starts_with("messages_"))
}

/// Why a row is not broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsent {
    /// A column that must not be null is.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The payload is no JSON object.
    #[error("the payload is not an object")]
    NotAnObject,
}

/// The broadcast that an inserted row asks for.
pub(crate) fn broadcast(relation: &Relation, row: &Tuple) -> Result<DatabaseBroadcast, Unsent> {
    let text = |column| Field::of(row.0.get(position(relation, column)?)?)?.text();
    let required = |column| text(column).ok_or(Unsent::Missing(column));
    let id = required("id")?;
    let payload = match (text("payload"), text("binary_payload").and_then(|text| text.strip_prefix("\\x"))) {
        (Some(payload), _) => DatabasePayload::Json(with_id(payload, id)?),
        (None, Some(hex)) => {
            DatabasePayload::Binary(bytes_of_hex(hex).ok_or(Unsent::Missing("binary_payload"))?.into())
        }
        (None, None) => return Err(Unsent::Missing("payload")),
    };
    let inserted = microseconds(required("inserted_at")?);
    Ok(DatabaseBroadcast {
        inserted,
        id: id.into(),
        topic: required("topic")?.into(),
        event: required("event")?.into(),
        private: required("private")? == "t",
        payload,
    })
}

/// The payload with the row's id as its own, unless it has one.
fn with_id(payload: &str, id: &str) -> Result<Box<str>, Unsent> {
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(payload).map_err(|_| Unsent::NotAnObject)?;
    if fields.contains_key("id") {
        return Ok(payload.into());
    }
    let rest = payload.trim_start().strip_prefix('{').ok_or(Unsent::NotAnObject)?;
    let mut text = String::with_capacity(payload.len() + 48);
    text.push_str("{\"id\":");
    write_string(id, &mut text);
    if !fields.is_empty() {
        text.push(',');
    }
    text.push_str(rest);
    Ok(text.into())
}

/// A `timestamp` in ISO form, in UTC, as microseconds since 2000.
fn microseconds(text: &str) -> Option<i64> {
    let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    at.and_utc().timestamp_micros().checked_sub(POSTGRES_EPOCH_MICROS)
}

fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use database::replication::pgoutput::{Datum, RelationColumn, ReplicaIdentity};

    use super::*;

    fn relation(columns: &[&str]) -> Relation {
        let column = |name: &&str| RelationColumn {
            name: (*name).into(),
            type_oid: 25,
            type_modifier: -1,
            in_identity: false,
        };
        Relation {
            oid: 1,
            schema: "realtime".into(),
            name: "messages_2024_01_02".into(),
            identity: ReplicaIdentity::Default,
            columns: columns.iter().map(column).collect(),
        }
    }

    fn read(fields: &[(&str, Option<&'static str>)]) -> Result<DatabaseBroadcast, Unsent> {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let value = |text: &Option<&'static str>| match text {
            Some(text) => Datum::Text(Bytes::from_static(text.as_bytes())),
            None => Datum::Null,
        };
        broadcast(&relation(&names), &Tuple(fields.iter().map(|(_, text)| value(text)).collect()))
    }

    const ROW: [(&str, Option<&str>); 6] = [
        ("topic", Some("room")),
        ("payload", Some(r#"{"a": 1}"#)),
        ("event", Some("note")),
        ("private", Some("t")),
        ("inserted_at", Some("2024-01-02 03:04:05")),
        ("id", Some("639f86b1-738b-43ed-bb09-c8d3f3bafa30")),
    ];

    fn with(column: &str, value: Option<&'static str>) -> Vec<(&'static str, Option<&'static str>)> {
        ROW.iter().map(|(name, known)| (*name, if *name == column { value } else { *known })).collect()
    }

    #[test]
    fn times_count_from_2000() {
        let inserted = |text| read(&with("inserted_at", Some(text))).unwrap().inserted;
        assert_eq!(inserted("2000-01-01 00:00:01"), Some(1_000_000));
        assert_eq!(inserted("2024-01-02 03:04:05.678901"), Some(757_479_845_678_901));
        assert_eq!(inserted("infinity"), None);
    }

    #[test]
    fn a_row_becomes_a_broadcast_with_its_id() {
        let sent = read(&ROW).unwrap();
        assert_eq!((&*sent.topic, &*sent.event, sent.private), ("room", "note", true));
        let payload = |row: &[_]| match read(row).unwrap().payload {
            DatabasePayload::Json(text) => text.into_string(),
            DatabasePayload::Binary(bytes) => format!("{bytes:?}"),
        };
        assert_eq!(payload(&ROW), r#"{"id":"639f86b1-738b-43ed-bb09-c8d3f3bafa30","a": 1}"#);
        assert_eq!(payload(&with("payload", Some("{}"))), r#"{"id":"639f86b1-738b-43ed-bb09-c8d3f3bafa30"}"#);
        assert_eq!(payload(&with("payload", Some(r#"{"id": 7}"#))), r#"{"id": 7}"#);
        let mut binary = with("payload", None);
        binary.push(("binary_payload", Some("\\x00ff")));
        assert_eq!(payload(&binary), r#"b"\0\xff""#);
    }

    #[test]
    fn a_row_that_lacks_something_is_not_broadcast() {
        for column in ["topic", "payload", "event", "private", "inserted_at", "id"] {
            assert_eq!(read(&with(column, None)).unwrap_err().to_string(), format!("{column} is missing"));
        }
        assert_eq!(read(&with("payload", Some("[1]"))).unwrap_err(), Unsent::NotAnObject);
        assert_eq!(read(&with("payload", Some("null"))).unwrap_err(), Unsent::NotAnObject);
    }
}
