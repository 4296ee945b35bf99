//! What happens to a connection that comes back in disorder.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Inner, Live, Pooler};
use crate::error::Error;

/// How long an abandoned statement may go on before it is cancelled.
const CANCEL_AFTER: Duration = Duration::from_millis(20);

/// Brings a connection into order: reads or cancels what was abandoned, rolls back, discards.
pub(super) async fn clean(pool: Weak<Inner>, mut live: Live, permit: OwnedSemaphorePermit) {
    let Some(inner) = pool.upgrade() else { return };
    let limit = inner.limits.drain_timeout;
    let connection = &mut live.connection;
    let outcome = tokio::time::timeout(limit, async {
        if connection.outstanding > 0
            && tokio::time::timeout(CANCEL_AFTER, connection.settle()).await.is_err()
        {
            let direct = matches!(inner.pooler.get(), None | Some(Pooler::None));
            connection.cancel_token().cancel().await?;
            connection.settle().await?;
            if !direct {
                // A pooler may pass the cancellation on later, to whatever runs then.
                return Err(Error::Closed);
            }
        }
        connection.settle().await?;
        if !connection.is_settled() {
            connection.simple_query("rollback").await?;
        }
        if inner.wants_reset(connection) {
            connection.simple_query("discard all").await?;
        }
        Ok(())
    });
    match outcome.await {
        Ok(Ok(())) if live.connection.is_settled() => inner.store(live),
        Ok(Ok(())) => drop(live),
        Ok(Err(error)) => {
            tracing::debug!(pool = inner.limits.name, %error, "connection closed instead of reused");
            drop(live);
        }
        Err(_) => {
            tracing::debug!(
                pool = inner.limits.name,
                ?limit,
                "connection closed: it did not come clean in time"
            );
            drop(live);
        }
    }
    drop(permit);
    inner.returned();
}
