//! Reads whose body is too large to be held: it is passed on while it arrives.
//!
//! The statement's columns come in order and the body comes last, so status and headers are known when the body begins, and
//! its length is what PostgreSQL says before it. Only reads are answered this way: the answer to a write is held until the
//! transaction is committed.

use database::{Format, Pool, Statement, StreamEvent};

use super::flow::{Delivery, Flow};
use super::{Context, Outcome, Work, number, parameters};
use crate::error::Error;
use crate::sql::Columns;

/// Runs what only reads. A small body is in the outcome, a large one flows.
pub async fn read(
    pool: &Pool,
    context: &Context<'_>,
    work: &Work<'_>,
    delivery: &Delivery<'_>,
    check: impl Fn(&Outcome) -> Result<(), Error>,
) -> Result<(Outcome, Option<Flow>), Error> {
    let failed = |error| Error::Database { authenticated: context.authenticated, error };
    let main_parameters = parameters(&work.main);
    let planned_parameters = work.planned.as_ref().map(parameters).unwrap_or_default();
    let mut statements = Vec::with_capacity(4);
    if let Some(function) = work.pre_request {
        statements.push(Statement::new(function, &[]));
    }
    // Before the rest, so that everything is known when the body begins.
    let planned = work.planned.as_ref().map(|planned| {
        statements.push(Statement::new(&planned.text, &planned_parameters));
        statements.len() - 1
    });
    let main = statements.len();
    statements
        .push(Statement::new(&work.main.text, &main_parameters).results(Format::PerColumn(&Columns::BINARY)));
    if context.request.end == database::End::Rollback {
        statements.push(Statement::new("set constraints all immediate", &[]));
    }
    // A pre-request function may do more than read.
    let stream = if work.repeatable && work.pre_request.is_none() {
        pool.stream_read(&context.request, &statements).await
    } else {
        pool.stream_request(&context.request, &statements).await
    };
    let mut stream = stream.map_err(failed)?;
    let mut statement = 0;
    let mut outcome = Outcome::default();
    let (mut guess, mut plan) = (None, Vec::new());
    let mut fields: Vec<Option<Vec<u8>>> = Vec::new();
    while let Some(event) = stream.next().await.map_err(failed)? {
        match event {
            StreamEvent::Complete(_) => {
                if !plan.is_empty() {
                    guess =
                        std::str::from_utf8(&std::mem::take(&mut plan)).ok().and_then(super::planned_rows);
                }
                statement += 1;
            }
            StreamEvent::Row(row) if Some(statement) == planned => {
                guess = row.text(0).and_then(super::planned_rows);
            }
            StreamEvent::Row(row) if statement == main => {
                outcome = Outcome { planned: guess, ..super::row(&row) };
            }
            StreamEvent::Field { index, length } if statement == main => {
                if index == Columns::BODY {
                    outcome = Outcome { planned: guess, ..from_fields(&fields) };
                    check(&outcome)?;
                    let flow = length.map(|length| delivery.begin(stream, length));
                    return Ok((outcome, flow));
                }
                fields.push(length.map(Vec::with_capacity));
            }
            // The plan of very many embeds comes in pieces, too.
            StreamEvent::Chunk(bytes) if Some(statement) == planned => plan.extend_from_slice(&bytes),
            StreamEvent::Chunk(bytes) if statement == main => {
                if let Some(Some(field)) = fields.last_mut() {
                    field.extend_from_slice(&bytes);
                }
            }
            _ => {}
        }
    }
    check(&outcome)?;
    Ok((outcome, None))
}

fn from_fields(fields: &[Option<Vec<u8>>]) -> Outcome {
    let text = |column: usize| {
        fields.get(column).and_then(Option::as_ref).and_then(|bytes| std::str::from_utf8(bytes).ok())
    };
    Outcome {
        total: number(text(Columns::TOTAL)),
        page: number(text(Columns::PAGE)).unwrap_or(0),
        headers: text(Columns::HEADERS).map(str::to_owned),
        status: text(Columns::STATUS).map(str::to_owned),
        ..Outcome::default()
    }
}
