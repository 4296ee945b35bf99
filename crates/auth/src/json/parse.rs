//! Reading: Go's scanner, with its error texts, its tolerance for bad UTF-8 and lone surrogates,
//! and its view that every number is a float64.

use serde_json::{Number, Value};

use super::Object;

/// Deeper nesting is refused. Go refuses it at 10000; this is lower because we recurse.
const MAX_DEPTH: usize = 512;

/// A parsed document. A top-level object keeps the order and the repetitions of its keys.
#[derive(Debug, PartialEq)]
pub(super) enum Document {
    Object(Vec<(String, Value)>),
    Other(Value),
}

/// Reads one value; with `stream`, what follows it is ignored.
pub(super) fn parse(text: &[u8], stream: bool) -> Result<Document, String> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.skip_space();
    if stream && parser.at == text.len() {
        return Err("EOF".into());
    }
    match parser.document(stream) {
        // A stream that ends within a value says so, wherever it ends.
        Err(_) if stream && parser.at >= text.len() => Err("unexpected EOF".into()),
        result => result,
    }
}

impl Parser<'_> {
    fn document(&mut self, stream: bool) -> Result<Document, String> {
        let document = if self.peek() == Some(b'{') {
            Document::Object(self.entries()?)
        } else {
            Document::Other(self.value()?)
        };
        self.skip_space();
        match self.peek() {
            Some(byte) if !stream => Err(invalid(byte, "after top-level value")),
            _ => Ok(document),
        }
    }
}

/// Reads one value whose keys may be sorted.
pub(crate) fn parse_value(text: &[u8]) -> Result<Value, String> {
    Ok(match parse(text, false)? {
        Document::Object(entries) => Value::Object(Object::from_iter(entries)),
        Document::Other(value) => value,
    })
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or_else(end)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte of a literal, an escape or a number; Go takes the end of the text for a space there.
    fn next_within(&mut self) -> u8 {
        self.next().unwrap_or_else(|_| {
            self.at += 1;
            b' '
        })
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_space();
        match self.peek().ok_or_else(end)? {
            b'{' => Ok(Value::Object(Object::from_iter(self.entries()?))),
            b'[' => self.array(),
            b'"' => Ok(Value::String(self.string()?)),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            other => Err(invalid(other, "looking for beginning of value")),
        }
    }

    fn enter(&mut self) -> Result<(), String> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err("exceeded max depth".into()) } else { Ok(()) }
    }

    fn entries(&mut self) -> Result<Vec<(String, Value)>, String> {
        self.enter()?;
        let mut entries = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(entries);
        }
        loop {
            self.skip_space();
            match self.peek().ok_or_else(end)? {
                b'"' => {}
                other => return Err(invalid(other, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            self.skip_space();
            match self.next()? {
                b':' => {}
                other => return Err(invalid(other, "after object key")),
            }
            entries.push((key, self.value()?));
            self.skip_space();
            match self.next()? {
                b',' => {}
                b'}' => break,
                other => return Err(invalid(other, "after object key:value pair")),
            }
        }
        self.depth -= 1;
        Ok(entries)
    }

    fn array(&mut self) -> Result<Value, String> {
        self.enter()?;
        let mut elements = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            self.skip_space();
            match self.next()? {
                b',' => {}
                b']' => break,
                other => return Err(invalid(other, "after array element")),
            }
        }
        self.depth -= 1;
        Ok(Value::Array(elements))
    }

    fn literal(&mut self, word: &'static str, value: Value) -> Result<Value, String> {
        self.at += 1;
        for expected in word.bytes().skip(1) {
            let byte = self.next_within();
            if byte != expected {
                return Err(invalid(byte, &format!("in literal {word} (expecting {})", quote(expected))));
            }
        }
        Ok(value)
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn digit(&mut self, context: &str) -> Result<(), String> {
        match self.next_within() {
            b'0'..=b'9' => Ok(()),
            other => Err(invalid(other, context)),
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next_within() {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            other => return Err(invalid(other, "in numeric literal")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|error| error.to_string())?;
        let float: f64 = text.parse().map_err(|_| format!("json: invalid number literal {text:?}"))?;
        number(float)
            .map(Value::Number)
            .ok_or_else(|| format!("json: cannot unmarshal number {text} into Go value of type float64"))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => self.escape(&mut bytes)?,
                control @ 0..=0x1f => return Err(invalid(control, "in string literal")),
                byte => bytes.push(byte),
            }
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let simple = match self.next_within() {
            b'"' => b'"',
            b'\\' => b'\\',
            b'/' => b'/',
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let char = self.unicode()?;
                bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            other => return Err(invalid(other, "in string escape code")),
        };
        bytes.push(simple);
        Ok(())
    }

    /// After `\u`: a code unit, or a pair of surrogates. A lone surrogate becomes U+FFFD.
    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.next_within();
            let digit = char::from(byte)
                .to_digit(16)
                .ok_or_else(|| invalid(byte, "in \\u hexadecimal character escape"))?;
            code = code * 16 + digit;
        }
        Ok(code)
    }
}

/// A float64 as a JSON number; a whole one keeps no fraction.
fn number(float: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() <= EXACT && !(float == 0.0 && float.is_sign_negative()) {
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

fn end() -> String {
    "unexpected end of JSON input".into()
}

fn invalid(byte: u8, context: &str) -> String {
    format!("invalid character {} {context}", quote(byte))
}

/// A byte as Go quotes it in its errors.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => r"'\\'".into(),
        7 => r"'\a'".into(),
        8 => r"'\b'".into(),
        9 => r"'\t'".into(),
        10 => r"'\n'".into(),
        11 => r"'\v'".into(),
        12 => r"'\f'".into(),
        13 => r"'\r'".into(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0x9f | 0xad => format!("'\\u{byte:04x}'"),
        0xa0 => r"'\u00a0'".into(),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn error(text: &str) -> String {
        parse(text.as_bytes(), false).unwrap_err()
    }

    #[test]
    fn errors_read_like_the_originals() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("{\"a\"", "unexpected end of JSON input"),
            ("hello", "invalid character 'h' looking for beginning of value"),
            ("{a}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("\"\n\"", r"invalid character '\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("trie", "invalid character 'i' in literal true (expecting 'u')"),
            ("tru", "invalid character ' ' in literal true (expecting 'e')"),
            ("-", "invalid character ' ' in numeric literal"),
            ("\"\\u12", "invalid character ' ' in \\u hexadecimal character escape"),
            ("\"open", "unexpected end of JSON input"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ea", "invalid character 'a' in exponent of numeric literal"),
            ("'x'", r"invalid character '\'' looking for beginning of value"),
            ("é", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn a_stream_may_go_on_after_its_first_value() {
        assert_eq!(parse(b"{} and more", true), Ok(Document::Object(vec![])));
        assert_eq!(parse(b"  ", true), Err("EOF".into()));
    }

    #[test]
    fn numbers_are_float64() {
        let Document::Other(value) = parse(b"[1, 1.0, 12345678901234567890, 1e-7, -0.5]", false).unwrap()
        else {
            panic!("an array");
        };
        assert_eq!(super::super::to_string(&value), "[1,1,12345678901234567000,1e-7,-0.5]");
        assert!(error("1e999").contains("cannot unmarshal number 1e999"));
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        let parsed = parse(br#"["\ud83d\ude00", "\ud83d", "\ud83dx", "\udc00"]"#, false).unwrap();
        assert_eq!(parsed, Document::Other(json!(["😀", "\u{fffd}", "\u{fffd}x", "\u{fffd}"])));
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        assert_eq!(error(&"[".repeat(100_000)), "exceeded max depth");
    }

    proptest::proptest! {
        #[test]
        fn bytes_never_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, false);
        }

        #[test]
        fn valid_documents_are_read(text in ".*", flag: bool, number in -1e15f64..1e15) {
            let value = json!({"a": [text, flag, number], "b": {"c": null}});
            let written = serde_json::to_vec(&value).unwrap();
            let Document::Object(entries) = parse(&written, false).unwrap() else { panic!("an object") };
            proptest::prop_assert_eq!(entries[0].1[0].as_str(), value["a"][0].as_str());
            proptest::prop_assert_eq!(entries[0].1[2].as_f64(), value["a"][2].as_f64());
        }
    }
}
