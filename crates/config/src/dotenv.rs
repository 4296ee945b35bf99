//! `.env` files, as the Supabase CLI's reader (godotenv) understands them.
//!
//! ```text
//! NAME=value            # a comment after blanks
//! export NAME="double: \n \" \$ and ${OTHER} are understood"
//! NAME='single: taken literally, may span
//! lines'
//! NAME: value
//! ```

/// A file's variables and what could not be understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// In the order of the file; the last of a name wins.
    pub(crate) variables: Vec<(String, String)>,
    /// Lines (counted from 1) that are neither blank, comment nor assignment. An application's file
    /// is not ours to refuse, so they are reported and left out.
    pub(crate) bad_lines: Vec<usize>,
}

/// Reads a file's text. `outer` gives variables from outside for `${NAME}`; those of the file come
/// first.
pub(crate) fn parse(text: &str, outer: impl Fn(&str) -> Option<String>) -> Parsed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parsed = Parsed::default();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let taken = match statement(rest) {
            Statement::Nothing { length } => length,
            Statement::Bad { length } => {
                parsed.bad_lines.push(line);
                length
            }
            Statement::Assignment { name, value, length } => {
                let value = match value {
                    Value::Literal(text) => text.to_owned(),
                    Value::Plain(text) => expand(text, false, &parsed.variables, &outer),
                    Value::Quoted(text) => expand(text, true, &parsed.variables, &outer),
                };
                parsed.variables.push((name.to_owned(), value));
                length
            }
        };
        line += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
    }
    parsed
}

enum Value<'a> {
    /// From single quotes.
    Literal(&'a str),
    /// Without quotes.
    Plain(&'a str),
    /// From double quotes, escapes included.
    Quoted(&'a str),
}

enum Statement<'a> {
    Nothing { length: usize },
    Bad { length: usize },
    Assignment { name: &'a str, value: Value<'a>, length: usize },
}

/// Takes one statement from the start of `text`, its line end included.
fn statement(text: &str) -> Statement<'_> {
    let line_end = text.find('\n').unwrap_or(text.len());
    let line_length = (line_end + 1).min(text.len());
    let line = text[..line_end].trim();
    if line.is_empty() || line.starts_with('#') {
        return Statement::Nothing { length: line_length };
    }
    let bad = Statement::Bad { length: line_length };
    let Some(separator) = text[..line_end].find(['=', ':']) else { return bad };
    let name = text[..separator].trim();
    let name =
        name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(name).trim();
    if !is_name(name) {
        return bad;
    }
    let after = &text[separator + 1..];
    let blank = after.len() - after.trim_start_matches([' ', '\t']).len();
    let start = separator + 1 + blank;
    match text[start..].chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let body = &text[start + 1..];
            let Some(close) = closing_quote(body, quote) else { return bad };
            let end = start + 1 + close + 1;
            // Whatever follows the closing quote on its line is a comment or noise.
            let length = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
            let body = &body[..close];
            let value = if quote == '"' { Value::Quoted(body) } else { Value::Literal(body) };
            Statement::Assignment { name, value, length }
        }
        _ => {
            let raw = &text[start.min(line_end)..line_end];
            let value = match comment_start(raw) {
                Some(at) => &raw[..at],
                None => raw,
            };
            Statement::Assignment { name, value: Value::Plain(value.trim()), length: line_length }
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn closing_quote(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            return Some(at);
        }
    }
    None
}

/// A `#` begins a comment at the start of a value or after a blank.
fn comment_start(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    (0..bytes.len()).find(|&at| bytes[at] == b'#' && (at == 0 || matches!(bytes[at - 1], b' ' | b'\t')))
}

/// Resolves `$NAME` and `${NAME}`; an unknown name is empty. `\$` stays a dollar sign, and between
/// double quotes `\n`, `\r`, `\t`, `\"` and `\\` are understood too.
fn expand(
    text: &str,
    escapes: bool,
    earlier: &[(String, String)],
    outer: &impl Fn(&str) -> Option<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '$']) {
        out.push_str(&rest[..at]);
        let special = &rest[at..];
        if let Some(escaped) = special.strip_prefix('\\') {
            let replacement = match escaped.chars().next() {
                Some('$') => Some('$'),
                Some('n') if escapes => Some('\n'),
                Some('r') if escapes => Some('\r'),
                Some('t') if escapes => Some('\t'),
                Some(c @ ('"' | '\\')) if escapes => Some(c),
                _ => None,
            };
            // Every character that may follow is one byte long.
            (out, rest) = match replacement {
                Some(c) => (out + c.encode_utf8(&mut [0; 4]), &escaped[1..]),
                None => (out + "\\", escaped),
            };
            continue;
        }
        let Some((name, length)) = variable(special) else {
            out.push('$');
            rest = &special[1..];
            continue;
        };
        let inner = earlier.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        out.push_str(&inner.or_else(|| outer(name)).unwrap_or_default());
        rest = &special[length..];
    }
    out.push_str(rest);
    out
}

/// The name after a `$` and the length of the whole reference.
fn variable(text: &str) -> Option<(&str, usize)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(braced) = text.strip_prefix("${") {
        let end = braced.find('}')?;
        let name = &braced[..end];
        return (!name.is_empty() && name.chars().all(is_part)).then_some((name, end + 3));
    }
    let name = &text[1..];
    let end = name.find(|c: char| !is_part(c)).unwrap_or(name.len());
    let name = &name[..end];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some((name, end + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn variables(text: &str) -> Vec<(String, String)> {
        parse(text, |name| (name == "OUTER").then(|| "outside".to_owned())).variables
    }

    fn value(text: &str) -> String {
        let mut found = variables(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0).1
    }

    #[test]
    fn plain_values_lose_blanks_and_comments() {
        assert_eq!(value("A=b"), "b");
        assert_eq!(value("  export A =  b c  # comment\r\n"), "b c");
        assert_eq!(value("A: b"), "b");
        assert_eq!(value("A=b#c"), "b#c");
        assert_eq!(value("A=#c"), "");
        assert_eq!(value("A="), "");
        assert_eq!(value("\u{feff}A=1"), "1");
        assert_eq!(value("A=postgres://u:p@h/d?x=1"), "postgres://u:p@h/d?x=1");
    }

    #[test]
    fn quotes_keep_what_is_between_them() {
        assert_eq!(value(r#"A="b # c" # d"#), "b # c");
        assert_eq!(value(r#"A="b\n\"c\" \$D \x""#), "b\n\"c\" $D \\x");
        assert_eq!(value("A='b\\n $OUTER'"), "b\\n $OUTER");
        assert_eq!(value("A=\"two\nlines\"\n"), "two\nlines");
    }

    #[test]
    fn variables_are_taken_from_the_file_then_from_outside() {
        let found = variables("A=1\nB=${A}$OUTER\nC=\"x${MISSING}y\"\nD=$ $1 ${a-b}\n");
        let values: Vec<&str> = found.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["1", "1outside", "xy", "$ $1 ${a-b}"]);
    }

    #[test]
    fn lines_that_are_no_assignment_are_reported_and_left_out() {
        let parsed = parse("A=1\nwhat is this\n\nB=\"open\nC=2", |_| None);
        assert_eq!(parsed.bad_lines, [2, 4]);
        let names: Vec<&str> = parsed.variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["A", "C"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).*") {
            parse(&text, |_| None);
        }

        #[test]
        fn single_quoted_text_survives(text in "[^']*") {
            let written = format!("A='{text}'\nB=1\n");
            let parsed = parse(&written, |_| None);
            prop_assert_eq!(&parsed.variables[0].1, &text);
            prop_assert_eq!(parsed.variables.len(), 2);
        }

        #[test]
        fn double_quoted_text_survives_with_escapes(text in "[^\r]*") {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
            let written = format!("A=\"{escaped}\"");
            prop_assert_eq!(value(&written), text);
        }
    }
}
