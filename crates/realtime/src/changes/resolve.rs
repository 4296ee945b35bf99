//! From what a channel asked for to listeners on tables: the checks that the original's triggers make.

use std::sync::Arc;

use database::{Connection, DbError, Error, Param, Statement};

use super::filter::{Filter, Operator};
use super::index::Claims;
use super::params::Wish;
use super::predicate::{Comparison, Predicate, Question};
use super::server_side;
use super::table::{Table, TypeInfo};

/// A table of the publication.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Published {
    pub(crate) oid: u32,
    pub(crate) schema: Box<str>,
    pub(crate) name: Box<str>,
}

/// The most elements of an `in` list.
const MAX_LIST: usize = 100;

/// Why a wish cannot be fulfilled.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The client asked for something that is not there or not its own: the message for it.
    Client(String),
    /// The database does not answer.
    Database(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Database(error)
    }
}

/// The message when no table of the publication is meant.
pub(crate) fn nothing_published(wish: &Wish) -> String {
    format!(
        "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect \
         parameters: [{}]",
        wish.rendered
    )
}

/// The message when the database objects.
pub(crate) fn exception(wish: &Wish, code: &str, message: &str) -> String {
    let condition = match code {
        "P0001" => " (raise_exception)",
        "22P02" => " (invalid_text_representation)",
        "22003" => " (numeric_value_out_of_range)",
        "22007" => " (invalid_datetime_format)",
        "22008" => " (datetime_field_overflow)",
        "22023" => " (invalid_parameter_value)",
        "2201B" => " (invalid_regular_expression)",
        "42501" => " (insufficient_privilege)",
        "42704" => " (undefined_object)",
        "42883" => " (undefined_function)",
        _ => "",
    };
    format!(
        "Unable to subscribe to changes with given parameters. An exception happened so please check your connect \
         parameters: [{}]. Exception: ERROR {code}{condition} {message}",
        wish.rendered
    )
}

/// Checks the filters and columns of a wish against a table.
pub(crate) async fn check(
    connection: &mut Connection,
    table: &Table,
    wish: &Wish,
    claims: &Claims,
) -> Result<Box<[Predicate]>, Refused> {
    let raise = |message: String| Refused::Client(exception(wish, "P0001", &message));
    let Some(readable) = table.readable.get(&claims.role) else {
        let message = format!("role \"{}\" does not exist", claims.role);
        return Err(Refused::Client(exception(wish, "42704", &message)));
    };
    let may_read = |column: &str| table.position(column).filter(|at| readable[*at]);
    let mut predicates = Vec::with_capacity(wish.filters.len());
    for filter in &wish.filters {
        let Some(at) = may_read(&filter.column) else {
            return Err(raise(format!("invalid column for filter {}", filter.column)));
        };
        let Some(info) = table.type_of(table.columns[at].type_oid) else {
            return Err(raise(format!("failed to lookup type for column {}", filter.column)));
        };
        match operands(connection, filter, info).await? {
            Ok(operands) => predicates.push(predicate(filter, info, operands)),
            Err(Objection::Raised(message)) => return Err(raise(message)),
            Err(Objection::Reported(report)) => {
                return Err(Refused::Client(exception(wish, report.code.as_str(), &report.message)));
            }
        }
    }
    for column in wish.select.iter().flatten() {
        if may_read(column).is_none() {
            return Err(raise(format!("invalid column for select {column}")));
        }
    }
    Ok(predicates.into())
}

fn predicate(filter: &Filter, info: &TypeInfo, operands: Vec<Box<str>>) -> Predicate {
    Predicate {
        column: filter.column.clone(),
        operator: filter.operator,
        negate: filter.negate,
        comparison: info.comparison,
        operands: operands.into(),
        question: Arc::new(Question {
            type_name: info.sql.clone(),
            operator: filter.operator,
            value: filter.value.clone(),
        }),
    }
}

/// Why an operand is wrong.
enum Objection {
    /// In words of the original's trigger.
    Raised(String),
    /// In the server's.
    Reported(Box<DbError>),
}

/// The operands of a filter in the text of their type.
async fn operands(
    connection: &mut Connection,
    filter: &Filter,
    info: &TypeInfo,
) -> Result<Result<Vec<Box<str>>, Objection>, Error> {
    let value = &*filter.value;
    let name = filter.operator.name();
    let raised = |message: String| Ok(Err(Objection::Raised(message)));
    match filter.operator {
        Operator::Is if !matches!(value, "null" | "true" | "false" | "unknown") => {
            raised("invalid value for is filter: must be null, true, false, or unknown".to_owned())
        }
        Operator::Is if value != "null" && info.oid != 16 => {
            raised(format!("is {value} filter requires a boolean column, got {}", info.display))
        }
        Operator::Is => Ok(Ok(vec![value.into()])),
        Operator::Like | Operator::ILike | Operator::Match | Operator::IMatch => {
            // What text has, the others are asked for.
            if info.comparison != Comparison::Text
                && !has_operator(connection, filter.operator, info.oid).await?
            {
                return raised(format!(
                    "operator {name} requires a text-compatible column type, got {}",
                    info.display
                ));
            }
            if matches!(filter.operator, Operator::Match | Operator::IMatch) {
                let statement = "select '' ~ $1::text";
                if let Err(report) = ask(connection, statement, value).await? {
                    let message = format!("invalid regular expression for {name} filter: {}", report.message);
                    return raised(message);
                }
            }
            Ok(Ok(vec![value.into()]))
        }
        Operator::In => {
            let Some(array) = &info.array_sql else {
                return raised(format!("type \"{}[]\" does not exist", info.display));
            };
            // As the output function writes it, which a cast to text does not always do (`true`).
            let sql = format!(
                "select case when u.v is not null then pg_catalog.format('%s', u.v) end \
                 from pg_catalog.unnest($1::text::{array}) u (v)"
            );
            match ask(connection, &sql, value).await? {
                Ok(values) if values.len() > MAX_LIST => {
                    raised(format!("too many values for `in` filter. Maximum {MAX_LIST}"))
                }
                // A null in the list equals nothing.
                Ok(values) => Ok(Ok(values.into_iter().flatten().collect())),
                Err(report) => Ok(Err(Objection::Reported(report))),
            }
        }
        _ => {
            if let Some(text) = canonical(info.oid, value) {
                return Ok(Ok(vec![text]));
            }
            let sql = format!("select pg_catalog.format('%s', $1::text::{})", info.sql);
            Ok(match ask(connection, &sql, value).await? {
                Ok(values) => Ok(values.into_iter().flatten().collect()),
                Err(report) => Err(Objection::Reported(report)),
            })
        }
    }
}

/// The text that the type's output function would make, where that is plain without asking.
fn canonical(type_oid: u32, value: &str) -> Option<Box<str>> {
    match type_oid {
        25 | 1043 => Some(value.into()),
        20 => value.parse::<i64>().ok().map(|number| number.to_string().into()),
        23 => value.parse::<i32>().ok().map(|number| number.to_string().into()),
        21 => value.parse::<i16>().ok().map(|number| number.to_string().into()),
        2950 if is_uuid(value) => Some(value.to_ascii_lowercase().into()),
        _ => None,
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Runs a statement about one value; the rows' first column, or what the server has against it.
async fn ask(
    connection: &mut Connection,
    sql: &str,
    value: &str,
) -> Result<Result<Vec<Option<Box<str>>>, Box<DbError>>, Error> {
    let params = [Param::Text(value)];
    match server_side::run(connection, Statement::new(sql, &params)).await {
        Ok(results) => {
            let rows = results.iter().flat_map(|result| &result.rows);
            Ok(Ok(rows.map(|row| row.text(0).map(Into::into)).collect()))
        }
        Err(Error::Db(report)) if !connection.is_broken() => Ok(Err(report)),
        Err(error) => Err(error),
    }
}

async fn has_operator(connection: &mut Connection, operator: Operator, type_oid: u32) -> Result<bool, Error> {
    let oid = type_oid.to_string();
    let (symbol, same_right) = match operator {
        Operator::Match => ("~", true),
        Operator::IMatch => ("~*", true),
        _ => ("~~", false),
    };
    let sql = "select exists (select from pg_catalog.pg_operator o where o.oprname = $1 and o.oprleft = $2::oid \
               and (not $3::boolean or o.oprright = $2::oid and o.oprresult = 'boolean'::pg_catalog.regtype))";
    let params = [Param::Text(symbol), Param::Text(&oid), Param::Text(if same_right { "t" } else { "f" })];
    let results = connection.run(&[Statement::new(sql, &params)]).await?;
    Ok(results.first().and_then(|result| result.scalar()) == Some("t"))
}

/// The tables of a publication.
pub(crate) async fn published(
    connection: &mut Connection,
    publication: &str,
) -> Result<Vec<Published>, Error> {
    let sql = "select c.oid, t.schemaname, t.tablename from pg_catalog.pg_publication_tables t \
               join pg_catalog.pg_namespace n on n.nspname = t.schemaname \
               join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.tablename \
               where t.pubname = $1 order by c.oid";
    let params = [Param::Text(publication)];
    let results = connection.run(&[Statement::new(sql, &params)]).await?;
    let rows = results.iter().flat_map(|result| &result.rows);
    let tables = rows.filter_map(|row| {
        Some(Published {
            oid: row.text(0)?.parse().ok()?,
            schema: row.text(1)?.into(),
            name: row.text(2)?.into(),
        })
    });
    Ok(tables.collect())
}
