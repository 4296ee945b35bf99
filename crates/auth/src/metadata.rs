//! Objects of a user's metadata: merged key by key, where null deletes.

use std::error::Error;

use postgres_types::{FromSql, Type};
use serde_json::Value;

use crate::json::{self, Object};

/// Puts the updates over an object.
pub(crate) fn merge(into: &mut Object, updates: Object) {
    for (key, value) in updates {
        if value.is_null() {
            into.remove(&key);
        } else {
            into.insert(key, value);
        }
    }
}

/// An object as the database stores it; anything else, and NULL, is an empty one.
///
/// Parsed by our own reader: numbers are float64 to the last bit, as the original has them.
#[derive(Debug, Default)]
pub(crate) struct Stored(pub(crate) Object);

impl<'a> FromSql<'a> for Stored {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        // jsonb travels with a version in front of its text.
        let text = if *ty == Type::JSONB { raw.split_first().map_or(raw, |(_, text)| text) } else { raw };
        match json::parse(text)? {
            Value::Object(object) => Ok(Self(object)),
            _ => Ok(Self::default()),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::default())
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::JSON | Type::JSONB)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn updates_add_replace_and_delete_keys() {
        let mut object = json!({"a": 1, "b": {"c": 2}}).as_object().unwrap().clone();
        merge(&mut object, json!({"a": null, "b": {"d": 3}, "e": "f"}).as_object().unwrap().clone());
        assert_eq!(Value::Object(object), json!({"b": {"d": 3}, "e": "f"}));
    }

    #[test]
    fn stored_numbers_are_float64() {
        let Stored(object) =
            Stored::from_sql(&Type::JSONB, b"\x01{\"n\": 12345678901234567890, \"f\": 2.0}").unwrap();
        assert_eq!(json::to_string(&object), r#"{"f":2,"n":12345678901234567000}"#);
    }

    #[test]
    fn what_is_no_object_is_an_empty_one() {
        assert!(Stored::from_sql_null(&Type::JSONB).unwrap().0.is_empty());
        assert!(Stored::from_sql(&Type::JSON, b"[1]").unwrap().0.is_empty());
    }
}
