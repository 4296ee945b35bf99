//! The request transaction: a client's role, claims and settings, its statements, and the end.
use crate::error::Error;
use crate::result::ResultSet;
use crate::statement::Statement;
use std::borrow::Cow;

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
}

/// A request transaction whose statements have run and that has not ended. Dropped, it is rolled back.
pub struct RequestTransaction {}

impl RequestTransaction {
    /// What the statements returned.
    pub fn results(&self) -> &[ResultSet] {
        todo!()
    }
    /// Runs more statements in it.
    pub async fn run(&mut self, statements: &[Statement<'_>]) -> Result<Vec<ResultSet>, Error> {
        let _ = statements;
        todo!()
    }
    /// Ends it with COMMIT and returns the results.
    pub async fn commit(self) -> Result<Vec<ResultSet>, Error> {
        todo!()
    }
    /// Ends it with ROLLBACK and returns the results.
    pub async fn rollback(self) -> Result<Vec<ResultSet>, Error> {
        todo!()
    }
}
