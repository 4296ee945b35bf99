//! A connection on loan.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use super::{Inner, Live};
use crate::connection::Connection;
use crate::error::{Error, Severity};

/// A connection on loan.
pub struct PooledConnection {
    /// Taken when it goes back.
    lent: Option<(Live, OwnedSemaphorePermit)>,
    pool: Arc<Inner>,
    /// Whether it had been used before: it may have died since.
    reused: bool,
    hits: u64,
    misses: u64,
}

impl PooledConnection {
    pub(super) fn new(pool: Arc<Inner>, live: Live, permit: OwnedSemaphorePermit, reused: bool) -> Self {
        let (hits, misses) = (live.connection.cache.hits, live.connection.cache.misses);
        pool.metrics.in_use.increment(1.0);
        PooledConnection { lent: Some((live, permit)), pool, reused, hits, misses }
    }

    /// Whether a request that failed may be sent again over another connection: this one had died while idle, and
    /// nothing of the request was executed, or nothing that matters (`harmless`).
    pub(super) fn can_retry(&self, error: &Error, harmless: bool) -> bool {
        let wire = &self.wire;
        self.reused
            && wire.broken
            && !wire.answered
            && match error {
                // The server says goodbye before it has looked at the request.
                Error::Db(report) => report.severity == Severity::Fatal && report.code.class() == "57",
                Error::Io(_) | Error::Closed => harmless || !wire.sent,
                _ => false,
            }
    }

    /// Gives a dead connection up for another one, without queueing again.
    pub(super) async fn exchange(mut self) -> Result<PooledConnection, Error> {
        let pool = self.pool.clone();
        match self.take() {
            Some((live, permit)) => {
                drop(live);
                pool.lend(permit).await
            }
            None => Err(Error::Closed),
        }
    }

    /// Counts a flush of reads that travel together.
    pub(super) fn note_departure(&self) {
        self.pool.note_departure();
    }

    /// Whether it would be taken back for more work: its pool is open, and wants no newer ones.
    pub(super) fn is_current(&self) -> bool {
        let generation = self.lent.as_ref().map(|(live, _)| live.generation);
        !self.pool.closed.load(Ordering::Relaxed)
            && generation == Some(self.pool.generation.load(Ordering::SeqCst))
    }

    fn take(&mut self) -> Option<(Live, OwnedSemaphorePermit)> {
        let lent = self.lent.take()?;
        let cache = &lent.0.connection.cache;
        let (hits, misses) = (cache.hits - self.hits, cache.misses - self.misses);
        let pool = &self.pool;
        pool.hits.fetch_add(hits, Ordering::Relaxed);
        pool.misses.fetch_add(misses, Ordering::Relaxed);
        pool.metrics.hits.increment(hits);
        pool.metrics.misses.increment(misses);
        pool.metrics.in_use.decrement(1.0);
        Some(lent)
    }
}

const LENT: &str = "invariant: a guard holds its connection until it is dropped";

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.lent.as_ref().expect(LENT).0.connection
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.lent.as_mut().expect(LENT).0.connection
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some((live, permit)) = self.take() {
            self.pool.put_back(live, permit);
        }
    }
}
