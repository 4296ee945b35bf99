//! Columns, conditions and orders.

use std::borrow::Cow;

use crate::parse::ast::{
    Condition, Direction, FullText, IsValue, JsonKey, JsonStep, LogicOperator, Nulls, Operation,
    QuantOperator, Quantifier, SimpleOperator,
};
use crate::parse::range::RowRange;
use crate::plan::tree::{Column, JoinCondition, Logic, Order, Selected, Source};
use crate::sql::Sql;

/// A column, its JSON path applied, as a text search vector if that is asked for.
pub(super) fn field<'a>(sql: &mut Sql<'a>, source: &Source<'_>, column: &Column<'a>) {
    if let Some(language) = column.text_search {
        sql.push("to_tsvector(");
        full_text_language(sql, language);
    }
    if column.full_row {
        sql.identifier(&source.name);
    } else if column.path.is_empty() {
        sql.column(source, &column.name);
    } else if column.to_json {
        sql.push("to_jsonb(").column(source, &column.name).push(")");
        json_path(sql, column.path);
    } else {
        sql.column(source, &column.name);
        json_path(sql, column.path);
    }
    if column.text_search.is_some() {
        sql.push(")");
    }
}

fn json_path<'a>(sql: &mut Sql<'a>, path: &'a [JsonStep]) {
    for step in path {
        sql.push(match step {
            JsonStep::Json(_) => "->",
            JsonStep::Text(_) => "->>",
        });
        match step.key() {
            JsonKey::Name(name) => sql.value(name.as_str()),
            JsonKey::Index(index) => sql.value(index.as_str()).push("::int"),
        };
    }
}

/// A function that the catalogue named, applied to something.
fn transformed<'a>(sql: &mut Sql<'a>, transform: Option<&str>, inner: impl FnOnce(&mut Sql<'a>)) {
    match transform {
        Some(function) => {
            sql.trusted(function).push("(");
            inner(sql);
            sql.push(")");
        }
        None => inner(sql),
    }
}

fn cast<'a>(sql: &mut Sql<'a>, type_name: Option<&str>, inner: impl FnOnce(&mut Sql<'a>)) {
    match type_name {
        Some(type_name) => {
            // Not quoted, so that names such as `int` work. The parser let only letters, digits, `_`, `$` and blanks pass.
            sql.push("CAST( ");
            inner(sql);
            sql.push(" AS ").trusted(type_name).push(" )");
        }
        None => inner(sql),
    }
}

/// An aggregate over something, cast.
pub(super) fn aggregated<'a>(
    sql: &mut Sql<'a>,
    aggregate: Option<crate::parse::ast::Aggregate>,
    type_name: Option<&str>,
    inner: impl FnOnce(&mut Sql<'a>),
) {
    match aggregate {
        Some(aggregate) => cast(sql, type_name, |sql| {
            sql.push(aggregate.function()).push("(");
            inner(sql);
            sql.push(")");
        }),
        None => inner(sql),
    }
}

/// One item of a select list.
pub(super) fn selected<'a>(sql: &mut Sql<'a>, source: &Source<'_>, selected: &Selected<'a>) {
    aggregated(sql, selected.aggregate, selected.aggregate_cast, |sql| {
        cast(sql, selected.cast, |sql| {
            transformed(sql, selected.column.transform, |sql| field(sql, source, &selected.column));
        });
    });
    if let Some(alias) = &selected.alias {
        sql.push(" AS ").identifier(alias);
    }
}

/// An array literal: `{"a","b"}`.
pub(super) fn array_literal<S: AsRef<str>>(values: &[S]) -> String {
    let mut text = String::from("{");
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        for c in super::until_nul(value.as_ref()).chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
    }
    text.push('}');
    text
}

fn full_text_language<'a>(sql: &mut Sql<'a>, language: Option<&'a str>) {
    if let Some(language) = language {
        sql.value(language).push(", ");
    }
}

/// A condition.
pub(super) fn condition<'a>(
    sql: &mut Sql<'a>,
    source: &Source<'_>,
    column: &Column<'a>,
    condition: &'a Condition,
) {
    if condition.negated {
        sql.push("NOT ");
    }
    field(sql, source, column);
    match &condition.operation {
        Operation::Simple(operator, value) => {
            sql.push(simple_operator(*operator));
            transformed(sql, column.transform, |sql| {
                sql.value(value.as_str());
            });
        }
        Operation::Quant(operator, quantifier, value) => {
            sql.push(quant_operator(*operator));
            sql.push(match quantifier {
                Some(Quantifier::Any) => "ANY(",
                Some(Quantifier::All) => "ALL(",
                None => "",
            });
            if matches!(operator, QuantOperator::Like | QuantOperator::ILike) {
                sql.value(if value.contains('*') {
                    Cow::Owned(value.replace('*', "%"))
                } else {
                    Cow::Borrowed(value.as_str())
                });
            } else {
                transformed(sql, column.transform, |sql| {
                    sql.value(value.as_str());
                });
            }
            if quantifier.is_some() {
                sql.push(")");
            }
        }
        Operation::In(values) => match (values.as_slice(), column.transform) {
            ([only], _) if only.is_empty() => {
                sql.push(" = ANY('{}')");
            }
            (_, None) => {
                sql.push(" = ANY (").value(array_literal(values)).push(")");
            }
            (_, Some(function)) => {
                sql.push(" = ANY ((SELECT ").trusted(function).push("(unnest(");
                sql.value(array_literal(values)).push("::text[]))))");
            }
        },
        Operation::Is(value) => {
            sql.push(match value {
                IsValue::Null => " IS NULL",
                IsValue::NotNull => " IS NOT NULL",
                IsValue::True => " IS TRUE",
                IsValue::False => " IS FALSE",
                IsValue::Unknown => " IS UNKNOWN",
            });
        }
        Operation::IsDistinct(value) => {
            sql.push(" IS DISTINCT FROM ").value(value.as_str());
        }
        Operation::FullText(kind, language, value) => {
            sql.push(match kind {
                FullText::Query => " @@ to_tsquery(",
                FullText::Plain => " @@ plainto_tsquery(",
                FullText::Phrase => " @@ phraseto_tsquery(",
                FullText::Websearch => " @@ websearch_to_tsquery(",
            });
            full_text_language(sql, language.as_deref());
            sql.value(value.as_str()).push(")");
        }
    }
}

fn simple_operator(operator: SimpleOperator) -> &'static str {
    match operator {
        SimpleOperator::NotEqual => " <> ",
        SimpleOperator::Contains => " @> ",
        SimpleOperator::Contained => " <@ ",
        SimpleOperator::Overlap => " && ",
        SimpleOperator::StrictlyLeft => " << ",
        SimpleOperator::StrictlyRight => " >> ",
        SimpleOperator::NotExtendsRight => " &< ",
        SimpleOperator::NotExtendsLeft => " &> ",
        SimpleOperator::Adjacent => " -|- ",
    }
}

fn quant_operator(operator: QuantOperator) -> &'static str {
    match operator {
        QuantOperator::Equal => " = ",
        QuantOperator::GreaterEqual => " >= ",
        QuantOperator::Greater => " > ",
        QuantOperator::LessEqual => " <= ",
        QuantOperator::Less => " < ",
        QuantOperator::Like => " like ",
        QuantOperator::ILike => " ilike ",
        QuantOperator::Match => " ~ ",
        QuantOperator::IMatch => " ~* ",
    }
}

/// A tree of conditions. `embedded` writes the question whether an embed has rows.
pub(super) fn logic<'a>(
    sql: &mut Sql<'a>,
    source: &Source<'_>,
    tree: &Logic<'a>,
    embedded: &mut dyn FnMut(&mut Sql<'a>, bool, &str),
) {
    match tree {
        Logic::Group { negated, operator, members } => {
            sql.push(if *negated { "NOT (" } else { "(" });
            let separator = match operator {
                LogicOperator::And => " AND ",
                LogicOperator::Or => " OR ",
            };
            sql.list(members, separator, |sql, member| logic(sql, source, member, embedded));
            sql.push(")");
        }
        Logic::Filter { column, condition: of } => condition(sql, source, column, of),
        Logic::Embedded { exists, alias } => embedded(sql, *exists, alias),
    }
}

/// Whether an embed that was joined has rows.
pub(super) fn joined_embed(sql: &mut Sql<'_>, exists: bool, alias: &str) {
    sql.identifier(alias).push(if exists { " IS DISTINCT FROM NULL" } else { " IS NOT DISTINCT FROM NULL" });
}

/// `a.b = c.d`
pub(super) fn join_condition(sql: &mut Sql<'_>, join: &JoinCondition<'_>) {
    sql.column(&join.left.0, join.left.1).push(" = ").column(&join.right.0, join.right.1);
}

/// `ORDER BY …`
pub(super) fn order_by<'a>(sql: &mut Sql<'a>, source: &Source<'_>, terms: &[Order<'a>]) {
    if terms.is_empty() {
        return;
    }
    sql.push(" ORDER BY ").list(terms, ", ", |sql, term| {
        match &term.relation {
            Some(alias) => field(sql, &Source::alias(alias.as_ref()), &term.column),
            None => field(sql, source, &term.column),
        }
        sql.push(match term.direction {
            Some(Direction::Asc) => " ASC",
            Some(Direction::Desc) => " DESC",
            None => "",
        });
        sql.push(match term.nulls {
            Some(Nulls::First) => " NULLS FIRST",
            Some(Nulls::Last) => " NULLS LAST",
            None => "",
        });
    });
}

/// `LIMIT … OFFSET …`, as parameters, so that all windows share one statement.
pub(super) fn window(sql: &mut Sql<'_>, range: RowRange) {
    if range == RowRange::ALL {
        return;
    }
    sql.push(" LIMIT ");
    match range.limit() {
        Some(limit) => sql.value(limit.to_string()),
        None => sql.push("ALL"),
    };
    sql.push(" OFFSET ").value(range.lower.to_string());
}
