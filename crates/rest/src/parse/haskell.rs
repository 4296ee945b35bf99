//! How Haskell shows characters and texts. Some of PostgREST's errors carry what it shows.

/// The names of the characters below the blank.
const CONTROLS: [&str; 32] = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "a", "b", "t", "n", "v", "f", "r", "SO", "SI", "DLE",
    "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US",
];

/// A character as it is shown between `quote`s.
pub(super) fn shown(c: char, quote: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        c if c == quote => format!("\\{c}"),
        '\u{7f}' => "\\DEL".to_owned(),
        c if c.is_ascii_control() => {
            format!("\\{}", CONTROLS.get(c as usize).copied().unwrap_or_default())
        }
        c if c.is_ascii() => c.to_string(),
        c => format!("\\{}", u32::from(c)),
    }
}

/// Bytes as they are shown as a text of one character a byte.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    let mut before = String::new();
    for byte in bytes {
        let next = shown(char::from(*byte), '"');
        // What would read on is kept apart: a digit after a number, `H` after `\SO`.
        let number = before.strip_prefix('\\').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        if (number && byte.is_ascii_digit()) || (before == "\\SO" && *byte == b'H') {
            text.push_str("\\&");
        }
        text.push_str(&next);
        before = next;
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_has_a_name_or_a_number() {
        assert_eq!(shown('\'', '\''), "\\'");
        assert_eq!(text("a\"b\n\u{1b}\u{7f}é1\\2".as_bytes()), r#""a\"b\n\ESC\DEL\195\169\&1\\2""#);
        assert_eq!(text(b"\x11\x31\x0eH"), r#""\DC11\SO\&H""#);
    }
}
