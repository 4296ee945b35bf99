//! The words that all parts of the query string share: names, fields, JSON paths, identifiers, quoted values.

use super::ast::{Field, JsonKey, JsonStep, Path};
use super::scan::{Failed, Scan, Scanned};

/// What a name is called in errors.
const FIELD_NAME: &str = "field name (* or [a..z0..9_$])";

/// `ws`: blanks between tokens.
pub(super) fn blanks(scan: &mut Scan<'_>) {
    scan.take_while(&[], |c| c == ' ' || c == '\t');
}

/// A parser with blanks around it.
pub(super) fn lexeme<'a, T>(
    scan: &mut Scan<'a>,
    parser: impl FnOnce(&mut Scan<'a>) -> Scanned<T>,
) -> Scanned<T> {
    blanks(scan);
    let value = parser(scan)?;
    blanks(scan);
    Ok(value)
}

fn is_identifier(c: char) -> bool {
    c.is_alphabetic() || c.is_ascii_digit() || matches!(c, '_' | ' ' | '$')
}

/// Letters, digits, `_`, `$` and blanks; trimmed. This is also the only text that is ever spliced into SQL as a type.
pub(super) fn identifier(scan: &mut Scan<'_>) -> Scanned<String> {
    scan.take_while1(&["letter", "digit"], is_identifier).map(|text| text.trim().to_owned())
}

/// `"…"` with `\` escapes.
pub(super) fn quoted(scan: &mut Scan<'_>) -> Scanned<String> {
    scan.character('"', "\"\\\"\"")?;
    let mut value = String::new();
    loop {
        value.push_str(scan.take_while(&["\"\\\\\""], |c| c != '"' && c != '\\'));
        match scan.peek() {
            Some('\\') => {
                scan.any()?;
                value.push(scan.any()?);
            }
            _ => {
                scan.character('"', "\"\\\"\"")?;
                return Ok(value);
            }
        }
    }
}

/// Words joined by `-`, where `->` ends the name.
fn dashed(scan: &mut Scan<'_>, mut word: impl FnMut(&mut Scan<'_>) -> Scanned<String>) -> Scanned<String> {
    let mut name = word(scan)?;
    loop {
        let dash = scan.attempt(|s| {
            s.character('-', "\"-\"")?;
            s.not_followed_by(Some("\">\""), |c| c == '>')
        });
        if dash.is_err() {
            return Ok(name);
        }
        name.push('-');
        name.push_str(&word(scan)?);
        scan.clear();
    }
}

/// The name of a column, a relation or an alias.
pub(super) fn name(scan: &mut Scan<'_>) -> Scanned<String> {
    scan.labelled(FIELD_NAME, |s| if s.peek() == Some('"') { quoted(s) } else { dashed(s, identifier) })
}

/// `{ (-> | ->>) key }`.
pub(super) fn json_path(scan: &mut Scan<'_>) -> Scanned<Vec<JsonStep>> {
    let mut path = Vec::new();
    loop {
        let text = if scan.attempt(|s| s.word("->>", "\"->>\"")).is_ok() {
            true
        } else if scan.attempt(|s| s.word("->", "\"->\"")).is_ok() {
            false
        } else {
            return Ok(path);
        };
        let key = match scan.attempt(json_index) {
            Ok(index) => JsonKey::Index(index),
            Err(Failed) => JsonKey::Name(scan.attempt(json_name)?),
        };
        path.push(if text { JsonStep::Text(key) } else { JsonStep::Json(key) });
        scan.clear();
    }
}

fn json_index(scan: &mut Scan<'_>) -> Scanned<String> {
    let negative = scan.optional(|s| s.character('-', "\"-\""))?.is_some();
    let digits = scan.take_while1(&["digit"], |c| c.is_ascii_digit())?;
    let index = format!("{}{digits}", if negative { '-' } else { '+' });
    for (end, shown) in [("->", "\"->\""), ("::", "\"::\""), (".", "\".\""), (",", "\",\"")] {
        if scan.attempt(|s| s.look_ahead(|s| s.word(end, shown))).is_ok() {
            return Ok(index);
        }
    }
    scan.attempt(Scan::end)?;
    Ok(index)
}

fn json_name(scan: &mut Scan<'_>) -> Scanned<String> {
    scan.labelled("any non reserved character different from: .,>()", |s| {
        if s.peek() == Some('"') {
            quoted(s)
        } else {
            dashed(s, |s| {
                s.take_while1(&[], |c| !matches!(c, '(' | '-' | ':' | '.' | ',' | '>' | ')'))
                    .map(|text| text.trim().to_owned())
            })
        }
    })
}

/// A name and the path into it, blanks around.
pub(super) fn field(scan: &mut Scan<'_>) -> Scanned<Field> {
    lexeme(scan, |s| Ok(Field { name: name(s)?, path: json_path(s)? }))
}

/// `.`
pub(super) fn delimiter(scan: &mut Scan<'_>) -> Scanned<()> {
    scan.labelled("delimiter (.)", |s| s.character('.', "\".\""))
}

/// A key of the query string: embeds, then the field.
pub(super) fn tree_path(scan: &mut Scan<'_>) -> Scanned<(Path, Field)> {
    if let Some(name) = scan.swift_word(|next| next.is_none()) {
        return Ok((Path::new(), Field { name: name.to_owned(), path: Vec::new() }));
    }
    let mut names = scan.separated(name, delimiter)?;
    let path = json_path(scan)?;
    match names.pop() {
        Some(name) => Ok((names, Field { name, path })),
        None => scan.refuse(),
    }
}

/// `name { "," name }`, as in `columns` and `on_conflict`.
pub(super) fn names(scan: &mut Scan<'_>) -> Scanned<Vec<String>> {
    scan.separated(name, |s| lexeme(s, |s| s.character(',', "\",\"")))
}
