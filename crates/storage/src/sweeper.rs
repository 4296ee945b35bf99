//! Removes blobs that nothing refers to: at once those that operations hand over, now and then those that a crash, a
//! dropped table row or a user's own SQL left behind. Only what the ledger says we wrote, never what a listing shows.

use tokio::sync::{mpsc, watch};

use crate::blob::BlobName;
use crate::domain::Domain;
use crate::sql::{self, ledger};
use crate::{Error, Result};

/// Blobs to be removed.
#[derive(Debug)]
pub(crate) enum Doomed {
    /// A row referred to them and does not any more.
    Replaced(Vec<BlobName>),
    /// Nothing has referred to them yet, as far as is known.
    Unfinished(Vec<BlobName>),
}

impl Doomed {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Replaced(blobs) | Self::Unfinished(blobs) => blobs.is_empty(),
        }
    }
}

/// How many handovers may wait. More are left to the search for orphans.
pub(crate) const QUEUE: usize = 10_000;

/// How many orphans are removed in one go.
const BATCH: u64 = 1000;

/// Works until `stop` changes, and finishes what was handed over before.
pub(crate) async fn run(domain: Domain, mut handed: mpsc::Receiver<Doomed>, mut stop: watch::Receiver<bool>) {
    let settings = &domain.config().sweeper;
    let sweeps = !settings.interval.is_zero();
    let pause = if sweeps { settings.interval } else { std::time::Duration::from_secs(3600) };
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + pause, pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            doomed = handed.recv() => match doomed {
                Some(doomed) => {
                    let mut batch = vec![doomed];
                    while batch.len() < 100 && let Ok(more) = handed.try_recv() {
                        batch.push(more);
                    }
                    if let Err(error) = remove_all(&domain, batch).await {
                        tracing::warn!(%error, "blobs could not be removed: they are tried again as orphans");
                    }
                }
                None => return,
            },
            _ = ticks.tick(), if sweeps => {
                if let Err(error) = sweep(&domain).await {
                    tracing::warn!(%error, "orphans could not be removed");
                }
            }
            _ = stop.changed() => {
                handed.close();
                if *stop.borrow() && handed.is_empty() {
                    return;
                }
            }
        }
    }
}

async fn remove_all(domain: &Domain, batch: Vec<Doomed>) -> Result<()> {
    let (mut gone, mut unfinished) = (Vec::new(), Vec::new());
    for doomed in batch {
        match doomed {
            Doomed::Replaced(blobs) => gone.extend(blobs),
            Doomed::Unfinished(blobs) => unfinished.extend(blobs),
        }
    }
    if !unfinished.is_empty() {
        gone.extend(ledger::doom_unfinished(domain, &unfinished).await?);
    }
    remove(domain, &gone).await
}

async fn remove(domain: &Domain, blobs: &[BlobName]) -> Result<()> {
    if blobs.is_empty() {
        return Ok(());
    }
    domain.forget(blobs);
    domain.store().delete(blobs).await.map_err(Error::from)?;
    ledger::strike(domain, blobs).await?;
    metrics::counter!("storage_blobs_removed_total").increment(blobs.len() as u64);
    Ok(())
}

/// Drops uploads that have expired, then removes orphans.
pub(crate) async fn sweep(domain: &Domain) -> Result<u64> {
    for upload in sql::parts::stale(domain, domain.config().sweeper.grace.as_secs()).await? {
        domain.drop_parts(&upload).await?;
    }
    let mut removed = 0;
    loop {
        let orphans = ledger::doom_orphans(domain, domain.config().sweeper.grace.as_secs(), BATCH).await?;
        remove(domain, &orphans).await?;
        removed += orphans.len() as u64;
        if (orphans.len() as u64) < BATCH {
            if removed > 0 {
                tracing::info!(removed, "blobs without an object were removed");
            }
            return Ok(removed);
        }
    }
}
