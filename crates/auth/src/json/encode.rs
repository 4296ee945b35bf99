//! Writing: `<`, `>`, `&` and the two line separators are escaped, numbers are float64.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut start = 0;
        for (at, char) in fragment.char_indices() {
            let escaped = match char {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&fragment.as_bytes()[start..at])?;
            writer.write_all(escaped.as_bytes())?;
            start = at + char.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }
}

/// The shortest digits that read back as the same float64; an exponent below 1e-6 and from 1e21 on.
fn float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        // Rust writes 1e21 and 1e-7, Go writes 1e+21 and 1e-07 shortened to 1e-7.
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    format!("{value}")
}

/// A value's JSON text.
pub(crate) fn to_string(value: &impl Serialize) -> String {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, GoFormatter);
    // Our types have string keys and no failing serializers; a failure would be a bug of ours.
    value.serialize(&mut serializer).expect("invariant: every answer can be written as JSON");
    String::from_utf8(bytes).expect("invariant: the serializer writes UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn characters_that_matter_to_browsers_are_escaped() {
        assert_eq!(
            to_string(&json!("<a href=\"x\">&\u{2028}é")),
            r#""\u003ca href=\"x\"\u003e\u0026\u2028é""#
        );
        assert_eq!(to_string(&json!({"<": 1})), r#"{"\u003c":1}"#);
    }

    #[test]
    fn control_characters_are_written_as_go_does() {
        assert_eq!(to_string(&json!("\u{1}\u{8}\u{c}\n\r\t\u{7f}")), "\"\\u0001\\b\\f\\n\\r\\t\u{7f}\"");
    }

    #[test]
    fn floats_are_written_as_go_does() {
        for (value, text) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (0.000001, "0.000001"),
            (-2.25, "-2.25"),
            (0.0, "0"),
        ] {
            assert_eq!(to_string(&value), text);
        }
    }

    #[test]
    fn keys_of_objects_are_sorted() {
        assert_eq!(
            to_string(&json!({"b": 1, "a": {"d": null, "c": true}})),
            r#"{"a":{"c":true,"d":null},"b":1}"#
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(text in ".*", number in proptest::num::f64::NORMAL) {
            let value = json!({"text": text, "number": number});
            let read = crate::json::parse(to_string(&value).as_bytes()).expect("valid JSON");
            proptest::prop_assert_eq!(&read["text"], &value["text"]);
            proptest::prop_assert_eq!(read["number"].as_f64(), Some(number));
        }
    }
}
