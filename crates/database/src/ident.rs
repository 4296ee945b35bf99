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
