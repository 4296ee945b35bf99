//! The lexical structure of SQL, as far as it decides where a statement ends.

/// Something that stands between two places in a text. Text that is not closed reaches to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// White space, or a character skipped by a backslash.
    Blank,
    /// `-- …` or `/* … */`.
    Comment,
    /// A keyword, an identifier or a number.
    Word,
    /// A string or a quoted identifier, however quoted.
    Quoted,
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// Any other character.
    Other,
}

/// Reads the token that starts at `start`, which must be inside of `bytes`; returns it and where it ends.
///
/// Every byte is looked at a bounded number of times: the caller goes on where the token ends, and no token looks further
/// ahead than its end, but for a dollar sign and the tag that turns out not to be one.
pub(crate) fn token(bytes: &[u8], start: usize) -> (Token, usize) {
    let next = bytes.get(start + 1).copied();
    match bytes[start] {
        b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c' => (Token::Blank, start + 1),
        b'-' if next == Some(b'-') => (Token::Comment, line_comment(bytes, start + 2)),
        b'/' if next == Some(b'*') => (Token::Comment, block_comment(bytes, start + 2)),
        quote @ (b'\'' | b'"') => (Token::Quoted, quoted(bytes, start + 1, quote, false)),
        b'$' => dollar(bytes, start),
        // One character is taken as it is, as the CLI does it (left-overs of psql's commands).
        b'\\' => (Token::Blank, (start + 2).min(bytes.len())),
        b';' => (Token::Semicolon, start + 1),
        b'(' => (Token::Open, start + 1),
        b')' => (Token::Close, start + 1),
        byte if in_word(byte) => word(bytes, start),
        _ => (Token::Other, start + 1),
    }
}

/// Letters, digits, the underscore and everything outside ASCII; a dollar sign only after the first character.
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn word(bytes: &[u8], start: usize) -> (Token, usize) {
    let end = bytes[start..]
        .iter()
        .position(|byte| !in_word(*byte) && *byte != b'$')
        .map_or(bytes.len(), |length| start + length);
    // Only in `E'…'` does a backslash keep a quote from closing the string.
    if bytes[start..end].eq_ignore_ascii_case(b"e") && bytes.get(end) == Some(&b'\'') {
        return (Token::Quoted, quoted(bytes, end + 1, b'\'', true));
    }
    (Token::Word, end)
}

fn line_comment(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| from + length + 1)
}

fn block_comment(bytes: &[u8], from: usize) -> usize {
    let mut depth = 1;
    let mut at = from;
    while depth > 0 && at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn quoted(bytes: &[u8], from: usize, quote: u8, backslash: bool) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if backslash => at += 2,
            // A doubled quote reads as the end of one string and the start of the next: the same to us.
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `$tag$ … $tag$`, `$1`, or a lone dollar sign.
fn dollar(bytes: &[u8], start: usize) -> (Token, usize) {
    let tag_end = bytes[start + 1..]
        .iter()
        .position(|byte| !in_word(*byte))
        .map_or(bytes.len(), |length| start + 1 + length);
    let starts_with_digit = bytes.get(start + 1).is_some_and(u8::is_ascii_digit);
    if bytes.get(tag_end) != Some(&b'$') || starts_with_digit {
        return (Token::Other, tag_end);
    }
    let delimiter = &bytes[start..=tag_end];
    let mut at = tag_end + 1;
    // A tag contains no dollar sign, so each comparison ends at the next one.
    while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'$') {
        at += length;
        if bytes[at..].starts_with(delimiter) {
            return (Token::Quoted, at + delimiter.len());
        }
        at += 1;
    }
    (Token::Quoted, bytes.len())
}

/// The words that a statement begins with, up to the first other token.
pub(crate) fn leading_words(sql: &str) -> Vec<&str> {
    let bytes = sql.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (token, end) = token(bytes, at);
        match token {
            Token::Blank | Token::Comment => {}
            // Words begin and end at ASCII characters or at the ends of the text.
            Token::Word => words.push(sql.get(at..end).unwrap_or_default()),
            _ => break,
        }
        at = end;
    }
    words
}
