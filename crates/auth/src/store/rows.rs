//! Rows of another table that travel as JSON within a row.

use std::error::Error;

use chrono::DateTime;
use postgres_types::{FromSql, Type};
use serde_json::Value;
use uuid::Uuid;

use crate::identity::Identity;
use crate::json::{self, Object, Timestamp};
use crate::session::MethodUsed;
use crate::user::Factor;

/// What a `json_agg` of a table's rows holds; NULL is none.
pub(super) struct Rows<T>(pub(super) Vec<T>);

/// A type that is read from the JSON of its row.
pub(super) trait FromRow: Sized {
    /// `None` if a column is missing or of another type.
    fn from_row(row: Object) -> Option<Self>;
}

impl<'a, T: FromRow> FromSql<'a> for Rows<T> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let Value::Array(rows) = json::parse(raw)? else { return Err("not an array of rows".into()) };
        rows.into_iter()
            .map(|row| match row {
                Value::Object(row) => T::from_row(row).ok_or_else(|| "a column is missing".into()),
                _ => Err("not a row".into()),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Vec::new()))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}

fn text(row: &Object, name: &str) -> String {
    row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn id(row: &Object, name: &str) -> Option<Uuid> {
    row.get(name)?.as_str()?.parse().ok()
}

fn time(row: &Object, name: &str) -> Option<Timestamp> {
    let text = row.get(name)?.as_str()?;
    DateTime::parse_from_rfc3339(text).ok().map(|time| Timestamp(time.to_utc()))
}

/// A time that older rows may not have.
fn time_or_epoch(row: &Object, name: &str) -> Timestamp {
    time(row, name).unwrap_or(Timestamp(DateTime::UNIX_EPOCH))
}

impl FromRow for Identity {
    fn from_row(mut row: Object) -> Option<Self> {
        let data = match row.remove("identity_data") {
            Some(Value::Object(data)) => data,
            _ => Object::new(),
        };
        Some(Self {
            id: id(&row, "id")?,
            provider_id: text(&row, "provider_id"),
            user_id: id(&row, "user_id")?,
            data,
            provider: text(&row, "provider"),
            last_sign_in_at: time(&row, "last_sign_in_at"),
            created_at: time_or_epoch(&row, "created_at"),
            updated_at: time_or_epoch(&row, "updated_at"),
            email: text(&row, "email"),
        })
    }
}

impl FromRow for MethodUsed {
    fn from_row(row: Object) -> Option<Self> {
        Some(Self { method: text(&row, "authentication_method"), at: time(&row, "updated_at")? })
    }
}

impl FromRow for Factor {
    fn from_row(row: Object) -> Option<Self> {
        Some(Self {
            id: id(&row, "id")?,
            created_at: time_or_epoch(&row, "created_at"),
            updated_at: time_or_epoch(&row, "updated_at"),
            status: text(&row, "status"),
            friendly_name: text(&row, "friendly_name"),
            factor_type: text(&row, "factor_type"),
            phone: text(&row, "phone"),
            last_challenged_at: time(&row, "last_challenged_at"),
            web_authn_aaguid: id(&row, "web_authn_aaguid"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_read_as_postgres_writes_them() {
        let raw = br#"[{"id":"11111111-1111-4111-8111-111111111111","user_id":"22222222-2222-4222-8222-222222222222",
            "provider_id":"x","identity_data":{"n":1.0},"provider":"email","last_sign_in_at":null,
            "created_at":"2026-01-02T05:04:05.12+02:00","updated_at":null,"email":null}]"#;
        let Rows(identities) = Rows::<Identity>::from_sql(&Type::JSON, raw).unwrap();
        assert_eq!(
            json::to_string(&identities),
            "[{\"identity_id\":\"11111111-1111-4111-8111-111111111111\",\"id\":\"x\",\
             \"user_id\":\"22222222-2222-4222-8222-222222222222\",\"identity_data\":{\"n\":1},\
             \"provider\":\"email\",\"created_at\":\"2026-01-02T03:04:05.12Z\",\
             \"updated_at\":\"1970-01-01T00:00:00Z\"}]"
        );
        assert!(Rows::<Factor>::from_sql_null(&Type::JSON).unwrap().0.is_empty());
    }
}
