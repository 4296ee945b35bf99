//! The daily partitions of `realtime.messages`.
//!
//! A row whose day has no partition is lost with a warning in the server's log, so they are made days ahead: at the start,
//! and every few hours, whether or not anybody is connected.

use std::time::Duration;

use database::{Error, Pool};
use tokio_util::sync::CancellationToken;

/// The statements that keep `realtime.messages` in shape. A service has no DDL of its own: they come from `bootstrap`.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// Makes partitions for the days to come, and the publication.
    pub prepare: &'static str,
    /// Drops those of days gone by.
    pub expire: &'static str,
}

/// As often as the original's janitor.
const INTERVAL: Duration = Duration::from_secs(4 * 3600);
/// After a failure.
const RETRY: Duration = Duration::from_secs(60);

impl Upkeep {
    /// Runs once.
    pub(crate) async fn run(&self, pool: &Pool, expire: bool) -> Result<(), Error> {
        let mut connection = pool.acquire().await?;
        connection.simple_query(self.prepare).await?;
        if expire {
            connection.simple_query(self.expire).await?;
        }
        Ok(())
    }

    /// Runs now and then until it is stopped.
    pub(crate) async fn keep(self, pool: Pool, expire: bool, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let wait = match self.run(&pool, expire).await {
                Ok(()) => {
                    failing = false;
                    INTERVAL
                }
                Err(error) => {
                    // Said once: a database that is down says so elsewhere, too.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "the partitions of realtime.messages cannot be kept");
                    }
                    metrics::counter!("realtime_messages_upkeep_failures").increment(1);
                    RETRY
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }
}
