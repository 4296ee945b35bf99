//! What statements return: columns, rows and command tags.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Box<str>,
    /// The table it comes from, 0 when it is computed.
    pub table_oid: u32,
    /// Its attribute number in that table, 0 when it is computed.
    pub attribute: i16,
    /// Oid of its type.
    pub type_oid: u32,
    /// Size of its type, negative when variable.
    pub type_size: i16,
    /// Modifier of its type, -1 for none.
    pub type_modifier: i32,
}

/// One row: slices of the bytes that came from the socket.
#[derive(Clone)]
pub struct Row {
    body: Bytes,
    fields: SmallVec<[Field; 8]>,
}

#[derive(Clone, Copy)]
struct Field {
    start: u32,
    /// `NULL` is `u32::MAX`.
    len: u32,
}

const NULL: u32 = u32::MAX;

impl Row {
    /// Reads the body of a `DataRow` message (without tag and length). `None` when it is malformed.
    /// Its length as it was sent, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn decode(body: Bytes) -> Option<Row> {
        let count = usize::from(u16::from_be_bytes(body.get(..2)?.try_into().ok()?));
        let mut fields = SmallVec::with_capacity(count);
        let mut at = 2usize;
        for _ in 0..count {
            let len = i32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?);
            at += 4;
            if len < 0 {
                fields.push(Field { start: 0, len: NULL });
                continue;
            }
            let len = len as u32;
            if body.len() - at < len as usize {
                return None;
            }
            fields.push(Field { start: at as u32, len });
            at += len as usize;
        }
        (at == body.len()).then_some(Row { body, fields })
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether it has no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The bytes of field `index`; `None` for SQL null and for a field that is not there.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let field = self.fields.get(index)?;
        (field.len != NULL).then(|| &self.body[field.start as usize..(field.start + field.len) as usize])
    }

    /// Like [`Row::get`], as UTF-8; `None` also when it is no UTF-8 (a binary field).
    pub fn text(&self, index: usize) -> Option<&str> {
        std::str::from_utf8(self.get(index)?).ok()
    }

    /// Like [`Row::get`], sharing the bytes without copying them.
    pub fn bytes(&self, index: usize) -> Option<Bytes> {
        let field = self.fields.get(index)?;
        (field.len != NULL).then(|| self.body.slice(field.start as usize..(field.start + field.len) as usize))
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries((0..self.len()).map(|index| self.get(index).map(String::from_utf8_lossy)))
            .finish()
    }
}

/// What the server says a statement did, such as `INSERT 0 3`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CommandTag(Bytes);

impl CommandTag {
    pub(crate) fn new(text: Bytes) -> Self {
        CommandTag(text)
    }

    /// The whole tag; empty for an empty statement.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The number of rows it names, 0 when it names none.
    pub fn rows(&self) -> u64 {
        self.as_str().rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl fmt::Debug for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The result of one statement.
#[derive(Debug, Clone)]
pub struct ResultSet {
    /// Its columns; empty when the statement returns no rows.
    pub columns: Arc<[Column]>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// What it did.
    pub tag: CommandTag,
}

impl ResultSet {
    /// The first field of the first row as text.
    pub fn scalar(&self) -> Option<&str> {
        self.rows.first()?.text(0)
    }
}
