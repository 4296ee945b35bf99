//! What can go wrong, in the words of the CLI where it has some.

use std::fmt;
use std::io;
use std::path::PathBuf;

use database::DbError;

/// A failure to bring a project into a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database could not be reached.
    #[error("failed to connect to the database: {0}")]
    Connect(#[source] database::Error),
    /// A file or folder could not be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not text that PostgreSQL can take.
    #[error("{} is not UTF-8 text: byte {offset} cannot be part of a statement", path.display())]
    Encoding {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
    /// A pattern of `db.seed.sql_paths` cannot be understood.
    #[error("failed to glob files: {pattern}: {reason}")]
    Pattern {
        /// Which.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The history names migrations that the folder does not have.
    #[error("Remote migration versions not found in local migrations directory: {}", versions.join(", "))]
    MissingLocal {
        /// Their versions.
        versions: Vec<String>,
    },
    /// The folder has migrations that are older than the last one that was applied.
    #[error(
        "Found local migration files to be inserted before the last migration on remote database: {}",
        files.join(", ")
    )]
    MissingRemote {
        /// Their file names.
        files: Vec<String>,
    },
    /// The history tables could not be read or written.
    #[error("failed to access the migration history: {0}")]
    History(#[source] database::Error),
    /// A statement of a file failed.
    #[error("{file}: {error}")]
    Statement {
        /// The file, as messages name it.
        file: String,
        /// What happened.
        error: Box<StatementError>,
    },
    /// The connection failed while a file was applied.
    #[error("{file}: {source}")]
    Lost {
        /// The file, as messages name it.
        file: String,
        /// Why.
        source: database::Error,
    },
    /// A file begins a transaction that it does not end; nothing of it was kept.
    #[error("{file}: the file ends inside of a transaction block: add the missing `commit`")]
    OpenTransaction {
        /// The file, as messages name it.
        file: String,
    },
}

/// A statement that the server refused.
#[derive(Debug)]
pub struct StatementError {
    /// The server's report.
    pub error: DbError,
    /// Which statement of the file, from 0. As many as the file has stand for the entry in the history.
    pub index: usize,
    /// Its text.
    pub statement: String,
}

impl Error {
    /// What there is to know beside the message: lines that keep their form. For a statement, where in it the error is.
    pub fn detail(&self) -> Option<String> {
        match self {
            Error::Statement { error, .. } => Some(error.detail()),
            _ => None,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::MissingLocal { versions } => Some(format!(
                "if they are meant to be gone, `supabase migration repair --status reverted {}` takes them out of the history",
                versions.join(" ")
            )),
            Error::MissingRemote { .. } => Some(
                "give them a later timestamp, or apply them with `supabase db push --include-all`".to_owned(),
            ),
            Error::Statement { error, .. } => error.hint(),
            _ => None,
        }
    }
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for StatementError {}

impl StatementError {
    /// The server's detail, and the statement up to the place of the error.
    fn detail(&self) -> String {
        let mut text = String::new();
        if let Some(detail) = self.error.detail.as_deref().filter(|detail| !detail.is_empty()) {
            text.push_str(detail);
            text.push('\n');
        }
        text.push_str(&format!("At statement: {}\n", self.index));
        text.push_str(&marked(&self.statement, self.error.position.unwrap_or(0)));
        text
    }

    /// The server's hint, or ours.
    fn hint(&self) -> Option<String> {
        if let Some(name) = self.unqualified_type() {
            return Some(format!(
                "this type may be defined in a schema that is not in your search_path; those of extensions are in the schema \
                 extensions: write extensions.{name}"
            ));
        }
        self.error.hint.clone().filter(|hint| !hint.is_empty())
    }

    /// The name of a type that was not found and that was written without a schema.
    fn unqualified_type(&self) -> Option<&str> {
        if self.error.code.as_str() != "42704" {
            return None;
        }
        let (name, _) = self.error.message.strip_prefix("type \"")?.split_once("\" does not exist")?;
        (!name.contains('.')).then_some(name)
    }
}

/// The statement up to the line of `position` (in characters from 1), with a caret below that place; all of it for 0.
fn marked(statement: &str, position: u32) -> String {
    let mut left = usize::try_from(position).unwrap_or(usize::MAX);
    if left == 0 {
        return statement.to_owned();
    }
    let mut text = String::new();
    for line in statement.split('\n') {
        text.push_str(line);
        let length = line.chars().count();
        if left <= length + 1 {
            // Tabs stay tabs, so that the caret stands where the terminal shows the character.
            text.push('\n');
            text.extend(line.chars().take(left - 1).map(|c| if c == '\t' { '\t' } else { ' ' }));
            text.push('^');
            break;
        }
        left -= length + 1;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn the_caret_stands_below_the_place_of_the_error() {
        assert_eq!(marked("select x", 8), "select x\n       ^");
        assert_eq!(
            marked("create table t (\n\tà ltree,\n  b int\n)", 21),
            "create table t (\n\tà ltree,\n\t  ^"
        );
        assert_eq!(marked("select", 7), "select\n      ^");
        assert_eq!(marked("a\nb", 0), "a\nb");
        assert_eq!(marked("a\nb", 99), "a\nb\n");
    }
}
