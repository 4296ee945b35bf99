//! Quoting of identifiers and literals, for the few statements that cannot take parameters.

/// An identifier in double quotes, always: `a"b` becomes `"a""b"`.
///
/// A NUL character cannot be part of an identifier; everything from it on is left out, as the server would.
pub fn quote_ident(name: &str) -> String {
    let name = name.split('\0').next().unwrap_or("");
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for character in name.chars() {
        if character == '"' {
            quoted.push('"');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// `schema.name`, both quoted.
pub fn quote_qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// A string literal that means the same whatever `standard_conforming_strings` is.
///
/// Backslashes turn it into the ` E''` form, with a leading space so that it cannot merge with a word before it.
pub fn quote_literal(text: &str) -> String {
    let text = text.split('\0').next().unwrap_or("");
    let escape = text.contains('\\');
    let mut quoted = String::with_capacity(text.len() + 4);
    if escape {
        quoted.push_str(" E");
    }
    quoted.push('\'');
    for character in text.chars() {
        if character == '\'' || (escape && character == '\\') {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{quote_ident, quote_literal};

    #[test]
    fn quotes_are_doubled_and_backslashes_escaped() {
        assert_eq!(quote_ident(r#"a"b"#), r#""a""b""#);
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"a\b'c"), r" E'a\\b''c'");
        assert_eq!(quote_ident("cut\0here"), r#""cut""#);
    }

    /// What the server's lexer makes of it.
    fn read_back(quoted: &str, quote: char, escapes: bool) -> Option<String> {
        let body = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
        let mut text = String::new();
        let mut characters = body.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' if escapes => text.push(characters.next()?),
                same if same == quote => {
                    if characters.next()? != quote {
                        return None;
                    }
                    text.push(quote);
                }
                other => text.push(other),
            }
        }
        Some(text)
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(text in "[^\0]{0,20}|['\"\\\\]{0,6}") {
            let identifier = read_back(&quote_ident(&text), '"', false);
            prop_assert_eq!(identifier.as_deref(), Some(text.as_str()));
            let literal = quote_literal(&text);
            let back = match literal.strip_prefix(" E") {
                Some(escaped) => read_back(escaped, '\'', true),
                None => read_back(&literal, '\'', false),
            };
            prop_assert_eq!(back.as_deref(), Some(text.as_str()));
        }
    }
}
