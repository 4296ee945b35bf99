//! Running a statement: the only stage that touches a socket.

mod context;
mod flow;
mod stream;

use bytes::Bytes;
use database::{Format, Param, Pool, ResultSet, Row, Statement};

pub use context::{Caller, Context, FunctionContext, Incoming};
pub use flow::{Delivery, Flow, Flows};
pub use stream::read;

use crate::error::Error;
use crate::sql::{Columns, Parameter, StatementText};

/// What a statement answered.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many rows there are altogether, if they were counted.
    pub total: Option<i64>,
    /// How many rows are in the answer, or were changed.
    pub page: i64,
    /// `response.headers`
    pub headers: Option<String>,
    /// `response.status`
    pub status: Option<String>,
    /// How many rows are new, if that was counted.
    pub inserted: Option<i64>,
    /// The primary key of the new row, as pairs in JSON.
    pub location: Option<String>,
    /// The body.
    pub body: Bytes,
    /// The planner's guess of the number of rows.
    pub planned: Option<i64>,
}

/// What is run in a request's transaction.
#[derive(Debug)]
pub struct Work<'a> {
    /// The function that runs first.
    pub pre_request: Option<&'a str>,
    /// The statement.
    pub main: StatementText<'a>,
    /// Asks the planner for the number of rows.
    pub planned: Option<StatementText<'a>>,
    /// Whether the statement only shows a plan.
    pub explains: bool,
    /// Whether running it twice is as good as once, also where it calls functions.
    pub repeatable: bool,
}

/// Runs the work of a request. `check` looks at what came out; if it objects, everything is undone. `undecided` says
/// whether it can object to something that must then be undone.
pub async fn run(
    pool: &Pool,
    context: &Context<'_>,
    work: &Work<'_>,
    undecided: bool,
    check: impl Fn(&Outcome) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let failed = |error| Error::Database { authenticated: context.authenticated, error };
    let main_parameters = parameters(&work.main);
    let planned_parameters = work.planned.as_ref().map(parameters).unwrap_or_default();
    let mut statements = Vec::with_capacity(4);
    if let Some(function) = work.pre_request {
        statements.push(Statement::new(function, &[]));
    }
    let main = statements.len();
    let statement = Statement::new(&work.main.text, &main_parameters);
    statements.push(if work.explains {
        statement.uncached()
    } else {
        statement.results(Format::PerColumn(&Columns::BINARY))
    });
    if let Some(planned) = &work.planned {
        statements.push(Statement::new(&planned.text, &planned_parameters));
    }
    let rolls_back = context.request.end == database::End::Rollback;
    if rolls_back {
        // What would only fail at COMMIT fails now.
        statements.push(Statement::new("set constraints all immediate", &[]));
    }
    if undecided && !rolls_back {
        let transaction = pool.begin_request(&context.request, &statements).await.map_err(failed)?;
        let outcome = outcome(transaction.results(), main, work);
        return match outcome.and_then(|outcome| check(&outcome).map(|()| outcome)) {
            Ok(outcome) => transaction.commit().await.map(|_| outcome).map_err(failed),
            Err(objection) => {
                transaction.rollback().await.map_err(failed)?;
                Err(objection)
            }
        };
    }
    let results = pool.request(&context.request, &statements).await.map_err(failed)?;
    let outcome = outcome(&results, main, work)?;
    check(&outcome)?;
    Ok(outcome)
}

fn parameters<'s>(statement: &'s StatementText<'_>) -> Vec<Param<'s>> {
    const JSON: u32 = 114;
    const JSONB: u32 = 3802;
    const BYTEA: u32 = 17;
    let typed = |oid, binary, bytes| Param::Typed { oid, binary, bytes: Some(bytes) };
    statement
        .parameters
        .iter()
        .map(|parameter| match parameter {
            Parameter::Text(text) => Param::Text(text),
            Parameter::Json(bytes) => typed(JSON, false, bytes),
            Parameter::Jsonb(bytes) => typed(JSONB, false, bytes),
            Parameter::Bytes(bytes) => typed(BYTEA, true, bytes),
            Parameter::Raw(bytes) => typed(0, false, bytes),
        })
        .collect()
}

fn outcome(results: &[ResultSet], main: usize, work: &Work<'_>) -> Result<Outcome, Error> {
    let result =
        results.get(main).ok_or_else(|| Error::Internal("the statement has no result".to_owned()))?;
    if work.explains {
        let mut body = Vec::new();
        for row in &result.rows {
            body.extend_from_slice(row.get(0).unwrap_or_default());
            body.push(b'\n');
        }
        return Ok(Outcome { body: body.into(), ..Outcome::default() });
    }
    let Some(first) = result.rows.first() else { return Ok(Outcome::default()) };
    let planned = work.planned.as_ref().and_then(|_| planned_rows(results.get(main + 1)?.scalar()?));
    Ok(Outcome { planned, ..row(first) })
}

/// What the one row of a statement says.
fn row(row: &Row) -> Outcome {
    let text = |column: usize| row.text(column).map(str::to_owned);
    Outcome {
        total: number(row.text(Columns::TOTAL)),
        page: number(row.text(Columns::PAGE)).unwrap_or(0),
        headers: text(Columns::HEADERS),
        status: text(Columns::STATUS),
        inserted: number(row.text(Columns::INSERTED)),
        location: text(Columns::LOCATION),
        body: row.bytes(Columns::BODY).unwrap_or_default(),
        planned: None,
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text.and_then(|text| text.parse().ok())
}

/// `Plan Rows` of the outermost node.
fn planned_rows(plan: &str) -> Option<i64> {
    let plan: serde_json::Value = serde_json::from_str(plan).ok()?;
    plan.get(0)?.get("Plan")?.get("Plan Rows")?.as_i64()
}
