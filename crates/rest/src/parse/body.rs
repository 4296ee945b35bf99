//! Request bodies: which keys they have, without building the values they hold.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::media::MediaType;
use super::{csv, query};
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
    /// JSON whose keys are known from elsewhere.
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
    query::raw_pairs(text.strip_prefix('?').unwrap_or(text))
        .map(|(key, value)| Ok((query::decode(key)?, query::decode(value.unwrap_or_default())?)))
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

/// Turns csv with a header into a JSON array of objects with strings; `NULL` is null. A row may have fewer fields than the
/// header, if all have as few; what it has more is dropped.
fn csv(text: &str) -> Result<Payload, Error> {
    let (header, records) = csv::read(text).map_err(Error::InvalidBody)?;
    let names =
        |record: &[String]| -> BTreeSet<String> { header.iter().take(record.len()).cloned().collect() };
    let keys = records.first().map(|first| names(first)).unwrap_or_default();
    let shortest = records.iter().map(Vec::len).min().unwrap_or(0).min(header.len());
    let longest = records.iter().map(Vec::len).max().unwrap_or(0).min(header.len());
    if shortest != longest && records.iter().any(|record| names(record) != keys) {
        return Err(Error::InvalidBody("All lines must have same number of fields".to_owned()));
    }
    let cell = |cell: String| if cell == "NULL" { serde_json::Value::Null } else { cell.into() };
    let rows: Vec<serde_json::Value> = records
        .into_iter()
        .map(|record| header.iter().cloned().zip(record.into_iter().map(cell)).collect())
        .map(serde_json::Value::Object)
        .collect();
    Ok(Payload::Json { raw: serde_json::Value::Array(rows).to_string().into(), keys })
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
        // As many as the first row has.
        let Ok(Payload::Json { raw, keys }) = csv("a,b,c\n1,2\n\n3,4\n") else { panic!("no rows") };
        assert_eq!(raw, r#"[{"a":"1","b":"2"},{"a":"3","b":"4"}]"#);
        assert_eq!(keys.into_iter().collect::<String>(), "ab");
        let Ok(Payload::Json { raw, .. }) = csv("a\n1,2\n3\n") else { panic!("no rows") };
        assert_eq!(raw, r#"[{"a":"1"},{"a":"3"}]"#);
        for text in ["a,b\n1\n2,3\n", "a,b\n1,2\n3\n"] {
            let Err(Error::InvalidBody(message)) = csv(text) else { panic!("{text:?} was accepted") };
            assert_eq!(message, "All lines must have same number of fields");
        }
    }

    #[test]
    fn forms_are_pairs() {
        let pairs = |text| form(text).unwrap();
        let of = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(pairs("?a=1+2&b&"), of(&[("a", "1 2"), ("b", "")]));
        assert_eq!(pairs("a=%26;;"), of(&[("a", "&"), ("", "")]));
        assert_eq!(pairs(""), []);
    }
}
