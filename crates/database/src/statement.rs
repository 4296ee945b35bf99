//! Statements and parameters as callers hand them in.

/// One statement of the extended protocol.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// Its text, with `$1`, `$2` … for parameters.
    pub sql: &'a str,
    /// Its parameters, in order.
    pub params: &'a [Param<'a>],
    /// How its columns come back.
    pub results: Format<'a>,
    /// Whether to keep it prepared on the connection. Off for text that will not come again.
    pub cached: bool,
}

impl<'a> Statement<'a> {
    /// A statement that is kept prepared and answers in text.
    pub fn new(sql: &'a str, params: &'a [Param<'a>]) -> Self {
        Statement { sql, params, results: Format::Text, cached: true }
    }

    /// The same, parsed anew each time.
    pub fn uncached(mut self) -> Self {
        self.cached = false;
        self
    }

    /// The same, with columns in the given format.
    pub fn results(mut self, format: Format<'a>) -> Self {
        self.results = format;
        self
    }
}

/// How columns are represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format<'a> {
    /// All as text.
    Text,
    /// All in the type's binary form.
    Binary,
    /// One choice a column: `true` is binary. Must have as many entries as the result has columns.
    PerColumn(&'a [bool]),
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub enum Param<'a> {
    /// SQL null of unknown type.
    Null,
    /// Text of unknown type: the server infers the type from where it stands, as for a quoted literal.
    Text(&'a str),
    /// A value of a stated type.
    Typed {
        /// The type's oid.
        oid: u32,
        /// Whether `bytes` is the type's binary form.
        binary: bool,
        /// The value, `None` for null.
        bytes: Option<&'a [u8]>,
    },
}

impl Param<'_> {
    pub(crate) fn oid(&self) -> u32 {
        match self {
            Param::Null | Param::Text(_) => 0,
            Param::Typed { oid, .. } => *oid,
        }
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Param::Text(text)
    }
}

impl<'a> From<Option<&'a str>> for Param<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Param::Null, Param::Text)
    }
}
