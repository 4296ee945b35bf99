//! Which roles a client may take, asked of the database once each.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use database::Pool;
use tokio::sync::OnceCell;

/// How long an answer is believed. Roles come and go with migrations.
const BELIEVED: Duration = Duration::from_secs(30);
/// How long a "no" is believed: whoever made the role a moment ago wants to use it.
const DOUBTED: Duration = Duration::from_secs(1);
/// Strangers choose the names that are asked for only as far as they can sign tokens; still, memory is bounded.
const REMEMBERED: usize = 1024;

/// Answers from memory, else from the database.
#[derive(Default)]
pub(crate) struct DatabaseRoles {
    pool: OnceCell<Pool>,
    known: Mutex<HashMap<Box<str>, (bool, Instant)>>,
}

impl DatabaseRoles {
    /// The pool exists only when the database runs, the door before that.
    pub(crate) fn connect(&self, pool: Pool) {
        // A second call would be a second start, which there is not.
        let _ = self.pool.set(pool);
    }

    fn remembered(&self, role: &str) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (exists, asked) = known.get(role)?;
        let believed = if *exists { BELIEVED } else { DOUBTED };
        (asked.elapsed() < believed).then_some(*exists)
    }

    fn remember(&self, role: &str, exists: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(role.into(), (exists, Instant::now()));
    }

    async fn ask(&self, role: &str) -> Result<bool, database::Error> {
        let Some(pool) = self.pool.get() else {
            return Ok(false);
        };
        let sql = "select exists (select from pg_catalog.pg_roles where rolname = $1 \
                   and pg_catalog.pg_has_role(session_user, oid, 'member'))";
        let row = pool.acquire().await?.query_one(sql, &[&role]).await?;
        row.get(0)
    }
}

impl gateway::Roles for DatabaseRoles {
    fn exists<'a>(&'a self, role: &'a str) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            if let Some(exists) = self.remembered(role) {
                return exists;
            }
            match self.ask(role).await {
                Ok(exists) => {
                    self.remember(role, exists);
                    exists
                }
                Err(error) => {
                    tracing::warn!(role, %error, "cannot ask the database for a role");
                    false
                }
            }
        })
    }
}
