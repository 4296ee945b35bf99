//! What a token may do in a private channel: the policies on `realtime.messages`, asked with rows that are never kept.
//!
//! All of it runs in sessions of a login that may become the roles of tokens and nothing else: a policy may call functions of
//! whoever wrote it, and one that gives its role back must find itself with less, not with more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use database::{Error, Param, Pool, RequestContext, Statement};

use crate::claims::Token;
use crate::service::Inner;

/// For whom and for which topic policies are asked.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) token: Token,
    /// Without `realtime:`.
    pub(crate) topic: Arc<str>,
    /// The request's `x-` headers, a JSON object.
    pub(crate) headers: Arc<str>,
}

/// Which of the two kinds of message are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Allowed {
    pub(crate) broadcast: bool,
    pub(crate) presence: bool,
}

/// Why policies could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// A policy raised: nobody is let in.
    #[error("a policy raised an error")]
    Policy,
    #[error("the policies took too long")]
    TooLong,
    #[error("no database connection became free")]
    NoConnection,
    /// The server takes no more.
    #[error("the database has no connection left")]
    Crowded,
    #[error("the database is not there")]
    Unavailable,
    #[error("there is no partition for today's messages")]
    MissingPartition,
    /// The role does not exist, or something else that is not a policy's fault.
    #[error("the claims could not be used")]
    Settings,
}

/// Puts in the rows that readers look for: row level security does not bind it, and its name is what every Supabase database
/// calls it.
const SERVICE_ROLE: &str = "service_role";

const PROBE: &str = "insert into realtime.messages (id, topic, extension, inserted_at, updated_at)
    values ($1, $2, $3, date_trunc('second', now() at time zone 'utc'), date_trunc('second', now() at time zone 'utc'))";

/// Records its age, in milliseconds, when it is dropped.
struct Measured(Instant, metrics::Histogram);

impl Drop for Measured {
    fn drop(&mut self) {
        self.1.record(self.0.elapsed().as_secs_f64() * 1000.0);
    }
}

impl Inner {
    fn measure(&self, name: &'static str) -> Measured {
        Measured(Instant::now(), metrics::histogram!(name, "tenant" => self.config.tenant.clone()))
    }

    /// Which messages the subject may receive.
    pub(crate) async fn may_read(&self, subject: &Subject) -> Result<Allowed, Failure> {
        let _measured = self.measure("realtime_tenants_read_authorization_check");
        let timeout = self.config.authorization_timeout;
        match subject.read(&self.authorization, timeout).await {
            Err(Failure::MissingPartition) => {
                self.changes.prepare().await;
                subject.read(&self.authorization, timeout).await
            }
            outcome => outcome,
        }
    }

    /// Which messages the subject may send.
    pub(crate) async fn may_write(&self, subject: &Subject) -> Result<Allowed, Failure> {
        let _measured = self.measure("realtime_tenants_write_authorization_check");
        let timeout = self.config.authorization_timeout;
        match subject.write(&self.authorization, timeout).await {
            Err(Failure::MissingPartition) => {
                self.changes.prepare().await;
                subject.write(&self.authorization, timeout).await
            }
            outcome => outcome,
        }
    }
}

impl Subject {
    fn context(&self, timeout: Duration) -> RequestContext<'_> {
        let subject = self.token.claims.subject().unwrap_or("").to_owned();
        let role = self.token.role();
        RequestContext::new(role.clone())
            .with("realtime.topic", &*self.topic)
            .with_claims(&*self.token.claims.claims_json)
            .with("request.jwt.claim.sub", subject)
            .with("request.jwt.claim.role", role)
            .with("request.headers", &*self.headers)
            .with("statement_timeout", timeout.as_millis().to_string())
    }

    /// Which messages may be received: two rows are put in by the service, and looked for by the client's role.
    async fn read(&self, pool: &Pool, timeout: Duration) -> Result<Allowed, Failure> {
        let ids = [uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string()];
        let broadcast = [Param::Text(&ids[0]), Param::Text(&self.topic), Param::Text("broadcast")];
        let presence = [Param::Text(&ids[1]), Param::Text(&self.topic), Param::Text("presence")];
        let probes = [Statement::new(PROBE, &broadcast), Statement::new(PROBE, &presence)];
        let mut transaction = pool
            .begin_request(&RequestContext::new(SERVICE_ROLE), &probes)
            .await
            .map_err(|error| failure(&error))?;
        let context = self.context(timeout);
        let settings: Vec<[Param<'_>; 2]> = std::iter::once(("role", context.role.as_deref().unwrap_or("")))
            .chain(context.settings.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
            .map(|(name, value)| [Param::Text(name), Param::Text(value)])
            .collect();
        let mut statements: Vec<Statement<'_>> =
            settings.iter().map(|pair| Statement::new("select set_config($1, $2, true)", pair)).collect();
        let wanted = [Param::Text(&ids[0]), Param::Text(&ids[1])];
        // Planned under this role alone.
        statements.push(
            Statement::new("select id::text from realtime.messages where id in ($1, $2)", &wanted).uncached(),
        );
        let count = settings.len();
        let results = transaction.run(&statements).await.map_err(|error| {
            let policy = error.as_db().is_some_and(|report| report.statement == Some(count));
            if policy { failure(&error) } else { settings_failure(&error) }
        })?;
        let seen: Vec<&str> = results
            .last()
            .map(|result| result.rows.iter().filter_map(|row| row.text(0)).collect())
            .unwrap_or_default();
        let allowed =
            Allowed { broadcast: seen.contains(&ids[0].as_str()), presence: seen.contains(&ids[1].as_str()) };
        if let Err(error) = transaction.rollback().await {
            tracing::debug!(%error, "the connection broke after policies were evaluated");
        }
        Ok(allowed)
    }

    /// Which messages may be sent: the client's role tries to put each in.
    ///
    /// The row is returned, so that, as in the original, who may not read may not write either.
    async fn write(&self, pool: &Pool, timeout: Duration) -> Result<Allowed, Failure> {
        Ok(Allowed {
            broadcast: self.may_insert(pool, timeout, "broadcast").await?,
            presence: self.may_insert(pool, timeout, "presence").await?,
        })
    }

    async fn may_insert(&self, pool: &Pool, timeout: Duration, extension: &str) -> Result<bool, Failure> {
        let id = uuid::Uuid::new_v4().to_string();
        let values = [Param::Text(&id), Param::Text(&self.topic), Param::Text(extension)];
        let insert = format!("{PROBE} returning id");
        let statements = [Statement::new(&insert, &values).uncached()];
        let context = RequestContext { end: database::End::Rollback, ..self.context(timeout) };
        match pool.request(&context, &statements).await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_db() {
                Some(report) if report.statement.is_none() => Err(settings_failure(&error)),
                Some(report) if report.code == database::SqlState::INSUFFICIENT_PRIVILEGE => Ok(false),
                _ => Err(failure(&error)),
            },
        }
    }
}

fn settings_failure(error: &Error) -> Failure {
    if error.as_db().is_some() && !error.is_unavailable() {
        tracing::warn!(%error, "the claims of a token cannot be used");
        Failure::Settings
    } else {
        failure(error)
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::PoolTimeout { .. } => Failure::NoConnection,
        _ if error.as_db().is_some_and(|report| report.code == *"53300") => Failure::Crowded,
        _ if error.is_unavailable() => Failure::Unavailable,
        _ => match error.as_db() {
            Some(report) if report.code == database::SqlState::QUERY_CANCELED => Failure::TooLong,
            // No partition takes the row.
            Some(report) if report.code == "23514" => Failure::MissingPartition,
            _ => {
                tracing::warn!(%error, code = "RlsPolicyError", "the policies of a private channel failed");
                Failure::Policy
            }
        },
    }
}
