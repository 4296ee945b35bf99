//! Rows that nobody needs any more, taken away a few at a time.
//!
//! As in the original each successful change is followed by one statement of a round. None waits for rows that others hold, and
//! none takes many. Here that happens behind the answer, in one task of the service.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use database::{Pool, TransactionOptions};
use http::{Method, StatusCode};
use tokio::sync::mpsc;

use crate::config::Config;

/// So many statements may wait; further ones are not worth it, the next change asks again.
const WAITING: usize = 16;

/// Counts the turns and hands them to the task.
pub(crate) struct Cleanup {
    turns: mpsc::Sender<()>,
    /// Until the task takes it.
    waiting: Mutex<Option<mpsc::Receiver<()>>>,
    next: AtomicUsize,
}

impl Default for Cleanup {
    fn default() -> Self {
        let (turns, waiting) = mpsc::channel(WAITING);
        Self { turns, waiting: Mutex::new(Some(waiting)), next: AtomicUsize::new(0) }
    }
}

impl Cleanup {
    /// A request was answered: a change that succeeded is followed by a turn.
    pub(crate) fn after(&self, config: &Config, method: &Method, status: StatusCode) {
        let changed = matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
        if config.cleanup && changed && status.is_success() {
            // A full queue has turns enough.
            let _ = self.turns.try_send(());
        }
    }

    /// The turns, for the one task that takes them.
    pub(crate) fn turns(&self) -> Option<mpsc::Receiver<()>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One turn.
    pub(crate) async fn run(&self, config: &Config, pool: &Pool) {
        let statements = statements(config);
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % statements.len();
        match run(pool, &statements[turn]).await {
            Ok(0) => {}
            Ok(rows) => {
                metrics::counter!("auth_cleanup_affected_rows_total").increment(rows);
                tracing::debug!(affected_rows = rows, "cleaned up expired or stale rows");
            }
            Err(error) => tracing::warn!(%error, "database cleanup failed"),
        }
    }
}

async fn run(pool: &Pool, statement: &str) -> Result<u64, database::Error> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    transaction.simple_query("set local statement_timeout = '10s'").await?;
    let rows = transaction.execute(statement, &[]).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// The round. What a configuration makes stale is part of it.
fn statements(config: &Config) -> Vec<String> {
    let delete = |table: &str, stale: &str, most: u32| {
        format!(
            "delete from auth.{table} where id in (
                 select id from auth.{table} where {stale} limit {most} for update skip locked)"
        )
    };
    let day_old = "created_at < now() - interval '24 hours'";
    let mut round = vec![
        delete("refresh_tokens", "revoked is true and updated_at < now() - interval '24 hours'", 100),
        "update auth.refresh_tokens set revoked = true, updated_at = now() where id in (
             select t.id from auth.refresh_tokens t join auth.sessions s on t.session_id = s.id
             where s.not_after < now() - interval '24 hours' and t.revoked is false
             limit 100 for update skip locked)"
            .to_owned(),
        // Later than their tokens, and few at once: what hangs on them goes with them.
        delete("sessions", "not_after < now() - interval '72 hours'", 10),
        delete("saml_relay_states", day_old, 100),
        delete("flow_state", day_old, 100),
        delete("mfa_challenges", day_old, 100),
        delete("mfa_factors", &format!("{day_old} and status = 'unverified'"), 100),
        // Tables that the original has since 2.180.
        delete("oauth_client_states", day_old, 100),
        delete("webauthn_challenges", "expires_at < now() - interval '24 hours'", 100),
    ];
    if config.external.anonymous_users_enabled {
        round.push(delete("users", "created_at < now() - interval '30 days' and is_anonymous is true", 100));
    }
    let seconds = |limit: Duration| limit.as_secs();
    if let Some(limit) = config.sessions.timebox.map(seconds) {
        let over = format!("created_at + interval '{limit} seconds' < now() - interval '24 hours'");
        round.push(delete("sessions", &over, 100));
    }
    if let Some(limit) = config.sessions.inactivity_timeout.map(seconds) {
        // The column has no zone; what is written there is UTC.
        let idle = format!(
            "refreshed_at is not null
             and refreshed_at + interval '{limit} seconds' < now() at time zone 'utc' - interval '24 hours'"
        );
        round.push(delete("sessions", &idle, 100));
        round.push(format!(
            "delete from auth.sessions where id in (
                 select s.id from auth.sessions s, auth.refresh_tokens t
                 where t.session_id = s.id and s.refreshed_at is null and t.revoked is false
                     and t.updated_at + interval '{limit} seconds' < now() - interval '24 hours'
                 limit 100 for update skip locked)"
        ));
    }
    round
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_that_succeeded_are_followed_by_a_turn() {
        let mut config = Config { cleanup: true, ..Config::default() };
        let cleanup = Cleanup::default();
        let mut turns = cleanup.turns();
        let mut asked = |config: &Config, method, status| {
            cleanup.after(config, &method, status);
            turns.as_mut().is_some_and(|turns| turns.try_recv().is_ok())
        };
        assert!(asked(&config, Method::POST, StatusCode::OK));
        assert!(asked(&config, Method::DELETE, StatusCode::NO_CONTENT));
        assert!(!asked(&config, Method::GET, StatusCode::OK));
        assert!(!asked(&config, Method::POST, StatusCode::BAD_REQUEST));
        config.cleanup = false;
        assert!(!asked(&config, Method::POST, StatusCode::OK));
    }

    #[test]
    fn what_the_configuration_makes_stale_is_part_of_the_round() {
        let mut config = Config::default();
        assert_eq!(statements(&config).len(), 9);
        config.external.anonymous_users_enabled = true;
        config.sessions.timebox = Some(Duration::from_secs(60));
        config.sessions.inactivity_timeout = Some(Duration::from_secs(60));
        assert_eq!(statements(&config).len(), 13);
    }
}
