//! Values in PostgreSQL's text form as JSON, as `to_jsonb` would write them.
//!
//! Pure functions over the text that the output functions make under fixed settings (`datestyle = ISO`, `TimeZone = UTC`,
//! `bytea_output = hex`).

use std::sync::Arc;

/// How the text form of a type becomes JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    /// A JSON number as it is, unless it is `NaN` or infinite.
    Number,
    /// `2024-01-02 03:04:05`
    Timestamp,
    /// `2024-01-02 03:04:05+00`
    TimestampTz,
    Json,
    Array {
        element: Arc<Kind>,
        delimiter: char,
    },
    Composite(Arc<[(Box<str>, Arc<Kind>)]>),
    /// Only the server knows (a type with a cast to `json`).
    Server,
    /// A string.
    Text,
}

impl Kind {
    /// Whether the server must be asked for the JSON of such a value.
    pub(crate) fn needs_server(&self) -> bool {
        match self {
            Kind::Server => true,
            Kind::Array { element, .. } => element.needs_server(),
            Kind::Composite(fields) => fields.iter().any(|(_, kind)| kind.needs_server()),
            _ => false,
        }
    }
}

/// Appends a JSON string.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut begin = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => {
                out.push_str(&text[begin..at]);
                let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                out.push_str("\\u00");
                out.push(hex(byte >> 4));
                out.push(hex(byte & 15));
                begin = at + 1;
                continue;
            }
            _ => continue,
        };
        out.push_str(&text[begin..at]);
        out.push_str(escape);
        begin = at + 1;
    }
    out.push_str(&text[begin..]);
    out.push('"');
}

/// Appends the JSON of a column's value. A number that JSON does not have is null, as wal2json has it.
pub(crate) fn write_column(kind: &Kind, text: &str, out: &mut String) {
    match kind {
        Kind::Number if !is_json_number(text) => out.push_str("null"),
        _ => write(kind, text, out),
    }
}

fn write(kind: &Kind, text: &str, out: &mut String) {
    match kind {
        Kind::Bool => out.push_str(if text == "t" { "true" } else { "false" }),
        // In arrays and composite values it is a string.
        Kind::Number if is_json_number(text) => out.push_str(text),
        Kind::Timestamp => write_string(&text.replacen(' ', "T", 1), out),
        Kind::TimestampTz => write_string(&with_offset(text), out),
        Kind::Json => out.push_str(text),
        Kind::Array { element, delimiter } => write_array(element, *delimiter, text, out),
        Kind::Composite(fields) => write_composite(fields, text, out),
        Kind::Number | Kind::Server | Kind::Text => write_string(text, out),
    }
}

/// Whether the text of a number is one in JSON as well.
fn is_json_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.as_bytes().first().is_some_and(u8::is_ascii_digit)
}

/// `2024-01-02 03:04:05+00` with the separator and the offset of ISO 8601: `2024-01-02T03:04:05+00:00`.
fn with_offset(text: &str) -> String {
    let Some((date, time)) = text.split_once(' ') else { return text.to_owned() };
    let (time, era) = match time.split_once(' ') {
        Some((time, era)) => (time, Some(era)),
        None => (time, None),
    };
    let mut whole = format!("{date}T{time}");
    // An offset of whole hours has no minutes in the server's text.
    if let Some(at) = time.rfind(['+', '-'])
        && time.len() - at == 3
    {
        whole.push_str(":00");
    }
    if let Some(era) = era {
        whole.push(' ');
        whole.push_str(era);
    }
    whole
}

/// How deep arrays and composite values may be nested before the rest is shown as text.
const MAX_DEPTH: usize = 32;

/// Reads `{1,2}`, `{{1},{2}}`, `[0:1]={1,2}`.
fn write_array(element: &Kind, delimiter: char, text: &str, out: &mut String) {
    let body = match text.find('=') {
        Some(at) if text.starts_with('[') => &text[at + 1..],
        _ => text,
    };
    let begin = out.len();
    let mut cursor = Cursor { text: body, at: 0 };
    if cursor.array(element, delimiter, out, 0).is_none() || cursor.at != body.len() {
        out.truncate(begin);
        write_string(text, out);
    }
}

/// Reads `(1,"a b",)`.
fn write_composite(fields: &[(Box<str>, Arc<Kind>)], text: &str, out: &mut String) {
    let begin = out.len();
    if composite(fields, text, out).is_none() {
        out.truncate(begin);
        write_string(text, out);
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// An array from its brace on. `None` when it is none.
    fn array(&mut self, element: &Kind, delimiter: char, out: &mut String, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH || self.next()? != '{' {
            return None;
        }
        out.push('[');
        if self.peek()? == '}' {
            self.next();
            out.push(']');
            return Some(());
        }
        loop {
            match self.peek()? {
                '{' => self.array(element, delimiter, out, depth + 1)?,
                '"' => {
                    let text = self.quoted('\\')?;
                    write(element, &text, out);
                }
                _ => {
                    let begin = self.at;
                    let mut escaped = false;
                    while let Some(character) = self.peek() {
                        if character == delimiter || character == '}' {
                            break;
                        }
                        escaped |= character == '\\';
                        self.next();
                    }
                    let text = &self.text[begin..self.at];
                    // The server always quotes what needs it.
                    if text.is_empty() || escaped {
                        return None;
                    }
                    if text.eq_ignore_ascii_case("null") {
                        out.push_str("null")
                    } else {
                        write(element, text, out)
                    }
                }
            }
            match self.next()? {
                '}' => break,
                character if character == delimiter => out.push(','),
                _ => return None,
            }
        }
        out.push(']');
        Some(())
    }

    /// A text in double quotes, in which `escape` takes the next character as it is and two quotes are one.
    fn quoted(&mut self, escape: char) -> Option<String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' if self.peek() == Some('"') => {
                    self.next();
                    text.push('"');
                }
                '"' => return Some(text),
                character if character == escape => text.push(self.next()?),
                character => text.push(character),
            }
        }
    }
}

fn composite(fields: &[(Box<str>, Arc<Kind>)], text: &str, out: &mut String) -> Option<()> {
    let mut cursor = Cursor { text, at: 0 };
    if cursor.next()? != '(' {
        return None;
    }
    out.push('{');
    for (index, (name, kind)) in fields.iter().enumerate() {
        if index > 0 {
            if cursor.next()? != ',' {
                return None;
            }
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        let mut value = String::new();
        let mut given = false;
        loop {
            match cursor.peek()? {
                ',' | ')' => break,
                '"' => {
                    value.push_str(&cursor.quoted('\\')?);
                    given = true;
                }
                '\\' => {
                    cursor.next();
                    value.push(cursor.next()?);
                    given = true;
                }
                character => {
                    cursor.next();
                    value.push(character);
                    given = true;
                }
            }
        }
        if given { write(kind, &value, out) } else { out.push_str("null") }
    }
    (cursor.next()? == ')' && cursor.at == text.len()).then(|| out.push('}'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn json(kind: &Kind, text: &str) -> String {
        let mut out = String::new();
        write_column(kind, text, &mut out);
        out
    }

    fn array(element: Kind) -> Kind {
        Kind::Array { element: Arc::new(element), delimiter: ',' }
    }

    #[test]
    fn values_become_what_to_jsonb_makes_of_them() {
        let pair: Arc<[(Box<str>, Arc<Kind>)]> =
            Arc::from([("a".into(), Arc::new(Kind::Number)), ("b".into(), Arc::new(Kind::Text))]);
        let composite = Kind::Composite(pair);
        let cases = [
            (Kind::Bool, "t", "true"),
            (Kind::Bool, "f", "false"),
            (Kind::Number, "9007199254740993", "9007199254740993"),
            (Kind::Number, "-0.50", "-0.50"),
            (Kind::Number, "1e+20", "1e+20"),
            (Kind::Number, "NaN", "null"),
            (Kind::Number, "-Infinity", "null"),
            (Kind::Text, "a\"b\\c\n\u{1}é", r#""a\"b\\c\n\u0001é""#),
            (Kind::Text, "\\x6869", r#""\\x6869""#),
            (Kind::Timestamp, "2024-01-02 03:04:05.678", r#""2024-01-02T03:04:05.678""#),
            (Kind::Timestamp, "0044-03-15 00:00:00 BC", r#""0044-03-15T00:00:00 BC""#),
            (Kind::Timestamp, "infinity", r#""infinity""#),
            (Kind::TimestampTz, "2024-01-02 03:04:05.678+00", r#""2024-01-02T03:04:05.678+00:00""#),
            (Kind::TimestampTz, "2024-01-02 03:04:05+05:30", r#""2024-01-02T03:04:05+05:30""#),
            (Kind::TimestampTz, "0044-03-15 00:00:00+00 BC", r#""0044-03-15T00:00:00+00:00 BC""#),
            (Kind::TimestampTz, "-infinity", r#""-infinity""#),
            (Kind::Json, r#"{"a": [1]}"#, r#"{"a": [1]}"#),
            (array(Kind::Number), "{1,NULL,3}", "[1,null,3]"),
            (array(Kind::Number), "{}", "[]"),
            (array(Kind::Number), "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
            (array(Kind::Number), "[0:1]={5,NaN}", r#"[5,"NaN"]"#),
            (array(Kind::Text), r#"{a,"b,\"c\\","NULL",""}"#, r#"["a","b,\"c\\","NULL",""]"#),
            (array(Kind::Json), r#"{"{\"a\": 1}"}"#, r#"[{"a": 1}]"#),
            (array(Kind::Bool), "{t,f}", "[true,false]"),
            (composite.clone(), r#"(1,"x ""y"" \\")"#, r#"{"a":1,"b":"x \"y\" \\"}"#),
            (composite.clone(), "(,)", r#"{"a":null,"b":null}"#),
            (composite.clone(), r#"(2,"")"#, r#"{"a":2,"b":""}"#),
            (array(composite), r#"{"(1,a)","(2,\"b c\")"}"#, r#"[{"a":1,"b":"a"},{"a":2,"b":"b c"}]"#),
            // What is malformed is shown, not lost.
            (array(Kind::Number), "{1,2", r#""{1,2""#),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(json(&kind, text), expected, "{text}");
            serde_json::from_str::<serde_json::Value>(expected).unwrap();
        }
        let boxes = Kind::Array { element: Arc::new(Kind::Text), delimiter: ';' };
        assert_eq!(json(&boxes, "{(1,1),(0,0);(2,2),(1,1)}"), r#"["(1,1),(0,0)","(2,2),(1,1)"]"#);
    }

    /// An array as the server writes it.
    fn array_text(items: &[Option<String>]) -> String {
        let quoted = |item: &Option<String>| match item {
            Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            None => "NULL".to_owned(),
        };
        format!("{{{}}}", items.iter().map(quoted).collect::<Vec<_>>().join(","))
    }

    proptest! {
        #[test]
        fn arrays_of_text_survive(items in prop::collection::vec(prop::option::of("[^\0]{0,8}"), 0..5)) {
            let written = json(&array(Kind::Text), &array_text(&items));
            prop_assert_eq!(serde_json::from_str::<Vec<Option<String>>>(&written).unwrap(), items);
        }

        #[test]
        fn whatever_the_text_json_comes_out(text in "[{}(),\"\\\\a1;\\[\\]=: ]{0,24}") {
            let pair: Arc<[(Box<str>, Arc<Kind>)]> = Arc::from([("a".into(), Arc::new(Kind::Text))]);
            for kind in [Kind::Text, Kind::Timestamp, Kind::TimestampTz, array(Kind::Text), Kind::Composite(pair)] {
                let written = json(&kind, &text);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{}", written);
            }
        }

        #[test]
        fn strings_are_those_of_serde(text in any::<String>()) {
            let mut out = String::new();
            write_string(&text, &mut out);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
