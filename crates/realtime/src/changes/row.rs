//! A changed row as it came out of the log.

use std::sync::Arc;

use database::replication::pgoutput::{Datum, OldTuple, Relation, Tuple};

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Insert,
    Update,
    Delete,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::Insert => "INSERT",
            Action::Update => "UPDATE",
            Action::Delete => "DELETE",
        }
    }
}

/// One change of one row.
#[derive(Debug, Clone)]
pub(crate) struct RowChange {
    pub(crate) action: Action,
    /// What the table looked like.
    pub(crate) relation: Arc<Relation>,
    /// The row after the change; none for a deletion.
    pub(crate) new: Option<Tuple>,
    /// What the log has of the row before.
    pub(crate) old: Option<OldTuple>,
    /// When it was committed, microseconds since 2000.
    pub(crate) committed: i64,
    /// The transaction's number.
    pub(crate) transaction: u32,
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Null,
    Text(&'a str),
}

impl<'a> Field<'a> {
    /// `None` where the log has no value.
    pub(crate) fn of(datum: &'a Datum) -> Option<Field<'a>> {
        match datum {
            Datum::Null => Some(Field::Null),
            // The stream is asked for text in UTF-8; what is not cannot be shown.
            Datum::Text(bytes) => std::str::from_utf8(bytes).ok().map(Field::Text),
            Datum::Unchanged | Datum::Binary(_) => None,
        }
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Field::Null => None,
            Field::Text(text) => Some(text),
        }
    }
}

impl RowChange {
    /// The value after the change (of a deletion: none).
    pub(crate) fn new_field(&self, index: usize) -> Option<Field<'_>> {
        Field::of(self.new.as_ref()?.0.get(index)?)
    }

    /// The value before the change, as far as the replica identity tells it.
    ///
    /// Where an update left the key alone the log says nothing of the row before; the key is taken from the row after,
    /// as wal2json does. `in_key` says whether the column belongs to what the replica identity would have kept.
    pub(crate) fn old_field(&self, index: usize, in_key: bool) -> Option<Field<'_>> {
        match &self.old {
            Some(OldTuple::Full(tuple)) => Field::of(tuple.0.get(index)?),
            Some(OldTuple::Key(tuple)) if in_key => Field::of(tuple.0.get(index)?),
            None if in_key && self.action == Action::Update => self.new_field(index),
            _ => None,
        }
    }

    /// The value after the change, or the one before where the change has not touched it and the log has it.
    pub(crate) fn shown_field(&self, index: usize) -> Option<Field<'_>> {
        match (self.new_field(index), &self.old) {
            (None, Some(OldTuple::Full(tuple))) => Field::of(tuple.0.get(index)?),
            (field, _) => field,
        }
    }

    /// Bytes of all values.
    pub(crate) fn bytes(&self) -> usize {
        let size = |tuple: &Tuple| {
            let values = tuple.0.iter().map(|datum| match datum {
                Datum::Text(bytes) | Datum::Binary(bytes) => bytes.len() + 32,
                _ => 32,
            });
            values.sum::<usize>()
        };
        let old = match &self.old {
            Some(OldTuple::Full(tuple) | OldTuple::Key(tuple)) => size(tuple),
            None => 0,
        };
        old + self.new.as_ref().map_or(0, size)
    }
}
