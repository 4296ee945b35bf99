//! Request bodies into structs, with Go's rules: keys match in any case, unknown keys are ignored,
//! `null` leaves a field alone, and the first mismatch is reported after the rest has been read.

use serde_json::Value;

use super::Object;
use super::parse::{Document, parse};

/// A JSON value that does not fit its field.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) value: &'static str,
    pub(crate) into: &'static str,
}

/// A struct that a body is read into. [`params!`](params) writes the implementation.
pub(crate) trait Decode: Default {
    /// The original's type name, which its errors show.
    const NAME: &'static str;

    /// Stores one value; `Ok(None)` if no field has that name, else the field's name.
    fn set(&mut self, key: &str, value: Value) -> Result<(), (&'static str, Mismatch)>;
}

/// A type a field can have.
pub(crate) trait Field: Sized {
    /// Stores a value that is not null.
    fn store(&mut self, value: Value) -> Result<(), Mismatch>;
    /// Stores null.
    fn clear(&mut self) {}
}

/// Reads a whole body.
pub(crate) fn decode<T: Decode>(body: &[u8]) -> Result<T, String> {
    fill(parse(body, false)?)
}

/// Reads the first value of a body, as Go's stream decoder does.
pub(crate) fn decode_stream<T: Decode>(body: &[u8]) -> Result<T, String> {
    fill(parse(body, true)?)
}

fn fill<T: Decode>(document: Document) -> Result<T, String> {
    let mut target = T::default();
    let entries = match document {
        Document::Object(entries) => entries,
        Document::Other(Value::Null) => return Ok(target),
        Document::Other(other) => {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type api.{}",
                kind(&other),
                T::NAME
            ));
        }
    };
    let mut first_error = None;
    for (key, value) in entries {
        if let Err((field, mismatch)) = target.set(&key, value) {
            first_error.get_or_insert_with(|| {
                format!(
                    "json: cannot unmarshal {} into Go struct field {}.{field} of type {}",
                    mismatch.value,
                    T::NAME,
                    mismatch.into
                )
            });
        }
    }
    first_error.map_or(Ok(target), Err)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Field for String {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        match value {
            Value::String(text) => {
                *self = text;
                Ok(())
            }
            other => Err(Mismatch { value: kind(&other), into: "string" }),
        }
    }
}

impl Field for bool {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        match value {
            Value::Bool(flag) => {
                *self = flag;
                Ok(())
            }
            other => Err(Mismatch { value: kind(&other), into: "bool" }),
        }
    }
}

/// A list of texts; null is an empty one.
impl Field for Vec<String> {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        let Value::Array(items) = value else {
            return Err(Mismatch { value: kind(&value), into: "[]string" });
        };
        let mut texts = Self::with_capacity(items.len());
        for item in items {
            let mut text = String::new();
            if !item.is_null() {
                text.store(item)?;
            }
            texts.push(text);
        }
        *self = texts;
        Ok(())
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}

/// A list that may be absent.
impl Field for Option<Vec<String>> {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        self.insert(Vec::new()).store(value)
    }

    fn clear(&mut self) {
        *self = None;
    }
}

/// A map: absent and null are both `None`.
impl Field for Option<Object> {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        match value {
            Value::Object(object) => {
                *self = Some(object);
                Ok(())
            }
            other => Err(Mismatch { value: kind(&other), into: "map[string]interface {}" }),
        }
    }

    fn clear(&mut self) {
        *self = None;
    }
}

/// A switch that may be left alone.
impl Field for Option<bool> {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        self.insert(false).store(value)
    }

    fn clear(&mut self) {
        *self = None;
    }
}

/// A pointer to a string: absent and null are both `None`, an empty string is not.
pub(crate) type Pointer = Option<String>;

impl Field for Pointer {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        let mut text = String::new();
        text.store(value)?;
        *self = Some(text);
        Ok(())
    }

    fn clear(&mut self) {
        *self = None;
    }
}

/// A field's name on the wire: `type` is a word of the language and is written `r#type`.
pub(crate) const fn field_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Defines the struct a body is read into: `params! { "GoName", struct Name { field: Type, … } }`.
macro_rules! params {
    ($go:literal, $(#[$doc:meta])* $vis:vis struct $name:ident { $($field:ident : $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        $vis struct $name { $($vis $field: $type,)+ }

        impl $crate::json::Decode for $name {
            const NAME: &'static str = $go;

            fn set(
                &mut self,
                key: &str,
                value: serde_json::Value,
            ) -> Result<(), (&'static str, $crate::json::Mismatch)> {
                $({
                    const NAME: &str = $crate::json::field_name(stringify!($field));
                    if key.eq_ignore_ascii_case(NAME) {
                        return match value {
                            serde_json::Value::Null => {
                                $crate::json::Field::clear(&mut self.$field);
                                Ok(())
                            }
                            value => $crate::json::Field::store(&mut self.$field, value)
                                .map_err(|mismatch| (NAME, mismatch)),
                        };
                    }
                })+
                Ok(())
            }
        }
    };
}
pub(crate) use params;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    params! {
        "SignupParams",
        struct Signup { email: String, password: Pointer, data: Option<Object>, create_user: bool, r#type: String }
    }

    fn error(body: &str) -> String {
        decode::<Signup>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn keys_match_in_any_case_and_unknown_ones_are_ignored() {
        let signup: Signup =
            decode(br#"{"EMAIL":"a@b.c","Create_User":true,"other":{},"Type":"sms"}"#).unwrap();
        assert_eq!((signup.email.as_str(), signup.r#type.as_str()), ("a@b.c", "sms"));
        assert!(signup.create_user);
        assert_eq!(signup.password, None);
    }

    #[test]
    fn null_leaves_a_text_alone_and_clears_a_pointer() {
        let signup: Signup = decode(br#"{"email":"a","email":null,"password":"x","password":null}"#).unwrap();
        assert_eq!((signup.email.as_str(), signup.password), ("a", None));
    }

    #[test]
    fn mismatches_read_like_the_originals() {
        assert_eq!(
            error(r#"{"email":1}"#),
            "json: cannot unmarshal number into Go struct field SignupParams.email of type string"
        );
        assert_eq!(
            error(r#"{"data":[1]}"#),
            "json: cannot unmarshal array into Go struct field SignupParams.data of type map[string]interface {}"
        );
        assert_eq!(
            error(r#"{"create_user":"yes","email":{}}"#),
            "json: cannot unmarshal string into Go struct field SignupParams.create_user of type bool"
        );
        assert_eq!(error("[]"), "json: cannot unmarshal array into Go value of type api.SignupParams");
    }

    #[test]
    fn a_body_of_null_is_an_empty_struct() {
        assert_eq!(decode::<Signup>(b"null").unwrap().email, "");
    }

    #[test]
    fn a_stream_names_its_end_differently() {
        assert_eq!(decode_stream::<Signup>(b"").unwrap_err(), "EOF");
        assert_eq!(decode_stream::<Signup>(b"{").unwrap_err(), "unexpected EOF");
        assert_eq!(decode_stream::<Signup>(b"tru").unwrap_err(), "unexpected EOF");
        assert_eq!(decode_stream::<Signup>(br#"{"email":"a"} trailing"#).unwrap().email, "a");
    }
}
