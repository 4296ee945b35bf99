//! Questions that only PostgreSQL can answer: comparisons under collations, patterns, types of extensions.
//!
//! Types, casts and domains are the database's users' to make, and their functions run when a value is converted. So nothing
//! here runs as the service's own user, but as [`EVALUATOR`].

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use database::{Connection, Error, Param, RequestContext, ResultSet, Statement};

use super::filter::Operator;
use super::predicate::Question;
use super::table::{TypeInfo, array_literal};

/// Answers by question and value; null counts as no.
pub(crate) type Answers = HashMap<(Arc<Question>, Box<str>), Option<bool>>;

/// The role that converts and compares: filters are not a matter of the client's rights.
const EVALUATOR: &str = "service_role";

/// Runs a statement as [`EVALUATOR`].
pub(crate) async fn run(
    connection: &mut Connection,
    statement: Statement<'_>,
) -> Result<Vec<ResultSet>, Error> {
    connection.request(&RequestContext::new(EVALUATOR), &[statement]).await
}

/// Judges values by the server's operators. A
/// question that the server cannot answer (an invalid pattern) passes nothing.
pub(crate) async fn judge(
    connection: &mut Connection,
    questions: HashMap<Arc<Question>, Vec<Box<str>>>,
) -> Result<Answers, Error> {
    let mut answers = Answers::new();
    for (question, mut values) in questions {
        values.sort_unstable();
        values.dedup();
        let sql = comparison(&question);
        let texts = array_literal(values.iter().map(|value| Some(&**value)));
        let params = [Param::Text(&texts), Param::Text(&question.value)];
        match run(connection, Statement::new(&sql, &params)).await {
            Ok(results) => {
                let rows = results.iter().flat_map(|result| &result.rows);
                for (value, row) in values.into_iter().zip(rows) {
                    answers.insert((question.clone(), value), row.text(0).map(|text| text == "t"));
                }
            }
            Err(Error::Db(report)) if !connection.is_broken() => {
                tracing::warn!(%report, operator = question.operator.name(), "a filter cannot be evaluated");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

fn comparison(question: &Question) -> String {
    let type_name = &question.type_name;
    let mut sql = format!("select u.v::{type_name} ");
    let operand = match question.operator {
        Operator::In => format!("= any ($2::text::{type_name}[])"),
        operator => format!(
            "{} $2::text::{type_name}",
            match operator {
                Operator::Neq => "<>",
                Operator::Lt => "<",
                Operator::Lte => "<=",
                Operator::Gt => ">",
                Operator::Gte => ">=",
                Operator::Like => "like",
                Operator::ILike => "ilike",
                Operator::Match => "~",
                Operator::IMatch => "~*",
                Operator::IsDistinct => "is distinct from",
                Operator::Eq | Operator::In | Operator::Is => "=",
            }
        ),
    };
    // Writing to a string cannot fail.
    let _ = write!(sql, "{operand} from pg_catalog.unnest($1::text[]) with ordinality u (v, n) order by u.n");
    sql
}

/// The JSON of values of a type, in their order, as the server's `to_jsonb` writes it.
pub(crate) async fn to_json(
    connection: &mut Connection,
    info: &TypeInfo,
    values: &[&str],
) -> Result<Vec<Option<Box<str>>>, Error> {
    let sql = format!(
        "select pg_catalog.to_jsonb(u.v::{}) from pg_catalog.unnest($1::text[]) with ordinality u (v, n) order by u.n",
        info.sql
    );
    let texts = array_literal(values.iter().map(|value| Some(*value)));
    let params = [Param::Text(&texts)];
    match run(connection, Statement::new(&sql, &params)).await {
        Ok(results) => Ok(results
            .iter()
            .flat_map(|result| &result.rows)
            .map(|row| row.text(0).map(Into::into))
            .collect()),
        // The type is gone, or its functions fail: the text is shown instead.
        Err(Error::Db(report)) if !connection.is_broken() => {
            tracing::warn!(%report, "values cannot be converted to JSON");
            Ok(vec![None; values.len()])
        }
        Err(error) => Err(error),
    }
}
