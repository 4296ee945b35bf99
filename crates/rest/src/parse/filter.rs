//! Filters, logic trees and order terms.

use super::ast::{
    Condition, Direction, Field, Filter, FullText, IsValue, Logic, LogicOperator, Nulls, Operation,
    OrderTerm, Path, QuantOperator, Quantifier, SimpleOperator,
};
use super::grammar::{delimiter, field, identifier, lexeme, name, quoted};
use super::scan::{Failed, Scan, Scanned};

const SIMPLE: [(&str, &str, SimpleOperator); 9] = [
    ("neq", "\"neq\"", SimpleOperator::NotEqual),
    ("cs", "\"cs\"", SimpleOperator::Contains),
    ("cd", "\"cd\"", SimpleOperator::Contained),
    ("ov", "\"ov\"", SimpleOperator::Overlap),
    ("sl", "\"sl\"", SimpleOperator::StrictlyLeft),
    ("sr", "\"sr\"", SimpleOperator::StrictlyRight),
    ("nxr", "\"nxr\"", SimpleOperator::NotExtendsRight),
    ("nxl", "\"nxl\"", SimpleOperator::NotExtendsLeft),
    ("adj", "\"adj\"", SimpleOperator::Adjacent),
];

const QUANTIFIED: [(&str, &str, QuantOperator); 9] = [
    ("eq", "\"eq\"", QuantOperator::Equal),
    ("gte", "\"gte\"", QuantOperator::GreaterEqual),
    ("gt", "\"gt\"", QuantOperator::Greater),
    ("lte", "\"lte\"", QuantOperator::LessEqual),
    ("lt", "\"lt\"", QuantOperator::Less),
    ("like", "\"like\"", QuantOperator::Like),
    ("ilike", "\"ilike\"", QuantOperator::ILike),
    ("match", "\"match\"", QuantOperator::Match),
    ("imatch", "\"imatch\"", QuantOperator::IMatch),
];

/// How the value at the end of a condition is read.
type Value = for<'a> fn(&mut Scan<'a>) -> Scanned<String>;

/// `[not.]operator.value`
pub(super) fn condition(scan: &mut Scan<'_>, value: Value) -> Scanned<Condition> {
    let negated = scan
        .attempt(|s| {
            s.word("not", "\"not\"")?;
            delimiter(s)
        })
        .is_ok();
    let operation = scan.labelled("operator (eq, gt, ...)", |s| operation(s, value))?;
    Ok(Condition { negated, operation })
}

/// `operator.value` for an operator that stands alone. Loud scans never go this way.
fn swift(scan: &mut Scan<'_>, value: Value) -> Scanned<Operation> {
    let Some(word) = scan.swift_word(|next| next == Some(b'.')) else { return scan.refuse() };
    if let Some((.., operator)) = QUANTIFIED.iter().find(|(name, ..)| *name == word) {
        delimiter(scan)?;
        return Ok(Operation::Quant(*operator, None, value(scan)?));
    }
    let Some((.., operator)) = SIMPLE.iter().find(|(name, ..)| *name == word) else { return scan.refuse() };
    delimiter(scan)?;
    Ok(Operation::Simple(*operator, value(scan)?))
}

fn operation(scan: &mut Scan<'_>, value: Value) -> Scanned<Operation> {
    if let Ok(operation) = scan.attempt(|s| swift(s, value)) {
        return Ok(operation);
    }
    if scan.attempt(|s| s.word("in", "\"in\"").and_then(|()| delimiter(s))).is_ok() {
        return list(scan).map(Operation::In);
    }
    if scan.attempt(|s| s.word("is", "\"is\"").and_then(|()| delimiter(s))).is_ok() {
        return is_value(scan).map(Operation::Is);
    }
    if scan.attempt(|s| s.word("isdistinct", "\"isdistinct\"").and_then(|()| delimiter(s))).is_ok() {
        return value(scan).map(Operation::IsDistinct);
    }
    if let Ok(operation) = scan.attempt(|s| full_text(s, value)) {
        return Ok(operation);
    }
    if let Ok(operation) = scan.attempt(|s| simple(s, value)) {
        return Ok(operation);
    }
    scan.attempt(|s| quantified(s, value))
}

/// Picks the first of some words.
fn choose<T: Copy>(scan: &mut Scan<'_>, words: &[(&'static str, &'static str, T)]) -> Scanned<T> {
    for (word, shown, value) in words {
        if scan.attempt(|s| s.word(word, shown)).is_ok() {
            return Ok(*value);
        }
    }
    Err(Failed)
}

fn full_text(scan: &mut Scan<'_>, value: Value) -> Scanned<Operation> {
    let kind = choose(
        scan,
        &[
            ("fts", "\"fts\"", FullText::Query),
            ("plfts", "\"plfts\"", FullText::Plain),
            ("phfts", "\"phfts\"", FullText::Phrase),
            ("wfts", "\"wfts\"", FullText::Websearch),
        ],
    )?;
    let language = scan
        .attempt(|s| {
            s.character('(', "\"(\"")?;
            let language = identifier(s)?;
            s.character(')', "\")\"")?;
            Ok(language)
        })
        .ok();
    delimiter(scan)?;
    Ok(Operation::FullText(kind, language, value(scan)?))
}

fn simple(scan: &mut Scan<'_>, value: Value) -> Scanned<Operation> {
    let operator = choose(scan, &SIMPLE)?;
    delimiter(scan)?;
    Ok(Operation::Simple(operator, value(scan)?))
}

fn quantified(scan: &mut Scan<'_>, value: Value) -> Scanned<Operation> {
    let operator = choose(scan, &QUANTIFIED)?;
    let quantifier = scan
        .attempt(|s| {
            s.character('(', "\"(\"")?;
            let quantifier = if s.attempt(|s| s.word("any", "\"any\"")).is_ok() {
                Quantifier::Any
            } else {
                s.word("all", "\"all\"")?;
                Quantifier::All
            };
            s.character(')', "\")\"")?;
            Ok(quantifier)
        })
        .ok();
    delimiter(scan)?;
    Ok(Operation::Quant(operator, quantifier, value(scan)?))
}

fn is_value(scan: &mut Scan<'_>) -> Scanned<IsValue> {
    scan.labelled("isVal: (null, not_null, true, false, unknown)", |s| {
        let rest = s.rest().as_bytes();
        let words = [
            ("null", IsValue::Null),
            ("not_null", IsValue::NotNull),
            ("true", IsValue::True),
            ("false", IsValue::False),
            ("unknown", IsValue::Unknown),
        ];
        let found = words.into_iter().find(|(word, _)| {
            rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
        });
        match found {
            Some((word, value)) => {
                for _ in 0..word.len() {
                    s.any()?;
                }
                Ok(value)
            }
            None => {
                // As far as any of the words goes.
                let alike = |word: &str| {
                    rest.iter().zip(word.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
                };
                s.unexpected(words.iter().map(|(word, _)| alike(word)).max().unwrap_or(0))
            }
        }
    })
}

/// The rest of the text, as it is.
pub(super) fn verbatim(scan: &mut Scan<'_>) -> Scanned<String> {
    Ok(scan.take_while(&[], |_| true).to_owned())
}

fn list(scan: &mut Scan<'_>) -> Scanned<Vec<String>> {
    lexeme(scan, |s| s.character('(', "\"(\""))?;
    let mut elements = vec![element(scan)?];
    while scan.optional(|s| s.character(',', "\",\""))?.is_some() {
        elements.push(element(scan)?);
        scan.clear();
    }
    lexeme(scan, |s| s.character(')', "\")\""))?;
    Ok(elements)
}

fn element(scan: &mut Scan<'_>) -> Scanned<String> {
    match scan.attempt(quoted_element) {
        Ok(value) => Ok(value),
        Err(Failed) => Ok(scan.take_while(&[], |c| c != ',' && c != ')').to_owned()),
    }
}

fn quoted_element(scan: &mut Scan<'_>) -> Scanned<String> {
    let value = quoted(scan)?;
    scan.not_followed_by(None, |c| c != ',' && c != ')')?;
    Ok(value)
}

/// A value inside `and(…)`: quoted, an array without inner braces, or up to the next `,` or `)`.
fn logic_value(scan: &mut Scan<'_>) -> Scanned<String> {
    if let Ok(value) = scan.attempt(quoted_element) {
        return Ok(value);
    }
    let array = scan.attempt(|s| {
        let start = s.position();
        s.character('{', "\"{\"")?;
        s.take_while(&[], |c| c != '{' && c != '}');
        s.character('}', "\"}\"")?;
        Ok(s.since(start).to_owned())
    });
    match array {
        Ok(value) => Ok(value),
        Err(Failed) => Ok(scan.take_while(&[], |c| c != ',' && c != ')').to_owned()),
    }
}

/// `and(…)`, `or(…)`, or one filter.
pub(super) fn logic(scan: &mut Scan<'_>) -> Scanned<Logic> {
    let filter = scan.attempt(|s| {
        let field = field(s)?;
        delimiter(s)?;
        Ok(Filter { field, condition: condition(s, logic_value)? })
    });
    if let Ok(filter) = filter {
        return Ok(Logic::Filter(filter));
    }
    let negated = scan.labelled("negation operator (not)", |s| {
        Ok(s.attempt(|s| s.word("not", "\"not\"").and_then(|()| delimiter(s))).is_ok())
    })?;
    let operator = scan.labelled("logic operator (and, or)", |s| {
        if s.attempt(|s| s.word("and", "\"and\"")).is_ok() {
            return Ok(LogicOperator::And);
        }
        s.word("or", "\"or\"").map(|()| LogicOperator::Or)
    })?;
    lexeme(scan, |s| s.character('(', "\"(\""))?;
    let members = scan.nested(|s| s.separated(logic, |s| lexeme(s, |s| s.character(',', "\",\""))))?;
    lexeme(scan, |s| s.character(')', "\")\""))?;
    Ok(Logic::Group { negated, operator, members })
}

/// The key of a logic tree: the embed it applies to, and the operator as it is to be put before the value.
pub(super) fn logic_path(scan: &mut Scan<'_>) -> Scanned<(Path, String)> {
    let mut words = scan.separated(name, delimiter)?;
    let negated = words.iter().any(|word| word == "not");
    let Some(operator) = words.pop() else { return scan.refuse() };
    words.retain(|word| word != "not");
    Ok((words, if negated { format!("not.{operator}") } else { operator }))
}

/// `term { "," term }`
pub(super) fn order(scan: &mut Scan<'_>) -> Scanned<Vec<OrderTerm>> {
    scan.separated(|s| lexeme(s, order_term), |s| s.character(',', "\",\""))
}

fn order_term(scan: &mut Scan<'_>) -> Scanned<OrderTerm> {
    // What follows a related term decides whether it was one.
    let related = scan.attempt(|s| {
        let relation = name(s)?;
        s.character('(', "\"(\"")?;
        let field = field(s)?;
        s.character(')', "\")\"")?;
        ordered(s, Some(relation), field)
    });
    match related {
        Ok(term) => Ok(term),
        Err(Failed) => {
            let field = field(scan)?;
            ordered(scan, None, field)
        }
    }
}

/// What follows the column in a term of an order.
fn ordered(scan: &mut Scan<'_>, relation: Option<String>, field: Field) -> Scanned<OrderTerm> {
    let direction = if scan.attempt(|s| delimiter(s).and_then(|()| s.word("asc", "\"asc\""))).is_ok() {
        Some(Direction::Asc)
    } else if scan.attempt(|s| delimiter(s).and_then(|()| s.word("desc", "\"desc\""))).is_ok() {
        Some(Direction::Desc)
    } else {
        None
    };
    let nulls =
        if scan.attempt(|s| delimiter(s).and_then(|()| s.word("nullsfirst", "\"nullsfirst\""))).is_ok() {
            Some(Nulls::First)
        } else if scan.attempt(|s| delimiter(s).and_then(|()| s.word("nullslast", "\"nullslast\""))).is_ok() {
            Some(Nulls::Last)
        } else {
            None
        };
    if scan.attempt(|s| s.look_ahead(|s| s.character(',', "\",\""))).is_err() {
        scan.attempt(Scan::end)?;
    }
    Ok(OrderTerm { relation, field, direction, nulls })
}
