//! Rows handed out while they arrive, and large values in pieces.
use crate::error::Error;
use crate::result::{Column, CommandTag, Row};
use bytes::Bytes;
use std::sync::Arc;

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

/// The answer to [`crate::Pool::stream_request`]. Nothing is read from the socket before it is asked for, so a slow
/// reader holds the server back. Dropped early, the rest is cancelled.
pub struct RowStream {}

impl RowStream {
    /// The next event. `None` after the end: the transaction is then committed.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, Error> {
        todo!()
    }
}
