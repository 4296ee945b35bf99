//! Request bodies: which keys they have, without building the values they hold.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::media::MediaType;
use super::query;
use crate::error::Error;

/// A body that was found acceptable.
#[derive(Clone, Debug)]
pub enum Payload {
    /// JSON whose keys are known: one object, or an array of objects with the same keys.
    Json {
        /// The JSON.
        raw: Bytes,
        /// The keys.
        keys: BTreeSet<String>,
    },
    /// JSON that nobody looked at, because `columns` says which keys matter.
    RawJson(Bytes),
    /// The arguments of a function as a form.
    Form(Vec<(String, String)>),
    /// The single argument of a function.
    Raw(Bytes),
}

const UNIFORM: &str = "All object keys must match";

/// Reads a body. `function` says it belongs to a function call; `columns` that the keys are given by the query.
pub(crate) fn read(body: Bytes, media: &MediaType, function: bool, columns: bool) -> Result<Payload, Error> {
    let invalid = |message: &str| Error::InvalidBody(message.to_owned());
    match media {
        MediaType::Json if columns => Ok(Payload::RawJson(body)),
        MediaType::Json if body.is_empty() && function => {
            Ok(Payload::Json { raw: Bytes::from_static(b"{}"), keys: BTreeSet::new() })
        }
        MediaType::Json => {
            let text = std::str::from_utf8(&body).map_err(|_| invalid("Empty or invalid json"))?;
            match keys(text) {
                Ok(Shape::Keys(keys)) => Ok(Payload::Json { raw: body, keys }),
                Ok(Shape::Mixed) => Err(invalid(UNIFORM)),
                Ok(Shape::Nothing) => {
                    Ok(Payload::Json { raw: Bytes::from_static(b"[]"), keys: BTreeSet::new() })
                }
                Err(_) => Err(invalid("Empty or invalid json")),
            }
        }
        MediaType::Csv => {
            let text = std::str::from_utf8(&body).map_err(|_| invalid("The csv is not valid UTF-8"))?;
            csv(text)
        }
        MediaType::Form => {
            let text = std::str::from_utf8(&body).map_err(|_| invalid("The form is not valid UTF-8"))?;
            let pairs = form(text)?;
            if function {
                return Ok(Payload::Form(pairs));
            }
            let object: serde_json::Map<String, serde_json::Value> =
                pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
            let keys = object.keys().cloned().collect();
            Ok(Payload::Json { raw: serde_json::Value::Object(object).to_string().into(), keys })
        }
        MediaType::Plain | MediaType::Xml | MediaType::Octets if function => Ok(Payload::Raw(body)),
        other => Err(Error::InvalidBody(format!("Content-Type not acceptable: {other}"))),
    }
}

/// Whether JSON is one object, rather than an array: its first character tells.
pub(crate) fn is_object(body: &[u8]) -> bool {
    body.iter().find(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')) == Some(&b'{')
}

fn form(text: &str) -> Result<Vec<(String, String)>, Error> {
    text.split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((query::decode(key)?, query::decode(value)?))
        })
        .collect()
}

/// What the top of a JSON text is.
#[derive(Debug)]
enum Shape {
    /// An object, or objects that all have these keys.
    Keys(BTreeSet<String>),
    /// An array whose members are not all objects with the same keys.
    Mixed,
    /// An empty array, or no array and no object.
    Nothing,
}

fn keys(text: &str) -> Result<Shape, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let shape = deserializer.deserialize_any(Top)?;
    deserializer.end()?;
    Ok(shape)
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            keys.insert(key);
        }
        Ok(Shape::Keys(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Shape, A::Error> {
        let Some(first) = rows.next_element_seed(Member(None))? else { return Ok(Shape::Nothing) };
        let Some(first) = first else {
            while rows.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Shape::Mixed);
        };
        let mut uniform = true;
        let mut known: Vec<(String, u64)> = first.into_iter().map(|key| (key, 0)).collect();
        known.sort();
        let mut row = 0;
        loop {
            row += 1;
            match rows.next_element_seed(Member(Some((&mut known, row))))? {
                None => break,
                Some(same) => uniform &= same.is_some(),
            }
        }
        if uniform {
            Ok(Shape::Keys(known.into_iter().map(|(key, _)| key).collect()))
        } else {
            Ok(Shape::Mixed)
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }
    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }
    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }
}

/// One member of the array. Without known keys it collects them; with them it only checks that they are the same, marking
/// each with the row it was last seen in. `None` means: not an object, or other keys.
struct Member<'k>(Option<(&'k mut Vec<(String, u64)>, u64)>);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<BTreeSet<String>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<BTreeSet<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((known, row)) = self.0 else {
            let mut keys = BTreeSet::new();
            while let Some(key) = map.next_key::<String>()? {
                map.next_value::<IgnoredAny>()?;
                keys.insert(key);
            }
            return Ok(Some(keys));
        };
        let mut same = true;
        let mut distinct = 0;
        while let Some(key) = map.next_key::<CowStr<'de>>()? {
            map.next_value::<IgnoredAny>()?;
            match known.binary_search_by(|(name, _)| name.as_str().cmp(&key.0)) {
                Ok(index) if known[index].1 != row => {
                    known[index].1 = row;
                    distinct += 1;
                }
                Ok(_) => {}
                Err(_) => same = false,
            }
        }
        Ok((same && distinct == known.len()).then(BTreeSet::new))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        while rows.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A key that is borrowed from the text when it has no escapes.
#[derive(serde::Deserialize)]
struct CowStr<'a>(#[serde(borrow)] Cow<'a, str>);

/// Turns csv with a header into a JSON array of objects with strings; `NULL` is null.
fn csv(text: &str) -> Result<Payload, Error> {
    let records = csv_records(text)?;
    let mut records = records.into_iter();
    let Some(header) = records.next() else {
        return Err(Error::InvalidBody("parse error (not enough input)".to_owned()));
    };
    let mut rows = Vec::new();
    for record in records {
        if record.len() < header.len() {
            return Err(Error::InvalidBody("All lines must have same number of fields".to_owned()));
        }
        let row: serde_json::Map<String, serde_json::Value> = header
            .iter()
            .cloned()
            .zip(
                record
                    .into_iter()
                    .map(|cell| if cell == "NULL" { serde_json::Value::Null } else { cell.into() }),
            )
            .collect();
        rows.push(serde_json::Value::Object(row));
    }
    let keys = if rows.is_empty() { BTreeSet::new() } else { header.into_iter().collect() };
    Ok(Payload::Json { raw: serde_json::Value::Array(rows).to_string().into(), keys })
}

/// The records of a csv text (RFC 4180): fields separated by commas, quoted with `"`, blank lines ignored.
fn csv_records(text: &str) -> Result<Vec<Vec<String>>, Error> {
    let mut records = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])) {
            rest = next;
            continue;
        }
        let mut record = Vec::new();
        loop {
            let field;
            (field, rest) = csv_field(rest)?;
            record.push(field);
            if let Some(next) = rest.strip_prefix(',') {
                rest = next;
            } else {
                break;
            }
        }
        rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])).unwrap_or(rest);
        records.push(record);
    }
    Ok(records)
}

fn csv_field(text: &str) -> Result<(String, &str), Error> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '\n', '\r']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut field = String::new();
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return Err(Error::InvalidBody("parse error (a quoted field does not end)".to_owned()));
        };
        field.push_str(before);
        if let Some(next) = after.strip_prefix('"') {
            field.push('"');
            rest = next;
        } else if after.is_empty() || after.starts_with([',', '\n', '\r']) {
            return Ok((field, after));
        } else {
            return Err(Error::InvalidBody("parse error (text after a quoted field)".to_owned()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn keys_of(text: &str) -> Result<Vec<String>, String> {
        match read(Bytes::copy_from_slice(text.as_bytes()), &MediaType::Json, false, false) {
            Ok(Payload::Json { keys, .. }) => Ok(keys.into_iter().collect()),
            Ok(other) => Err(format!("{other:?}")),
            Err(Error::InvalidBody(message)) => Err(message),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn keys_must_be_the_same_in_all_rows() {
        assert_eq!(keys_of(r#"[{"b":1,"a":2},{"a":{"x":[1]},"b":null}]"#), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(keys_of(r#"[{"a":1},{"a":1,"b":2}]"#), Err("All object keys must match".into()));
        assert_eq!(keys_of(r#"[{"a":1},{}]"#), Err("All object keys must match".into()));
        assert_eq!(keys_of(r#"[1]"#), Err("All object keys must match".into()));
        assert_eq!(keys_of(r#"{"a":1,"a":2}"#), Ok(vec!["a".into()]));
    }

    #[test]
    fn other_json_counts_as_no_rows() {
        assert_eq!(keys_of("[]"), Ok(vec![]));
        assert_eq!(keys_of("12"), Ok(vec![]));
        assert_eq!(keys_of("null"), Ok(vec![]));
        assert_eq!(keys_of(""), Err("Empty or invalid json".into()));
        assert_eq!(keys_of("{} {}"), Err("Empty or invalid json".into()));
    }

    #[test]
    fn csv_becomes_json() {
        let Ok(Payload::Json { raw, .. }) = csv("a,b\n1,\"x, \"\"y\"\"\"\r\nNULL,\n") else {
            panic!("no rows")
        };
        assert_eq!(raw, r#"[{"a":"1","b":"x, \"y\""},{"a":null,"b":""}]"#);
        assert!(csv("a,b\n1\n").is_err());
        assert!(csv("").is_err());
    }
}
