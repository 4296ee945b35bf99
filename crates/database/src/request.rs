//! The request transaction: a client's role, claims and settings, its statements, and the end.
//!
//! PostgreSQL runs everything between two Syncs as one transaction, whether or not it begins with BEGIN. So a request
//! whose isolation is the server's default needs neither BEGIN nor COMMIT: its settings are made with
//! `set_config(…, true)`, which lasts until the transaction ends, and the Sync commits. What fails at commit (a deferred
//! constraint) is reported before the server is ready again. Read-only is a setting, too (`transaction_read_only`), and
//! as firm as `BEGIN READ ONLY`: once the first statement has run, the server does not take it back.
//!
//! Measured with pgbench on 18.4, one row by primary key under row level security, five settings: the server spends
//! 26 µs a request (24 at best), 28.5 µs (25 at best) with BEGIN READ ONLY and COMMIT around it in the same round trip.
//! Two messages fewer each way are saved on the client's side as well.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::batch::{BatchError, Piece, SentBatch, Values};
use crate::cache::Scope;
use crate::connection::{Connection, TransactionStatus};
use crate::error::Error;
use crate::pool::PooledConnection;
use crate::result::ResultSet;
use crate::statement::Statement;
use crate::transaction::begin_statement;

/// A setting and its value.
pub(crate) type Setting<'a> = (&'a str, &'a str);

/// How far concurrent transactions see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// `READ COMMITTED`
    ReadCommitted,
    /// `REPEATABLE READ`
    RepeatableRead,
    /// `SERIALIZABLE`
    Serializable,
}

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// It may.
    #[default]
    ReadWrite,
    /// It must not.
    ReadOnly,
}

/// How a request transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// With COMMIT.
    #[default]
    Commit,
    /// With ROLLBACK, whatever it did.
    Rollback,
}

/// Under whose name and with which settings statements run.
#[derive(Debug, Clone, Default)]
pub struct RequestContext<'a> {
    /// The role, as by `set local role`; `None` keeps the login's.
    pub role: Option<Cow<'a, str>>,
    /// Settings that only the login may make, and so come before the role: those that were granted to it.
    pub privileged: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Settings for this transaction, as by `set_config(name, value, true)`, in order, after the role.
    pub settings: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Isolation; `None` is the server's default.
    pub isolation: Option<Isolation>,
    /// Whether it may write.
    pub access: Access,
    /// How it ends ([`crate::Pool::begin_request`] ignores this).
    pub end: End,
}

impl<'a> RequestContext<'a> {
    /// A context under `role`.
    pub fn new(role: impl Into<Cow<'a, str>>) -> Self {
        RequestContext { role: Some(role.into()), ..RequestContext::default() }
    }

    /// The same with one more setting.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// The same with `request.jwt.claims`.
    #[must_use]
    pub fn with_claims(self, claims: impl Into<Cow<'a, str>>) -> Self {
        self.with("request.jwt.claims", claims)
    }

    /// The same, unable to write.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    fn scope(&self) -> Scope<'_> {
        let path = self.settings.iter().rev().find(|(name, _)| name == "search_path");
        Scope {
            role: self.role.as_deref().unwrap_or(""),
            search_path: path.map_or("", |(_, value)| value.as_ref()),
        }
    }
}

/// The settings of a request in the order they are made.
type Settings<'a> = SmallVec<[Setting<'a>; 10]>;

/// A request in the form it is sent.
pub(crate) struct Plan<'a> {
    pub(crate) pieces: SmallVec<[Piece<'a>; 6]>,
    /// How many pieces come before the caller's.
    pub(crate) first: usize,
    /// How many are the caller's.
    pub(crate) count: usize,
    /// Whether the transaction is begun by a statement, and so outlives a failure.
    pub(crate) explicit: bool,
}

/// How the transaction is to be bounded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// By the Sync, or by BEGIN and an end in the same batch.
    Whole,
    /// Left open.
    Open,
}

/// All settings of a context, `role` before those of the request: what follows then runs under it.
pub(crate) fn settings<'a>(context: &'a RequestContext<'_>, bounds: Bounds) -> Settings<'a> {
    let mut settings = Settings::new();
    // The same as BEGIN READ ONLY, and as little to be undone: the server takes it back for no one.
    if context.access == Access::ReadOnly && !explicit(context, bounds) {
        settings.push(("transaction_read_only", "on"));
    }
    settings.extend(context.privileged.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    if let Some(role) = &context.role {
        settings.push(("role", role));
    }
    settings.extend(context.settings.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    settings
}

fn explicit(context: &RequestContext<'_>, bounds: Bounds) -> bool {
    bounds == Bounds::Open || context.isolation.is_some() || context.end == End::Rollback
}

pub(crate) fn plan<'a>(
    context: &'a RequestContext<'_>,
    settings: &'a [Setting<'a>],
    statements: &'a [Statement<'a>],
    bounds: Bounds,
) -> Plan<'a> {
    let mut pieces = SmallVec::new();
    let explicit = explicit(context, bounds);
    if explicit {
        pieces.push(Piece::silent(begin_statement(context.isolation, context.access), Values::Params(&[])));
    }
    for settings in settings.chunks(MAX_SETTINGS) {
        pieces.push(Piece::silent(set_config(settings.len()), Values::Settings(settings)));
    }
    let first = pieces.len();
    let scope = context.scope();
    pieces.extend(statements.iter().map(|statement| Piece::of(statement, scope)));
    if explicit && bounds == Bounds::Whole {
        let end = match context.end {
            End::Commit => "commit",
            End::Rollback => "rollback",
        };
        pieces.push(Piece::silent(end, Values::Params(&[])));
    }
    Plan { pieces, first, count: statements.len(), explicit }
}

/// The most settings that one statement makes.
const MAX_SETTINGS: usize = 16;

/// A statement that makes `count` settings and returns no row: the answer would only repeat the values.
fn set_config(count: usize) -> &'static str {
    static TEXTS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        (1..=MAX_SETTINGS)
            .map(|count| {
                let calls: Vec<String> = (0..count)
                    .map(|at| format!("pg_catalog.set_config(${}, ${}, true)", 2 * at + 1, 2 * at + 2))
                    .collect();
                // num_nulls evaluates all its arguments, which a chain of ANDs would not.
                format!("select where pg_catalog.num_nulls({}) < 0", calls.join(", "))
            })
            .collect()
    });
    texts.get(count.saturating_sub(1)).map_or("", String::as_str)
}

impl Connection {
    /// Runs statements as one request transaction, as [`crate::Pool::request`] does.
    pub async fn request(
        &mut self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<Vec<ResultSet>, Error> {
        let settings = settings(context, Bounds::Whole);
        let plan = plan(context, &settings, statements, Bounds::Whole);
        self.settle().await?;
        self.must_be_idle()?;
        let outcome = self.run_pieces(&plan.pieces).await;
        if plan.explicit {
            self.rollback_failed().await?;
        }
        outcome.map_err(|error| error.into_error(plan.first, plan.count))
    }

    /// Sends a read without waiting for anything, if all of it is prepared and swift; see [`crate::Pool::stream_read`].
    pub(crate) fn start_swift_request(
        &mut self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Option<(SentBatch, usize, usize)> {
        let settings = settings(context, Bounds::Whole);
        let plan = plan(context, &settings, statements, Bounds::Whole);
        if plan.explicit {
            return None;
        }
        Some((self.send_swift_pieces(&plan.pieces)?, plan.first, plan.count))
    }

    fn must_be_idle(&self) -> Result<(), Error> {
        match self.status {
            TransactionStatus::Idle => Ok(()),
            _ => Err(Error::Protocol("a transaction is open already".into())),
        }
    }

    pub(crate) async fn begin_request(
        &mut self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<Vec<ResultSet>, Error> {
        let settings = settings(context, Bounds::Open);
        let plan = plan(context, &settings, statements, Bounds::Open);
        self.settle().await?;
        self.must_be_idle()?;
        let outcome = self.run_pieces(&plan.pieces).await;
        if outcome.is_err() && !self.wire.broken {
            self.rollback_failed().await?;
        }
        outcome.map_err(|error| error.into_error(plan.first, plan.count))
    }

    /// Sends a request, for its answer to be read step by step.
    pub(crate) async fn start_request(
        &mut self,
        context: &RequestContext<'_>,
        statements: &[Statement<'_>],
    ) -> Result<(SentBatch, usize, usize), Error> {
        let settings = settings(context, Bounds::Whole);
        let plan = plan(context, &settings, statements, Bounds::Whole);
        self.settle().await?;
        self.must_be_idle()?;
        let sent = self.send_pieces(&plan.pieces)?;
        self.wire.flush().await?;
        Ok((sent, plan.first, plan.count))
    }
}

/// A request transaction whose statements have run and that has not ended. Dropped, it is rolled back.
pub struct RequestTransaction {
    pub(crate) connection: PooledConnection,
    pub(crate) results: Vec<ResultSet>,
    /// Role and search path, to keep prepared statements apart.
    pub(crate) scope: (String, String),
}

impl RequestTransaction {
    pub(crate) fn new(
        connection: PooledConnection,
        context: &RequestContext<'_>,
        results: Vec<ResultSet>,
    ) -> Self {
        let scope = context.scope();
        RequestTransaction {
            connection,
            results,
            scope: (scope.role.to_owned(), scope.search_path.to_owned()),
        }
    }

    /// What the statements returned.
    pub fn results(&self) -> &[ResultSet] {
        &self.results
    }

    /// Runs more statements in it.
    pub async fn run(&mut self, statements: &[Statement<'_>]) -> Result<Vec<ResultSet>, Error> {
        let scope = Scope { role: &self.scope.0, search_path: &self.scope.1 };
        let pieces: SmallVec<[Piece<'_>; 6]> =
            statements.iter().map(|statement| Piece::of(statement, scope)).collect();
        self.connection.run_pieces(&pieces).await.map_err(|error| error.into_error(0, statements.len()))
    }

    /// Ends it with COMMIT and returns the results of the first statements.
    pub async fn commit(mut self) -> Result<Vec<ResultSet>, Error> {
        let pieces = [Piece { wanted: true, ..Piece::silent("commit", Values::Params(&[])) }];
        match self
            .connection
            .run_pieces(&pieces)
            .await
            .map_err(|error: BatchError| error.into_error(0, 0))?
            .first()
        {
            Some(result) if result.tag.as_str() == "ROLLBACK" => Err(Error::RolledBack),
            _ => Ok(std::mem::take(&mut self.results)),
        }
    }

    /// Ends it with ROLLBACK and returns the results of the first statements.
    pub async fn rollback(mut self) -> Result<Vec<ResultSet>, Error> {
        let pieces = [Piece::silent("rollback", Values::Params(&[]))];
        self.connection.run_pieces(&pieces).await.map_err(|error: BatchError| error.into_error(0, 0))?;
        Ok(std::mem::take(&mut self.results))
    }
}
