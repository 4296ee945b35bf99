//! A filter that was checked against its column's type, and whether values pass it.
//!
//! What can be decided by text is decided here. The rest (collations, patterns, types of extensions) is left to the
//! server's own operators, which are asked once for a whole batch.

use std::cmp::Ordering;
use std::sync::Arc;

use super::filter::Operator;
use super::like;
use super::row::Field;

/// How two values of a type, in the text that its output function makes, can be compared without the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Whole numbers.
    Integer,
    /// `numeric`: digits.
    Numeric,
    /// Equal text is an equal value, and the order of texts is the order of values (`uuid`, `bool`).
    Ordered,
    /// Dates and times in ISO form: as `Ordered`, for the years that have four digits.
    Chronological,
    /// Equal text is an equal value; the order depends on a collation.
    Text,
    /// Equal text is an equal value; the order is the server's business (enumerations).
    Equal,
    /// Nothing is known.
    Opaque,
}

/// A condition on one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Predicate {
    pub(crate) column: Box<str>,
    pub(crate) operator: Operator,
    pub(crate) negate: bool,
    pub(crate) comparison: Comparison,
    /// The operand as its type's output function writes it; for `in` the elements.
    pub(crate) operands: Box<[Box<str>]>,
    /// The same for the server.
    pub(crate) question: Arc<Question>,
}

/// How the server is asked whether values pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// The type's quoted name.
    pub(crate) type_name: Box<str>,
    pub(crate) operator: Operator,
    /// The operand as the client wrote it.
    pub(crate) value: Box<str>,
}

/// What a predicate says of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// The server has to be asked about this value.
    Ask,
}

impl From<bool> for Verdict {
    fn from(pass: bool) -> Self {
        if pass { Verdict::Pass } else { Verdict::Fail }
    }
}

impl Predicate {
    /// Judges a value; `None` is a column that the log does not tell, which passes nothing.
    pub(crate) fn judge(&self, field: Option<Field<'_>>) -> Verdict {
        let Some(field) = field else { return Verdict::Fail };
        let Some(text) = field.text() else {
            // Only two operators see a null; all others answer null, which is not true, negated or not.
            return Verdict::from(match self.operator {
                Operator::Is => (self.is_null() || &*self.question.value == "unknown") != self.negate,
                Operator::IsDistinct => !self.negate,
                _ => false,
            });
        };
        let outcome = match self.operator {
            Operator::Is => Some(match &*self.question.value {
                "true" => text == "t",
                "false" => text == "f",
                _ => false,
            }),
            Operator::Eq => self.equals(text),
            Operator::Neq | Operator::IsDistinct => self.equals(text).map(|equal| !equal),
            Operator::In => self.operands.iter().try_fold(false, |found, operand| {
                Some(found || self.comparison.compare_equal(text, operand)?)
            }),
            Operator::Lt => self.order(text).map(Ordering::is_lt),
            Operator::Lte => self.order(text).map(Ordering::is_le),
            Operator::Gt => self.order(text).map(Ordering::is_gt),
            Operator::Gte => self.order(text).map(Ordering::is_ge),
            Operator::Like
                if self.comparison == Comparison::Text && !like::ends_in_escape(&self.question.value) =>
            {
                Some(like::like(text, &self.question.value, Some('\\')))
            }
            Operator::Like | Operator::ILike | Operator::Match | Operator::IMatch => None,
        };
        outcome.map_or(Verdict::Ask, |holds| Verdict::from(holds != self.negate))
    }

    /// The texts of which one must be the column's value, if that is all there is to this predicate.
    pub(crate) fn exact(&self) -> Option<&[Box<str>]> {
        let comparable = !matches!(self.comparison, Comparison::Numeric | Comparison::Opaque);
        (comparable && !self.negate && matches!(self.operator, Operator::Eq | Operator::In))
            .then_some(&*self.operands)
    }

    fn is_null(&self) -> bool {
        &*self.question.value == "null"
    }

    fn equals(&self, text: &str) -> Option<bool> {
        self.comparison.compare_equal(text, self.operands.first()?)
    }

    fn order(&self, text: &str) -> Option<Ordering> {
        self.comparison.compare(text, self.operands.first()?)
    }
}

impl Comparison {
    fn compare_equal(self, a: &str, b: &str) -> Option<bool> {
        match self {
            Comparison::Opaque => None,
            Comparison::Numeric => self.compare(a, b).map(Ordering::is_eq),
            _ => Some(a == b),
        }
    }

    fn compare(self, a: &str, b: &str) -> Option<Ordering> {
        match self {
            Comparison::Integer => Some(a.parse::<i64>().ok()?.cmp(&b.parse().ok()?)),
            Comparison::Numeric => compare_numeric(a, b),
            Comparison::Ordered => Some(a.cmp(b)),
            Comparison::Chronological if plain_date(a) && plain_date(b) => Some(a.cmp(b)),
            Comparison::Chronological if a == b => Some(Ordering::Equal),
            Comparison::Chronological | Comparison::Text | Comparison::Equal | Comparison::Opaque => None,
        }
    }
}

/// A date or time whose text sorts as it does itself: a year of four digits of our era.
fn plain_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && !text.ends_with('C')
}

/// Compares decimal numbers of any length. `None` for what is not made of digits (`NaN`, infinity).
fn compare_numeric(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (Decimal::parse(a)?, Decimal::parse(b)?);
    Some(match (a.negative, b.negative) {
        (false, false) => a.magnitude(&b),
        (true, true) => b.magnitude(&a),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        // There is no negative zero.
        Some(Decimal { negative: negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let length = self.whole.len().cmp(&other.whole.len());
        length.then_with(|| self.whole.cmp(other.whole)).then_with(|| self.fraction.cmp(other.fraction))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn predicate(operator: Operator, comparison: Comparison, operands: &[&str], negate: bool) -> Predicate {
        let value = operands.first().copied().unwrap_or("");
        Predicate {
            column: "c".into(),
            operator,
            negate,
            comparison,
            operands: operands.iter().map(|operand| (*operand).into()).collect(),
            question: Arc::new(Question { type_name: "t".into(), operator, value: value.into() }),
        }
    }

    #[test]
    fn a_null_passes_nothing_but_questions_about_nulls() {
        use Operator::{Eq, Is, IsDistinct, Neq};
        let judge = |operator, operand, negate| {
            predicate(operator, Comparison::Text, &[operand], negate).judge(Some(Field::Null))
        };
        assert_eq!(judge(Eq, "a", false), Verdict::Fail);
        assert_eq!(judge(Neq, "a", false), Verdict::Fail);
        assert_eq!(judge(Eq, "a", true), Verdict::Fail);
        assert_eq!(judge(IsDistinct, "a", false), Verdict::Pass);
        assert_eq!(judge(IsDistinct, "a", true), Verdict::Fail);
        assert_eq!(judge(Is, "null", false), Verdict::Pass);
        assert_eq!(judge(Is, "null", true), Verdict::Fail);
        assert_eq!(judge(Is, "unknown", false), Verdict::Pass);
        assert_eq!(judge(Is, "true", true), Verdict::Pass);
        // A column that is not there is another matter: nothing passes.
        assert_eq!(predicate(Is, Comparison::Text, &["null"], false).judge(None), Verdict::Fail);
    }

    #[test]
    fn what_text_cannot_decide_is_asked() {
        use Comparison::{Chronological, Equal, Integer, Numeric, Opaque, Ordered, Text};
        use Operator::{Eq, Gt, ILike, In, Like, Lt, Match};
        use Verdict::{Ask, Fail, Pass};
        let cases = [
            (Lt, Integer, "9", "10", Pass),
            (Gt, Integer, "-1", "-2", Pass),
            (Eq, Numeric, "1.0", "1.00", Pass),
            (Lt, Numeric, "-10.5", "-10.4", Pass),
            (Gt, Numeric, "NaN", "1", Ask),
            (Eq, Text, "a", "a", Pass),
            (Lt, Text, "a", "b", Ask),
            (Like, Text, "abc", "a%", Pass),
            (Like, Equal, "abc", "a%", Ask),
            (ILike, Text, "abc", "A%", Ask),
            (Match, Text, "abc", "^a", Ask),
            (Lt, Chronological, "2024-01-02 03:04:05+00", "2024-01-02 03:04:05.5+00", Pass),
            (Lt, Chronological, "2024-01-02", "infinity", Ask),
            (Lt, Chronological, "0044-03-15 BC", "2024-01-02", Ask),
            (Eq, Chronological, "infinity", "infinity", Pass),
            (Lt, Ordered, "f", "t", Pass),
            (Lt, Equal, "a", "b", Ask),
            (Eq, Opaque, "a", "a", Ask),
            (In, Integer, "3", "4", Fail),
        ];
        for (operator, comparison, value, operand, expected) in cases {
            let found = predicate(operator, comparison, &[operand], false).judge(Some(Field::Text(value)));
            assert_eq!(found, expected, "{value} {operator:?} {operand} as {comparison:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_compare_by_value(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000, scale in 0u32..4) {
            let text = |number: i64| {
                let sign = if number < 0 { "-" } else { "" };
                let (whole, rest) = (number.abs() / 10i64.pow(scale), number.abs() % 10i64.pow(scale));
                if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:0width$}", width = scale as usize) }
            };
            prop_assert_eq!(compare_numeric(&text(a), &text(b)), Some(a.cmp(&b)));
        }
    }
}
