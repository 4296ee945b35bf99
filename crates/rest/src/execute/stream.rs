//! Reads whose body is too large to be held: it is passed on while it arrives.
//!
//! The statement's columns come in order and the body comes last, so status and headers are known when the body begins, and
//! its length is what PostgreSQL says before it. Only reads are answered this way: the answer to a write is held until the
//! transaction is committed.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use database::{Format, Pool, RowStream, Statement, StreamEvent};
use tokio::sync::mpsc;

use super::{Context, Outcome, Work, number, parameters};
use crate::error::Error;
use crate::sql::Columns;

/// A body that is still on its way.
#[derive(Debug)]
pub struct Flow {
    /// How long it will be.
    pub length: usize,
    /// The body.
    pub body: Body,
}

/// A client that takes nothing for this long is cut off: it would keep a connection from everybody else.
const STALL: Duration = Duration::from_secs(30);
/// Pieces on their way between the database and a client.
const PIECES: usize = 4;

/// Runs a read. A small body is in the outcome, a large one flows.
pub async fn read(
    pool: &Pool,
    context: &Context<'_>,
    work: &Work<'_>,
    check: impl Fn(&Outcome) -> Result<(), Error>,
) -> Result<(Outcome, Option<Flow>), Error> {
    let authenticated = context.authenticated;
    let failed = move |error| Error::Database { authenticated, error };
    let main_parameters = parameters(&work.main);
    let mut statements = Vec::with_capacity(3);
    if let Some(function) = work.pre_request {
        statements.push(Statement::new(function, &[]));
    }
    let main = statements.len();
    statements
        .push(Statement::new(&work.main.text, &main_parameters).results(Format::PerColumn(&Columns::BINARY)));
    if context.request.end == database::End::Rollback {
        statements.push(Statement::new("set constraints all immediate", &[]));
    }
    let mut stream = pool.stream_request(&context.request, &statements).await.map_err(failed)?;
    let mut statement = 0;
    let mut outcome = Outcome::default();
    let mut fields: Vec<Option<Vec<u8>>> = Vec::new();
    while let Some(event) = stream.next().await.map_err(failed)? {
        match event {
            StreamEvent::Complete(_) => statement += 1,
            StreamEvent::Row(row) if statement == main => outcome = super::row(&row),
            StreamEvent::Field { index, length } if statement == main => {
                if index == Columns::BODY {
                    outcome = from_fields(&fields);
                    check(&outcome)?;
                    let flow = length.map(|length| flow(stream, length));
                    return Ok((outcome, flow));
                }
                fields.push(length.map(Vec::with_capacity));
            }
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

/// Hands the rest of a stream to a task of its own. It ends with the body, with the client, or with its patience.
fn flow(mut stream: RowStream, length: usize) -> Flow {
    let (pieces, mut taken) = mpsc::channel::<Result<Bytes, io::Error>>(PIECES);
    tokio::spawn(async move {
        loop {
            let piece = match stream.next().await {
                Ok(Some(StreamEvent::Chunk(bytes))) => Ok(bytes),
                Ok(Some(_)) => continue,
                Ok(None) => return,
                Err(error) => Err(io::Error::other(error)),
            };
            let over = piece.is_err();
            // Either way the stream is dropped, which cancels what is left of the statement.
            match tokio::time::timeout(STALL, pieces.send(piece)).await {
                Ok(Ok(())) if !over => {}
                Ok(_) => return,
                Err(_) => {
                    tracing::warn!(seconds = STALL.as_secs(), "a client stopped reading and was cut off");
                    return;
                }
            }
        }
    });
    let mut left = length;
    let body = futures_util::stream::poll_fn(move |context| {
        taken.poll_recv(context).map(|piece| match piece {
            Some(Ok(bytes)) => {
                left = left.saturating_sub(bytes.len());
                Some(Ok(bytes))
            }
            Some(Err(error)) => Some(Err(error)),
            // An answer that is cut short must not look complete.
            None if left > 0 => {
                left = 0;
                Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof)))
            }
            None => None,
        })
    });
    Flow { length, body: Body::from_stream(body) }
}
