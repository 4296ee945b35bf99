//! What is wrong with a configuration, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// A place in a file; lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file as the user would name it.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// The lines of a text, to find the place of many offsets in it.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// In longer lines columns are counted in bytes: a hostile file is one line, asked for a thousand times.
const LONGEST_COUNTED: usize = 4096;

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Lines<'a> {
        let after_ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(0).chain(after_ends).collect() }
    }

    /// The place of a byte offset.
    pub(crate) fn location(&self, file: impl Into<PathBuf>, offset: usize) -> Location {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = &self.text[self.starts[line - 1]..offset];
        let column = if before.len() > LONGEST_COUNTED { before.len() } else { before.chars().count() };
        Location { file: file.into(), line, column: column + 1 }
    }
}

/// Why the configuration cannot be used. Never contains a secret's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// One line, without a period at the end.
    pub message: String,
    /// Where, when it is in a file.
    pub location: Option<Location>,
    /// The next step.
    pub hint: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> ConfigError {
        ConfigError { message: message.into(), location: None, hint: None }
    }

    pub(crate) fn at(mut self, location: Location) -> ConfigError {
        self.location = Some(location);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> ConfigError {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Something the user should know though everything works: one line, and perhaps a next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One line, without a period at the end.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

impl Notice {
    pub(crate) fn new(message: impl Into<String>) -> Notice {
        Notice { message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Notice {
        self.hint = Some(hint.into());
        self
    }
}

/// The candidate that a mistyped name was probably meant to be.
pub(crate) fn suggestion<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long names are compared in full for each candidate: an absurd one is not worth the time.
    if typed.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(typed, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
