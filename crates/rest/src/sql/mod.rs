//! From a plan to SQL. Identifiers are quoted, values are parameters; nothing a client sends becomes part of the text,
//! except names of types in casts, which the parser restricts to letters, digits, `_`, `$` and blanks.

mod call;
mod fragment;
mod mutate;
mod read;
mod statement;

pub use statement::{Columns, StatementText, call, explain_count, mutate, read};

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::plan::tree::Source;

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// Text whose type the server infers.
    Text(Cow<'a, str>),
    /// JSON, as bytes that nobody checked.
    Json(&'a [u8]),
    /// The same, as `jsonb`.
    Jsonb(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text as bytes that nobody checked, of a type that the statement casts it to.
    Raw(&'a [u8]),
}

/// A statement in the making.
#[derive(Debug, Default)]
pub struct Sql<'a> {
    text: String,
    parameters: Vec<Parameter<'a>>,
}

impl<'a> Sql<'a> {
    pub(crate) fn new() -> Self {
        Self { text: String::with_capacity(1024), parameters: Vec::new() }
    }

    /// Adds fixed text.
    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds text that is SQL already: an expression of the catalogue, a checked name of a type.
    pub(crate) fn trusted(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a quoted identifier. It ends at a NUL, which PostgreSQL could not read.
    pub(crate) fn identifier(&mut self, name: &str) -> &mut Self {
        self.text.push('"');
        for (index, part) in until_nul(name).split('"').enumerate() {
            if index > 0 {
                self.text.push_str("\"\"");
            }
            self.text.push_str(part);
        }
        self.text.push('"');
        self
    }

    /// Adds a name, with its schema if it has one.
    pub(crate) fn qualified(&mut self, schema: &str, name: &str) -> &mut Self {
        if !schema.is_empty() {
            self.identifier(schema).push(".");
        }
        self.identifier(name)
    }

    /// Adds the name of a relation.
    pub(crate) fn source(&mut self, source: &Source<'_>) -> &mut Self {
        self.qualified(source.schema, &source.name)
    }

    /// Adds a column of a relation, or all of them.
    pub(crate) fn column(&mut self, source: &Source<'_>, name: &str) -> &mut Self {
        self.source(source).push(".");
        if name == "*" { self.push("*") } else { self.identifier(name) }
    }

    /// Adds a quoted literal. Only for what the catalogue says.
    pub(crate) fn literal(&mut self, text: &str) -> &mut Self {
        self.text.push_str(&database::ident::quote_literal(until_nul(text)));
        self
    }

    /// Adds a parameter.
    pub(crate) fn parameter(&mut self, parameter: Parameter<'a>) -> &mut Self {
        self.parameters.push(parameter);
        let number = self.parameters.len();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "${number}");
        self
    }

    /// Adds a value of a type that the server infers.
    pub(crate) fn value(&mut self, text: impl Into<Cow<'a, str>>) -> &mut Self {
        self.parameter(Parameter::Text(text.into()))
    }

    /// Adds items with a separator between them.
    pub(crate) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        separator: &'static str,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            each(self, item);
        }
        self
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameters so far.
    pub fn parameters(&self) -> &[Parameter<'a>] {
        &self.parameters
    }
}

fn until_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or("")
}
