//! What can go wrong, with every field of the server's own reports.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::ConfigError;

/// A failure of a connection, a statement or the pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server reported an error.
    #[error("{0}")]
    Db(Box<DbError>),
    /// The connection string or a setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No host could be reached or none was acceptable; one reason a host.
    #[error("could not connect to PostgreSQL: {0}")]
    Connect(Arc<str>),
    /// TLS could not be set up or was refused.
    #[error("TLS: {0}")]
    Tls(Arc<str>),
    /// The server asked for a way to sign in that we cannot or must not use.
    #[error("authentication: {0}")]
    Authentication(Arc<str>),
    /// The socket failed.
    #[error("connection to PostgreSQL lost: {0}")]
    Io(#[source] io::Error),
    /// The server closed the connection or it was given up earlier.
    #[error("connection to PostgreSQL is closed")]
    Closed,
    /// An operation took longer than its limit.
    #[error("{what} took longer than {limit:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long it was allowed to take.
        limit: Duration,
    },
    /// No connection became free in time.
    #[error("no database connection became free within {limit:?} ({max_size} in use)")]
    PoolTimeout {
        /// How long the caller was willing to wait.
        limit: Duration,
        /// The size of the pool.
        max_size: usize,
    },
    /// The pool was closed.
    #[error("the database pool is closed")]
    PoolClosed,
    /// The server said something, or was asked something, that has no place in this conversation.
    #[error("PostgreSQL protocol: {0}")]
    Protocol(Arc<str>),
    /// A single message is larger than the configured limit.
    #[error("a message of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// The announced size.
        size: usize,
        /// The limit, `max_message_size` of the connection.
        limit: usize,
    },
    /// A parameter could not be converted for the server.
    #[error("cannot convert parameter {index}: {source}")]
    ToSql {
        /// Position of the parameter, from 1.
        index: usize,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement has another number of parameters than was given.
    #[error("the statement takes {expected} parameters, {got} were given")]
    ParameterCount {
        /// How many it takes.
        expected: usize,
        /// How many it got.
        got: usize,
    },
    /// A column could not be converted to the wanted type.
    #[error("cannot convert column {column}: {source}")]
    FromSql {
        /// Name or position of the column.
        column: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A query meant to return one row returned another number.
    #[error("expected {expected}, got {got}")]
    RowCount {
        /// What was expected.
        expected: &'static str,
        /// How many rows came.
        got: usize,
    },
    /// COMMIT was answered with ROLLBACK: the transaction had failed before.
    #[error("the transaction was rolled back at commit because a statement in it had failed")]
    RolledBack,
    /// The statement cannot work through the pooler that the connection goes through.
    #[error("{what} does not work through a transaction pooler: give a direct connection URL")]
    Pooler {
        /// What is off.
        what: &'static str,
    },
    /// A migration failed.
    #[error("migration {version} ({name}) failed: {source}")]
    Migration {
        /// Its version.
        version: String,
        /// Its name.
        name: String,
        /// Why.
        source: Box<Error>,
    },
    /// The ledger holds migrations that we do not know: a newer program has been here.
    #[error("the database was migrated by a newer version: unknown migrations {}", versions.join(", "))]
    UnknownMigrations {
        /// The versions in the ledger that we do not have.
        versions: Vec<String>,
    },
}

impl Error {
    /// The server's report, when that is what this is.
    pub fn as_db(&self) -> Option<&DbError> {
        match self {
            Error::Db(report) => Some(report),
            Error::Migration { source, .. } => source.as_db(),
            _ => None,
        }
    }

    /// Whether the server does not let us in: a wrong password, or none.
    pub fn is_refused_login(&self) -> bool {
        matches!(self, Error::Authentication(_))
            || self.as_db().is_some_and(|report| report.code.class() == "28")
    }

    /// The SQLSTATE, when the server reported one.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        self.as_db().map(|report| &report.code)
    }

    /// Whether the database could not be reached or went away, rather than refused what was asked.
    ///
    /// A caller answers 503 to these, and asks again later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Error::Connect(_) | Error::Io(_) | Error::Closed | Error::PoolClosed | Error::Timeout { .. } => {
                true
            }
            Error::Db(report) => {
                matches!(report.code.as_str(), "57P01" | "57P02" | "57P03" | "53300")
                    || report.code.class() == "08"
            }
            Error::Migration { source, .. } => source.is_unavailable(),
            _ => false,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Error::Closed } else { Error::Io(error) }
    }
}

/// How grave a report of the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session is over.
    Fatal,
    /// Every session is over.
    Panic,
    /// A notice.
    Warning,
    /// A notice.
    Notice,
    /// A notice.
    Debug,
    /// A notice.
    Info,
    /// A notice.
    Log,
}

impl Severity {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ERROR" => Severity::Error,
            "FATAL" => Severity::Fatal,
            "PANIC" => Severity::Panic,
            "WARNING" => Severity::Warning,
            "NOTICE" => Severity::Notice,
            "DEBUG" => Severity::Debug,
            "INFO" => Severity::Info,
            "LOG" => Severity::Log,
            _ => return None,
        })
    }

    /// The word the server uses in English.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Panic => "PANIC",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE",
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Log => "LOG",
        }
    }
}

/// A five-character SQLSTATE.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SqlState(Box<str>);

impl SqlState {
    /// `unique_violation`.
    pub const UNIQUE_VIOLATION: &'static str = "23505";
    /// `foreign_key_violation`.
    pub const FOREIGN_KEY_VIOLATION: &'static str = "23503";
    /// `insufficient_privilege`.
    pub const INSUFFICIENT_PRIVILEGE: &'static str = "42501";
    /// `undefined_table`.
    pub const UNDEFINED_TABLE: &'static str = "42P01";
    /// `serialization_failure`.
    pub const SERIALIZATION_FAILURE: &'static str = "40001";
    /// `query_canceled`, by a request or by `statement_timeout`.
    pub const QUERY_CANCELED: &'static str = "57014";

    /// A SQLSTATE from its five characters.
    pub fn new(code: &str) -> Self {
        SqlState(code.into())
    }

    /// The five characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first two characters.
    pub fn class(&self) -> &str {
        self.0.get(..2).unwrap_or("")
    }
}

impl PartialEq<str> for SqlState {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for SqlState {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error or a notice as the server reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbError {
    /// How grave it is.
    pub severity: Severity,
    /// The SQLSTATE.
    pub code: SqlState,
    /// The primary message, one line.
    pub message: String,
    /// The secondary message.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Position in the statement, in characters from 1.
    pub position: Option<u32>,
    /// Position in `internal_query`, in characters from 1.
    pub internal_position: Option<u32>,
    /// The statement that was generated inside the server and failed.
    pub internal_query: Option<String>,
    /// The call stack of functions, one a line.
    pub where_: Option<String>,
    /// Schema of the object concerned.
    pub schema: Option<String>,
    /// Table concerned.
    pub table: Option<String>,
    /// Column concerned.
    pub column: Option<String>,
    /// Data type concerned.
    pub data_type: Option<String>,
    /// Constraint concerned.
    pub constraint: Option<String>,
    /// Source file of the server.
    pub file: Option<String>,
    /// Line in that file.
    pub line: Option<u32>,
    /// Function in that file.
    pub routine: Option<String>,
    /// Which of the caller's statements failed, from 0; `None` in the preamble (role, claims, settings) and at
    /// commit.
    pub statement: Option<usize>,
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (SQLSTATE {})", self.severity.as_str(), self.message, self.code)
    }
}

impl std::error::Error for DbError {}
