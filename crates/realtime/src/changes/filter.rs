//! The grammar of filters: `column=operator.value`, several joined by commas.
//!
//! Realtime 2.51 knows one filter an entry and seven operators; later releases split at top-level commas, quote values
//! and know more operators and `not.`. A value with a comma that is not quoted, which only the former grammar can mean
//! (`name=eq.a,b`), is still read as one.

use std::fmt;

/// What a column is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
    In,
    Like,
    ILike,
    Is,
    Match,
    IMatch,
    IsDistinct,
}

impl Operator {
    const ALL: [Operator; 13] = [
        Operator::Eq,
        Operator::Neq,
        Operator::Lt,
        Operator::Lte,
        Operator::Gt,
        Operator::Gte,
        Operator::In,
        Operator::Like,
        Operator::ILike,
        Operator::Is,
        Operator::Match,
        Operator::IMatch,
        Operator::IsDistinct,
    ];

    /// Its name in a filter.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operator::Eq => "eq",
            Operator::Neq => "neq",
            Operator::Lt => "lt",
            Operator::Lte => "lte",
            Operator::Gt => "gt",
            Operator::Gte => "gte",
            Operator::In => "in",
            Operator::Like => "like",
            Operator::ILike => "ilike",
            Operator::Is => "is",
            Operator::Match => "match",
            Operator::IMatch => "imatch",
            Operator::IsDistinct => "isdistinct",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.name() == name)
    }
}

/// One condition, not yet checked against the column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) column: Box<str>,
    pub(crate) operator: Operator,
    /// The operand; for `in` an array in PostgreSQL's notation.
    pub(crate) value: Box<str>,
    /// `not.`
    pub(crate) negate: bool,
}

/// Why a filter is none, in the original's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FilterError {
    /// A segment that is not `column=operator.value`: its parts as far as it could be split.
    Shape(Vec<String>),
    /// The list of `in` is not in parentheses.
    Parentheses,
    /// Nothing between two commas.
    Empty,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterError::Shape(parts) => {
                f.write_str("[")?;
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{}", super::params::inspected(part))?;
                }
                f.write_str("]")
            }
            FilterError::Parentheses => f.write_str("`in` filter value must be wrapped by parentheses"),
            FilterError::Empty => {
                f.write_str("filter must not contain empty segments (check for extra commas)")
            }
        }
    }
}

/// Reads the conditions of a filter, all of which have to hold. A blank one has none.
pub(crate) fn parse(text: &str) -> Result<Vec<Filter>, FilterError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let segments = split(text);
    let parsed: Result<Vec<Filter>, FilterError> =
        segments.iter().map(|segment| parse_one(segment)).collect();
    match parsed {
        Err(FilterError::Shape(_)) if segments.len() > 1 && only_the_first_is_a_filter(&segments) => {
            parse_one(text).map(|filter| vec![filter])
        }
        other => other,
    }
}

/// Whether what follows the first comma can only be the rest of its value.
fn only_the_first_is_a_filter(segments: &[&str]) -> bool {
    segments.iter().skip(1).all(|segment| !segment.trim().is_empty() && !segment.contains('='))
}

/// Splits at commas outside of parentheses and quotes. A quote opens only where a value can begin.
fn split(text: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let (mut begin, mut depth, mut quoted, mut escaped) = (0, 0usize, false, false);
    let mut before = '\0';
    for (at, character) in text.char_indices() {
        if quoted {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
        } else {
            match character {
                '"' if matches!(before, '.' | '(' | ',') => quoted = true,
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    segments.push(&text[begin..at]);
                    begin = at + 1;
                }
                _ => {}
            }
        }
        before = character;
    }
    segments.push(&text[begin..]);
    segments
}

fn parse_one(segment: &str) -> Result<Filter, FilterError> {
    let segment = segment.trim();
    if segment.is_empty() {
        return Err(FilterError::Empty);
    }
    let shape = |parts: &[&str]| FilterError::Shape(parts.iter().map(|part| (*part).to_owned()).collect());
    let Some((column, rest)) = segment.split_once('=') else { return Err(shape(&[segment])) };
    let (negate, condition) = match rest.strip_prefix("not.") {
        Some(condition) => (true, condition),
        None => (false, rest),
    };
    let Some((name, value)) = condition.split_once('.') else { return Err(shape(&[condition])) };
    let Some(operator) = Operator::of(name) else { return Err(shape(&[name, value])) };
    let value = match operator {
        Operator::In => match value.strip_prefix('(').and_then(|value| value.strip_suffix(')')) {
            Some(list) => format!("{{{list}}}").into(),
            None => return Err(FilterError::Parentheses),
        },
        _ => unquoted(value),
    };
    Ok(Filter { column: column.into(), operator, value, negate })
}

/// A value without its quotes. One whose quotes do not match is taken as it is.
fn unquoted(value: &str) -> Box<str> {
    let Some(rest) = value.strip_prefix('"') else { return value.into() };
    let mut text = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return text.into(),
            '"' => break,
            '\\' => match characters.next() {
                Some(escaped) => text.push(escaped),
                None => break,
            },
            other => text.push(other),
        }
    }
    value.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn filter(column: &str, operator: Operator, value: &str, negate: bool) -> Filter {
        Filter { column: column.into(), operator, value: value.into(), negate }
    }

    #[test]
    fn conditions_are_read_in_both_grammars() {
        let cases = [
            ("", vec![]),
            ("  ", vec![]),
            ("id=eq.1", vec![filter("id", Operator::Eq, "1", false)]),
            ("name=eq.a.b=c", vec![filter("name", Operator::Eq, "a.b=c", false)]),
            ("id=in.(1,2)", vec![filter("id", Operator::In, "{1,2}", false)]),
            ("id=not.in.(1,2)", vec![filter("id", Operator::In, "{1,2}", true)]),
            (
                "id=gt.0, name=like.a%",
                vec![filter("id", Operator::Gt, "0", false), filter("name", Operator::Like, "a%", false)],
            ),
            (
                r#"name=eq."a,\"b",id=is.null"#,
                vec![filter("name", Operator::Eq, "a,\"b", false), filter("id", Operator::Is, "null", false)],
            ),
            (r#"name=in.("a,b",c)"#, vec![filter("name", Operator::In, r#"{"a,b",c}"#, false)]),
            // The grammar of one filter.
            ("name=eq.a,b", vec![filter("name", Operator::Eq, "a,b", false)]),
            (r#"name=eq.say "hi""#, vec![filter("name", Operator::Eq, r#"say "hi""#, false)]),
            (r#"name=eq."open"#, vec![filter("name", Operator::Eq, r#""open"#, false)]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_in_the_originals_words() {
        let cases = [
            ("undefined", r#"["undefined"]"#),
            ("subject=like2.hey", r#"["like2", "hey"]"#),
            ("subject=hey", r#"["hey"]"#),
            ("id=in.1,2", "`in` filter value must be wrapped by parentheses"),
            ("id=eq.1,,id=eq.2", "filter must not contain empty segments (check for extra commas)"),
            ("id=eq.1,", "filter must not contain empty segments (check for extra commas)"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z=.,()\"\\\\ é]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[^\0]{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let parsed = parse(&format!("name=eq.\"{quoted}\",id=eq.1")).unwrap();
            prop_assert_eq!(&parsed[0], &filter("name", Operator::Eq, &value, false));
        }
    }
}
