//! Rows handed out while they arrive, and large values in pieces.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};

use crate::batch::{Progress, SentBatch, Step, no_columns};
use crate::connection::Connection;
use crate::error::Error;
use crate::pool::PooledConnection;
use crate::result::{Column, CommandTag, Row};

/// What comes out of a [`RowStream`], in this order for each statement: `Columns`, rows, `Complete`.
#[derive(Debug, Clone)]
pub enum StreamEvent {
    /// A statement begins to answer.
    Columns(Arc<[Column]>),
    /// A row that is small enough to be held.
    Row(Row),
    /// A row too large to be held begins; `Field` and `Chunk` follow, then `LargeRowEnd`.
    LargeRow {
        /// How many fields it has.
        fields: usize,
    },
    /// A field of a large row begins.
    Field {
        /// Its position.
        index: usize,
        /// Its length in bytes; `None` for null.
        length: Option<usize>,
    },
    /// Bytes of the field that began last.
    Chunk(Bytes),
    /// The large row is complete.
    LargeRowEnd,
    /// The statement is complete.
    Complete(CommandTag),
}

/// Rows above this size are read piecewise.
const LARGE_ROW: usize = 64 * 1024;
/// The largest piece that is handed out.
const MAX_CHUNK: usize = 64 * 1024;

/// More than this of an abandoned row is not worth reading to its end.
const WORTH_READING: usize = 256 * 1024;

/// Where in a large row the reader stands.
#[derive(Debug, Clone, Copy)]
struct LargeRow {
    /// How many, once it was read.
    fields: Option<usize>,
    next: usize,
    field_left: usize,
}

/// The answer to [`crate::Pool::stream_request`]. Nothing is read from the socket before it is asked for, so a slow
/// reader holds the server back. Dropped early, the rest is cancelled.
pub struct RowStream {
    /// Given back at the end, not when the stream is dropped.
    connection: Option<PooledConnection>,
    batch: SentBatch,
    progress: Progress,
    first: usize,
    count: usize,
    large: Option<LargeRow>,
    /// Read ahead, to know whether the statements could be started.
    ahead: VecDeque<StreamEvent>,
    ended: bool,
    discards: bool,
    began: Instant,
}

impl RowStream {
    pub(crate) fn new(connection: PooledConnection, batch: SentBatch, first: usize, count: usize) -> Self {
        RowStream {
            connection: Some(connection),
            batch,
            progress: Progress::default(),
            first,
            count,
            large: None,
            ahead: VecDeque::new(),
            ended: false,
            discards: false,
            began: Instant::now(),
        }
    }

    /// An answer that has been read to its end.
    pub(crate) fn complete(events: VecDeque<StreamEvent>) -> Self {
        RowStream {
            connection: None,
            batch: SentBatch::new(),
            progress: Progress::default(),
            first: 0,
            count: 0,
            large: None,
            ahead: events,
            ended: true,
            discards: false,
            began: Instant::now(),
        }
    }

    /// Puts what was read already before what comes.
    pub(crate) fn preceded_by(mut self, events: VecDeque<StreamEvent>) -> Self {
        self.ahead = events;
        self
    }

    /// Reads the first event. A failure says whether the request may be repeated because a statement was stale.
    pub(crate) async fn read_ahead(&mut self) -> Result<(), (Error, bool)> {
        match self.advance().await? {
            Some(event) => self.ahead.push_back(event),
            None => self.end(),
        }
        Ok(())
    }

    pub(crate) fn connection(&mut self) -> Option<&mut PooledConnection> {
        self.connection.as_mut()
    }

    /// When this answer's turn came.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn into_connection(mut self) -> Option<PooledConnection> {
        self.connection.take()
    }

    fn end(&mut self) {
        self.ended = true;
        self.connection = None;
    }

    /// From here on, dropping it within a large row closes the connection. PostgreSQL has made such a row and sends it to its
    /// end, whatever is cancelled; to close is the only way to stop it at once.
    pub fn discard_when_dropped(&mut self) {
        self.discards = true;
    }

    /// The next event. `None` after the end: the transaction is then committed.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, Error> {
        if let Some(event) = self.ahead.pop_front() {
            return Ok(Some(event));
        }
        if self.ended {
            return Ok(None);
        }
        let event = self.advance().await.map_err(|(error, _)| error);
        if matches!(event, Ok(None) | Err(_)) {
            self.end();
        }
        event
    }

    /// Whether the connection is of no more use.
    pub(crate) fn is_broken(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.is_broken())
    }

    /// Notes how long the server took. The caller's last statement stands for all of them.
    fn note_pace(&self) {
        if let Some(slot) = self.batch.iter().rev().find(|sent| sent.wanted).and_then(|sent| sent.slot)
            && let Some(connection) = &self.connection
        {
            connection.cache.paces.note(slot, self.began.elapsed());
        }
    }

    /// The next event from the socket, with whether a failure was one of a stale statement. Safe to drop.
    pub(crate) async fn advance(&mut self) -> Result<Option<StreamEvent>, (Error, bool)> {
        let Some(connection) = self.connection.as_mut() else { return Ok(None) };
        let connection: &mut Connection = connection;
        if let Some(large) = &mut self.large {
            let event = large.next(connection).await.map_err(|error| (error, false))?;
            if matches!(event, StreamEvent::LargeRowEnd) {
                self.large = None;
            }
            return Ok(Some(event));
        }
        loop {
            let message =
                connection.wire.message_or_large_row(LARGE_ROW).await.map_err(|error| (error, false))?;
            let message = match message {
                Ok(message) => message,
                Err(head) => {
                    debug_assert_eq!(head.tag, b'D');
                    let large = self.large.insert(LargeRow { fields: None, next: 0, field_left: 0 });
                    return large.next(connection).await.map(Some).map_err(|error| (error, false));
                }
            };
            let step = connection.step(message, &mut self.batch, &mut self.progress);
            let wanted = |piece: usize| piece >= self.first && piece < self.first + self.count;
            match step.map_err(|error| (error, false))? {
                Step::Begin(piece) if wanted(piece) => {
                    let columns = self.batch[piece].columns.clone().unwrap_or_else(no_columns);
                    return Ok(Some(StreamEvent::Columns(columns)));
                }
                Step::Row(row) => return Ok(Some(StreamEvent::Row(row))),
                Step::Complete(piece, tag) if wanted(piece) => return Ok(Some(StreamEvent::Complete(tag))),
                Step::Nothing | Step::Begin(_) | Step::Complete(..) => {}
                Step::End(Ok(())) => {
                    self.note_pace();
                    return Ok(None);
                }
                Step::End(Err(error)) => {
                    let stale = matches!(error, crate::batch::BatchError::Statement { stale: true, .. });
                    return Err((error.into_error(self.first, self.count), stale));
                }
            }
        }
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        if self.discards
            && let (Some(large), Some(connection)) = (&self.large, &mut self.connection)
            && large.field_left > WORTH_READING
        {
            connection.wire.broken = true;
        }
    }
}

impl LargeRow {
    /// Nothing is lost when this is dropped: every step takes all it needs from the buffer at once.
    async fn next(&mut self, connection: &mut Connection) -> Result<StreamEvent, Error> {
        if self.field_left > 0 {
            let chunk = connection.wire.piece(self.field_left.min(MAX_CHUNK)).await?;
            if chunk.is_empty() {
                return Err(connection.wire.protocol_error("a row shorter than its fields"));
            }
            self.field_left -= chunk.len();
            return Ok(StreamEvent::Chunk(chunk));
        }
        let Some(fields) = self.fields else {
            let fields = usize::from(connection.wire.exact(2).await?.get_u16());
            self.fields = Some(fields);
            return Ok(StreamEvent::LargeRow { fields });
        };
        if self.next == fields {
            return Ok(StreamEvent::LargeRowEnd);
        }
        let length = connection.wire.exact(4).await?.get_i32();
        let index = self.next;
        self.next += 1;
        let length = usize::try_from(length).ok();
        self.field_left = length.unwrap_or(0);
        Ok(StreamEvent::Field { index, length })
    }
}
