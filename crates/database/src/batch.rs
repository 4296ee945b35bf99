//! A batch: several statements and one Sync, one round trip, one transaction.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};
use postgres_types::{ToSql, Type};
use smallvec::SmallVec;

use crate::cache::{self, Scope, Slot};
use crate::connection::{Connection, Mode, NO_COPY, TransactionStatus};
use crate::decode;
use crate::error::{DbError, Error};
use crate::request::Setting;
use crate::result::{Column, CommandTag, ResultSet, Row};
use crate::statement::{Format, Param, Statement};
use crate::wire::Message;

/// The values of one statement.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    Params(&'a [Param<'a>]),
    Settings(&'a [Setting<'a>]),
    Typed(&'a [&'a (dyn ToSql + Sync)], &'a [Type]),
}

/// One statement of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) sql: &'a str,
    pub(crate) values: Values<'a>,
    pub(crate) format: Format<'a>,
    pub(crate) cached: bool,
    pub(crate) scope: Scope<'a>,
    /// Whether the caller sees its result (and so its columns).
    pub(crate) wanted: bool,
}

impl<'a> Piece<'a> {
    pub(crate) fn of(statement: &Statement<'a>, scope: Scope<'a>) -> Self {
        Piece {
            sql: statement.sql,
            values: Values::Params(statement.params),
            format: statement.results,
            cached: statement.cached,
            scope,
            wanted: true,
        }
    }

    /// A statement of our own whose result nobody sees.
    pub(crate) fn silent(sql: &'a str, values: Values<'a>) -> Self {
        Piece { sql, values, format: Format::Text, cached: true, scope: Scope::default(), wanted: false }
    }

    fn params(&self) -> &'a [Param<'a>] {
        match self.values {
            Values::Params(params) => params,
            _ => &[],
        }
    }
}

/// How a piece was sent, to make sense of the answer.
pub(crate) struct Sent {
    pub(crate) slot: Option<Slot>,
    /// Whether it was bound to a statement that an earlier batch had prepared.
    reused: bool,
    pub(crate) columns: Option<Arc<[Column]>>,
    pub(crate) wanted: bool,
}

pub(crate) type SentBatch = SmallVec<[Sent; 6]>;

/// Why a batch failed.
pub(crate) enum BatchError {
    /// A statement failed; the connection is in order.
    Statement {
        report: Box<DbError>,
        /// Which, counted in pieces; the number of pieces when it was none of them (at commit).
        piece: usize,
        /// Whether a prepared statement has gone stale: the same batch may well succeed when it is parsed anew.
        stale: bool,
    },
    /// Anything else.
    Other(Error),
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        BatchError::Other(error)
    }
}

impl BatchError {
    /// The error for the caller, whose first statement was piece number `first` and who has `count` of them.
    pub(crate) fn into_error(self, first: usize, count: usize) -> Error {
        match self {
            BatchError::Other(error) => error,
            BatchError::Statement { mut report, piece, .. } => {
                report.statement = piece.checked_sub(first).filter(|index| *index < count);
                Error::Db(report)
            }
        }
    }
}

/// Where the answer to a batch stands.
#[derive(Default)]
pub(crate) struct Progress {
    piece: usize,
    bound: bool,
    failure: Option<(Box<DbError>, usize, bool)>,
    refused: Option<&'static str>,
}

/// What one message of an answer meant.
pub(crate) enum Step {
    Nothing,
    /// The statement begins to answer.
    Begin(usize),
    Row(Row),
    Complete(usize, CommandTag),
    /// The batch is over, and this is how.
    End(Result<(), BatchError>),
}

impl Connection {
    /// Runs pieces under one Sync. Results are those of the wanted ones.
    pub(crate) async fn run_pieces(&mut self, pieces: &[Piece<'_>]) -> Result<Vec<ResultSet>, BatchError> {
        self.settle().await?;
        // Inside a transaction nothing can be repeated: it has failed as a whole.
        let may_repeat = self.status == TransactionStatus::Idle;
        match self.run_pieces_once(pieces).await {
            Err(BatchError::Statement { stale: true, .. })
                if may_repeat && self.status != TransactionStatus::Open =>
            {
                self.rollback_failed().await?;
                self.run_pieces_once(pieces).await
            }
            other => other,
        }
    }

    pub(crate) async fn run_pieces_once(
        &mut self,
        pieces: &[Piece<'_>],
    ) -> Result<Vec<ResultSet>, BatchError> {
        let mut sent = self.send_pieces(pieces)?;
        self.wire.flush().await?;
        let mut results = Vec::with_capacity(sent.iter().filter(|sent| sent.wanted).count());
        let mut rows = Vec::new();
        let mut progress = Progress::default();
        loop {
            let message = self.wire.message().await?;
            match self.step(message, &mut sent, &mut progress)? {
                Step::Nothing | Step::Begin(_) => {}
                Step::Row(row) => rows.push(row),
                Step::Complete(piece, tag) => {
                    let rows = std::mem::take(&mut rows);
                    if let Some(sent) = sent.get(piece).filter(|sent| sent.wanted) {
                        let columns = sent.columns.clone().unwrap_or_else(no_columns);
                        results.push(ResultSet { columns, rows, tag });
                    }
                }
                Step::End(outcome) => return outcome.map(|()| results),
            }
        }
    }

    /// Puts a batch into the output buffer, to be flushed.
    pub(crate) fn send_pieces(&mut self, pieces: &[Piece<'_>]) -> Result<SentBatch, Error> {
        let start = self.wire.output.len();
        let encoded = self.encode(pieces);
        if encoded.is_err() {
            self.wire.output.truncate(start);
            self.cache.remove_pending();
        } else {
            self.batch_is_sent();
        }
        encoded
    }

    /// The same for pieces that are all prepared and known to be swift; otherwise nothing is sent.
    pub(crate) fn send_swift_pieces(&mut self, pieces: &[Piece<'_>]) -> Option<SentBatch> {
        let start = self.wire.output.len();
        let encoded = self.encode_swift(pieces);
        if encoded.is_none() {
            self.wire.output.truncate(start);
        } else {
            self.cache.hits += pieces.len() as u64;
            self.batch_is_sent();
        }
        encoded
    }

    fn batch_is_sent(&mut self) {
        self.wire.expect_answer();
        self.outstanding += 1;
        self.mode = Mode::Extended;
    }

    fn encode_swift(&mut self, pieces: &[Piece<'_>]) -> Option<SentBatch> {
        if !self.cache.named {
            return None;
        }
        let output = &mut self.wire.output;
        let mut batch = SentBatch::new();
        for piece in pieces.iter() {
            let params = piece.params();
            let slot = self.cache.slot(piece.scope, piece.sql, params);
            if piece.wanted && !self.cache.paces.is_swift(slot) {
                return None;
            }
            let entry = self.cache.find(slot, piece.scope, piece.sql, params)?;
            let known = !piece.wanted || entry.columns.is_some();
            if !piece.cached || !entry.ready || !known {
                return None;
            }
            bind(&entry.name, piece, output).ok()?;
            frontend::execute("", 0, output).ok()?;
            batch.push(Sent {
                slot: Some(slot),
                reused: true,
                columns: entry.columns.clone(),
                wanted: piece.wanted,
            });
        }
        frontend::sync(output);
        Some(batch)
    }

    fn encode(&mut self, pieces: &[Piece<'_>]) -> Result<SentBatch, Error> {
        let output = &mut self.wire.output;
        for name in std::mem::take(&mut self.cache.closing) {
            frontend::close(b'S', &name, output)?;
        }
        let mut batch = SentBatch::new();
        for piece in pieces {
            let params = piece.params();
            let mut sent = Sent { slot: None, reused: false, columns: None, wanted: piece.wanted };
            let cache = &mut self.cache;
            if piece.cached && cache.named {
                let slot = cache.slot(piece.scope, piece.sql, params);
                sent.slot = Some(slot);
                let (name, parse) = match cache.find(slot, piece.scope, piece.sql, params) {
                    Some(entry) => {
                        sent.reused = entry.ready;
                        sent.columns.clone_from(&entry.columns);
                        (&entry.name, false)
                    }
                    None => (&cache.insert(slot, piece.scope, piece.sql, params).name, true),
                };
                if parse {
                    frontend::parse(name, piece.sql, cache::oids(params), output)?;
                }
                if piece.wanted && sent.columns.is_none() {
                    frontend::describe(b'S', name, output)?;
                }
                bind(name, piece, output)?;
                if parse { self.cache.misses += 1 } else { self.cache.hits += 1 }
            } else {
                match piece.values {
                    Values::Typed(_, types) => {
                        frontend::parse("", piece.sql, types.iter().map(Type::oid), output)?;
                    }
                    _ => frontend::parse("", piece.sql, cache::oids(params), output)?,
                }
                if piece.wanted {
                    frontend::describe(b'S', "", output)?;
                }
                bind("", piece, output)?;
                self.cache.misses += 1;
            }
            frontend::execute("", 0, output)?;
            batch.push(sent);
        }
        frontend::sync(output);
        Ok(batch)
    }

    /// Takes one message of the answer to a batch.
    pub(crate) fn step(
        &mut self,
        message: Message,
        batch: &mut SentBatch,
        progress: &mut Progress,
    ) -> Result<Step, Error> {
        let current = batch.get_mut(progress.piece);
        match (message.tag, current) {
            (b'D', Some(_)) => match Row::decode(message.body) {
                Some(row) => return Ok(Step::Row(row)),
                None => return Err(self.wire.protocol_error("malformed row")),
            },
            (b'2', Some(_)) => {
                progress.bound = true;
                return Ok(Step::Begin(progress.piece));
            }
            (b'C' | b'I' | b's', Some(_)) => {
                let end = message.body.len().saturating_sub(1);
                let tag = CommandTag::new(message.body.slice(..end));
                self.note_tag(tag.as_str());
                progress.piece += 1;
                progress.bound = false;
                return Ok(Step::Complete(progress.piece - 1, tag));
            }
            (b'1', Some(sent)) => {
                if let Some(entry) = sent.slot.and_then(|slot| self.cache.get(slot)) {
                    entry.ready = true;
                }
            }
            (b'T' | b'n', Some(sent)) => {
                let columns =
                    if message.tag == b'n' { Some(no_columns()) } else { decode::columns(&message.body) };
                let Some(columns) = columns else {
                    return Err(self.wire.protocol_error("malformed row description"));
                };
                if let Some(entry) = sent.slot.and_then(|slot| self.cache.get(slot)) {
                    entry.columns = Some(columns.clone());
                }
                sent.columns = Some(columns);
            }
            (b'E', current) => {
                let report = self.failure(&message)?;
                let stale = match current {
                    Some(sent) if sent.reused && !progress.bound => self.drop_stale(sent.slot, &report),
                    _ => false,
                };
                progress.failure.get_or_insert((Box::new(report), progress.piece, stale));
            }
            (b'Z', _) => {
                self.ready(&message)?;
                // Statements behind a failure were never parsed.
                let outcome = match (progress.failure.take(), progress.refused) {
                    (Some((report, piece, stale)), _) => {
                        self.cache.remove_pending();
                        Err(BatchError::Statement { report, piece, stale })
                    }
                    (None, Some(what)) => Err(BatchError::Other(Error::Protocol(what.into()))),
                    (None, None) => Ok(()),
                };
                return Ok(Step::End(outcome));
            }
            (b't' | b'3', _) => {}
            (b'G' | b'H' | b'd' | b'c', _) => {
                if message.tag == b'G' {
                    self.refuse_copy()?;
                }
                progress.refused = Some(NO_COPY);
            }
            (tag, _) => {
                return Err(self.wire.protocol_error(format!("message {:?} in a batch", char::from(tag))));
            }
        }
        Ok(Step::Nothing)
    }

    /// Whether a failed Bind means that the prepared statement has outlived what it was prepared for. It is dropped.
    ///
    /// Any complaint about names and types counts: a column may have got another type, a function may be gone. Parsed
    /// anew, the statement works or fails for good.
    fn drop_stale(&mut self, slot: Option<Slot>, report: &DbError) -> bool {
        let Some(slot) = slot else { return false };
        match report.code.as_str() {
            // invalid_sql_statement_name: somebody has deallocated, probably everything.
            "26000" => self.cache.clear(),
            "0A000" => self.cache.remove(slot),
            // Permissions are checked while binding, too, and are no matter of age.
            "42501" => return false,
            code if code.starts_with("42") => self.cache.remove(slot),
            _ => return false,
        }
        true
    }
}

pub(crate) fn no_columns() -> Arc<[Column]> {
    static NONE: std::sync::OnceLock<Arc<[Column]>> = std::sync::OnceLock::new();
    NONE.get_or_init(|| Arc::from([])).clone()
}

fn bind(name: &str, piece: &Piece<'_>, output: &mut BytesMut) -> Result<(), Error> {
    let per_column;
    let results: &[i16] = match piece.format {
        Format::Text => &[],
        Format::Binary => &[1],
        Format::PerColumn(columns) => {
            per_column = columns.iter().map(|binary| i16::from(*binary)).collect::<SmallVec<[i16; 8]>>();
            &per_column
        }
    };
    let results = results.iter().copied();
    let bound = match piece.values {
        Values::Params(params) => {
            let binary = params.iter().any(|param| matches!(param, Param::Typed { binary: true, .. }));
            let formats = params
                .iter()
                .filter(|_| binary)
                .map(|param| i16::from(matches!(param, Param::Typed { binary: true, .. })));
            let write = |param: &Param<'_>, output: &mut BytesMut| {
                let bytes = match param {
                    Param::Null => None,
                    Param::Text(text) => Some(text.as_bytes()),
                    Param::Typed { bytes, .. } => *bytes,
                };
                Ok(bytes.map_or(IsNull::Yes, |bytes| {
                    output.put_slice(bytes);
                    IsNull::No
                }))
            };
            frontend::bind("", name, formats, params, write, results, output)
        }
        Values::Settings(settings) => {
            let texts = settings.iter().flat_map(|(name, value)| [*name, *value]);
            let write = |text: &str, output: &mut BytesMut| {
                output.put_slice(text.as_bytes());
                Ok(IsNull::No)
            };
            frontend::bind("", name, [], texts, write, results, output)
        }
        Values::Typed(values, types) => {
            let mut index = 0;
            let formats = values.iter().zip(types).map(|(value, kind)| value.encode_format(kind) as i16);
            let write = |(value, kind): (&&(dyn ToSql + Sync), &Type), output: &mut BytesMut| {
                index += 1;
                value.to_sql_checked(kind, output).map(|null| match null {
                    postgres_types::IsNull::Yes => IsNull::Yes,
                    postgres_types::IsNull::No => IsNull::No,
                })
            };
            let bound = frontend::bind("", name, formats, values.iter().zip(types), write, results, output);
            return bound.map_err(|error| match error {
                BindError::Conversion(source) => Error::ToSql { index, source },
                BindError::Serialization(error) => Error::from(error),
            });
        }
    };
    bound.map_err(|error| match error {
        BindError::Conversion(source) => Error::ToSql { index: 0, source },
        BindError::Serialization(error) => Error::from(error),
    })
}
