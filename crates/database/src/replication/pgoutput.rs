//! What PostgreSQL's output plugin `pgoutput` writes, protocol versions 1 to 4 (without two-phase commit).
//!
//! A [`Decoder`] keeps one bit of state, whether it is inside a streamed block; everything it returns is a slice of
//! the message it was given, so a message costs no more memory than its own bytes and one entry a column.

use bytes::{Buf, Bytes};

use super::Lsn;

/// Why a message could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before its content does.
    #[error("a replication message ends early")]
    Short,
    /// It goes on after its content.
    #[error("a replication message is longer than its content")]
    Long,
    /// A kind of message, or of a part of one, that is not known.
    #[error("unknown replication message part {:?}", char::from(*.0))]
    Unknown(u8),
    /// A name is not UTF-8.
    #[error("a name in a replication message is not UTF-8")]
    Encoding,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A transaction begins.
    Begin {
        /// Where its commit is in the log.
        final_lsn: Lsn,
        /// When it was committed, microseconds since 2000.
        committed: i64,
        /// Its id.
        xid: u32,
    },
    /// A transaction ends.
    Commit {
        /// Where the commit record begins.
        commit_lsn: Lsn,
        /// Where the transaction ends in the log: the position to confirm.
        end_lsn: Lsn,
        /// When it was committed, microseconds since 2000.
        committed: i64,
    },
    /// The transaction was replicated here from elsewhere.
    Origin {
        /// Where its commit is in the other server's log.
        lsn: Lsn,
        /// The origin's name.
        name: Box<str>,
    },
    /// What a table looks like: comes before its first change and after it was altered.
    Relation(Relation),
    /// A type that is not built in.
    Type {
        /// Its oid.
        oid: u32,
        /// Its schema.
        schema: Box<str>,
        /// Its name.
        name: Box<str>,
    },
    /// A row came to be.
    Insert {
        /// The table's oid.
        relation: u32,
        /// The row.
        new: Tuple,
    },
    /// A row was changed.
    Update {
        /// The table's oid.
        relation: u32,
        /// What the replica identity kept of the row before; absent when the key has not changed.
        old: Option<OldTuple>,
        /// The row after.
        new: Tuple,
    },
    /// A row was removed.
    Delete {
        /// The table's oid.
        relation: u32,
        /// What the replica identity kept of it.
        old: OldTuple,
    },
    /// Tables were emptied.
    Truncate {
        /// Their oids.
        relations: Box<[u32]>,
        /// Whether with CASCADE.
        cascade: bool,
        /// Whether sequences were restarted.
        restart_identity: bool,
    },
    /// A message of `pg_logical_emit_message`.
    Logical {
        /// Whether it belongs to the transaction.
        transactional: bool,
        /// Where it is in the log.
        lsn: Lsn,
        /// Its prefix.
        prefix: Box<str>,
        /// Its content.
        content: Bytes,
    },
    /// A block of a transaction that has not ended yet begins (protocol 2).
    StreamStart {
        /// The transaction's id.
        xid: u32,
        /// Whether this is its first block.
        first: bool,
    },
    /// The block ends.
    StreamStop,
    /// A streamed transaction was committed.
    StreamCommit {
        /// Its id.
        xid: u32,
        /// Where the transaction ends in the log.
        end_lsn: Lsn,
        /// When, microseconds since 2000.
        committed: i64,
    },
    /// A streamed transaction, or a part of it, was rolled back.
    StreamAbort {
        /// Its id.
        xid: u32,
        /// The subtransaction's id; the same when it is the whole.
        subxid: u32,
    },
}

/// What a table looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The replica identity.
    pub identity: ReplicaIdentity,
    /// The columns that are published, in order.
    pub columns: Box<[RelationColumn]>,
}

/// A table's replica identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key, if there is one.
    Default,
    /// None.
    Nothing,
    /// The whole row.
    Full,
    /// The columns of an index.
    Index,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Its name.
    pub name: Box<str>,
    /// Oid of its type.
    pub type_oid: u32,
    /// The type's modifier, -1 for none.
    pub type_modifier: i32,
    /// Whether it is part of the replica identity.
    pub in_identity: bool,
}

/// A row: one value a column of its relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple(pub Vec<Datum>);

/// What is known of a row before its change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldTuple {
    /// The columns of the replica identity; the others are null.
    Key(Tuple),
    /// All columns (replica identity full).
    Full(Tuple),
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    /// SQL null.
    Null,
    /// A large value that the change has not touched, and that is not in the log.
    Unchanged,
    /// Text.
    Text(Bytes),
    /// The type's binary form.
    Binary(Bytes),
}

/// Reads messages in the order they arrive.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// Inside a streamed block every message carries a transaction id.
    in_stream: bool,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one message.
    pub fn decode(&mut self, body: Bytes) -> Result<Message, DecodeError> {
        let mut reader = Reader(body);
        let tag = reader.u8()?;
        if self.in_stream && matches!(tag, b'M' | b'R' | b'Y' | b'I' | b'U' | b'D' | b'T') {
            reader.u32()?;
        }
        let message = match tag {
            b'B' => Message::Begin { final_lsn: reader.lsn()?, committed: reader.i64()?, xid: reader.u32()? },
            b'C' => {
                let _flags = reader.u8()?;
                Message::Commit {
                    commit_lsn: reader.lsn()?,
                    end_lsn: reader.lsn()?,
                    committed: reader.i64()?,
                }
            }
            b'O' => Message::Origin { lsn: reader.lsn()?, name: reader.string()? },
            b'R' => Message::Relation(reader.relation()?),
            b'Y' => Message::Type { oid: reader.u32()?, schema: reader.string()?, name: reader.string()? },
            b'I' => {
                let relation = reader.u32()?;
                reader.expect(b'N')?;
                Message::Insert { relation, new: reader.tuple()? }
            }
            b'U' => {
                let relation = reader.u32()?;
                let kind = reader.u8()?;
                let old = match kind {
                    b'N' => None,
                    kind => {
                        let old = reader.old(kind)?;
                        reader.expect(b'N')?;
                        Some(old)
                    }
                };
                Message::Update { relation, old, new: reader.tuple()? }
            }
            b'D' => {
                let relation = reader.u32()?;
                let kind = reader.u8()?;
                Message::Delete { relation, old: reader.old(kind)? }
            }
            b'T' => {
                let count = reader.u32()? as usize;
                let options = reader.u8()?;
                // Each takes four bytes: a count that cannot be true allocates nothing.
                if count.saturating_mul(4) > reader.0.len() {
                    return Err(DecodeError::Short);
                }
                let relations = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
                Message::Truncate { relations, cascade: options & 1 != 0, restart_identity: options & 2 != 0 }
            }
            b'M' => {
                let transactional = reader.u8()? & 1 != 0;
                let lsn = reader.lsn()?;
                let prefix = reader.string()?;
                let len = reader.u32()? as usize;
                Message::Logical { transactional, lsn, prefix, content: reader.bytes(len)? }
            }
            b'S' => {
                self.in_stream = true;
                Message::StreamStart { xid: reader.u32()?, first: reader.u8()? == 1 }
            }
            b'E' => {
                self.in_stream = false;
                Message::StreamStop
            }
            b'c' => {
                let xid = reader.u32()?;
                let _flags = reader.u8()?;
                let _commit = reader.lsn()?;
                Message::StreamCommit { xid, end_lsn: reader.lsn()?, committed: reader.i64()? }
            }
            b'A' => {
                let (xid, subxid) = (reader.u32()?, reader.u32()?);
                // Protocol 4 with parallel streaming tells where and when as well.
                if !reader.0.is_empty() {
                    reader.lsn()?;
                    reader.i64()?;
                }
                Message::StreamAbort { xid, subxid }
            }
            other => return Err(DecodeError::Unknown(other)),
        };
        if reader.0.is_empty() { Ok(message) } else { Err(DecodeError::Long) }
    }
}

/// Takes values from the front of a message.
struct Reader(Bytes);

impl Reader {
    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.0.try_get_u8().map_err(|_| DecodeError::Short)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.0.try_get_u16().map_err(|_| DecodeError::Short)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.0.try_get_u32().map_err(|_| DecodeError::Short)
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.0.try_get_i64().map_err(|_| DecodeError::Short)
    }

    fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        self.0.try_get_u64().map(Lsn).map_err(|_| DecodeError::Short)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), DecodeError> {
        match self.u8()? {
            got if got == wanted => Ok(()),
            got => Err(DecodeError::Unknown(got)),
        }
    }

    fn bytes(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.0.len() {
            return Err(DecodeError::Short);
        }
        Ok(self.0.split_to(len))
    }

    fn string(&mut self) -> Result<Box<str>, DecodeError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(DecodeError::Short)?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        Ok(std::str::from_utf8(&text).map_err(|_| DecodeError::Encoding)?.into())
    }

    fn relation(&mut self) -> Result<Relation, DecodeError> {
        let oid = self.u32()?;
        let mut schema = self.string()?;
        if schema.is_empty() {
            schema = "pg_catalog".into();
        }
        let name = self.string()?;
        let identity = match self.u8()? {
            b'd' => ReplicaIdentity::Default,
            b'n' => ReplicaIdentity::Nothing,
            b'f' => ReplicaIdentity::Full,
            b'i' => ReplicaIdentity::Index,
            other => return Err(DecodeError::Unknown(other)),
        };
        let columns = self.u16()?;
        let columns = (0..columns)
            .map(|_| {
                let flags = self.u8()?;
                Ok(RelationColumn {
                    name: self.string()?,
                    type_oid: self.u32()?,
                    type_modifier: self.u32()? as i32,
                    in_identity: flags & 1 != 0,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Relation { oid, schema, name, identity, columns })
    }

    fn old(&mut self, kind: u8) -> Result<OldTuple, DecodeError> {
        match kind {
            b'K' => Ok(OldTuple::Key(self.tuple()?)),
            b'O' => Ok(OldTuple::Full(self.tuple()?)),
            other => Err(DecodeError::Unknown(other)),
        }
    }

    fn tuple(&mut self) -> Result<Tuple, DecodeError> {
        let count = usize::from(self.u16()?);
        // A column takes at least one byte.
        if count > self.0.len() {
            return Err(DecodeError::Short);
        }
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(match self.u8()? {
                b'n' => Datum::Null,
                b'u' => Datum::Unchanged,
                kind @ (b't' | b'b') => {
                    let len = self.u32()? as usize;
                    let bytes = self.bytes(len)?;
                    if kind == b't' { Datum::Text(bytes) } else { Datum::Binary(bytes) }
                }
                other => return Err(DecodeError::Unknown(other)),
            });
        }
        Ok(Tuple(values))
    }
}

#[cfg(test)]
mod tests;
