//! Removes blobs that nothing refers to: at once those that operations hand over, now and then those that a crash, a
//! dropped table row or a user's own SQL left behind. Only what the ledger says we wrote, never what a listing shows. And
//! keeps the database's idea of how many objects there are from falling behind.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::blob::BlobName;
use crate::domain::Domain;
use crate::sql::{self, ledger};
use crate::{Error, Result};

/// What operations leave to be done after them.
#[derive(Debug)]
pub(crate) enum Chore {
    /// Blobs to be removed: a row referred to them and does not any more.
    Replaced(Vec<BlobName>),
    /// Blobs to be removed: nothing has referred to them yet, as far as is known.
    Unfinished(Vec<BlobName>),
    /// So many objects were made since the start, ten times as many as when this was said last.
    Grown(u64),
}

impl Chore {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Replaced(blobs) | Self::Unfinished(blobs) => blobs.is_empty(),
            Self::Grown(_) => false,
        }
    }
}

/// How many handovers may wait. More are left to the search for orphans.
pub(crate) const QUEUE: usize = 10_000;

/// How long it waits for more to do at once: removing a blob costs two flushes of the disk, removing a hundred hardly more, and
/// uploads wait for the same disk.
const LINGER: Duration = Duration::from_millis(250);

/// How much is done at once.
const TOGETHER: usize = 1000;

/// How many orphans are removed in one go.
const BATCH: u64 = 1000;

/// Works until `stop` changes, and finishes what was handed over before.
pub(crate) async fn run(domain: Domain, mut handed: mpsc::Receiver<Chore>, mut stop: watch::Receiver<bool>) {
    let settings = &domain.config().sweeper;
    let sweeps = !settings.interval.is_zero();
    let pause = if sweeps { settings.interval } else { std::time::Duration::from_secs(3600) };
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + pause, pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopping = stop.clone();
    loop {
        tokio::select! {
            biased;
            chore = handed.recv() => match chore {
                Some(chore) => {
                    let mut batch = vec![chore];
                    let more = async { while batch.len() < TOGETHER && handed.recv_many(&mut batch, TOGETHER).await > 0 {} };
                    // Cut short by the stop: what was received is in the batch.
                    tokio::select! {
                        _ = tokio::time::timeout(LINGER, more) => {}
                        () = ordered(&mut stopping) => {}
                    }
                    work(&domain, batch).await;
                }
                None => return,
            },
            _ = ticks.tick(), if sweeps => {
                if let Err(error) = sweep(&domain).await {
                    tracing::warn!(%error, "orphans could not be removed");
                }
            }
            () = ordered(&mut stop) => {
                handed.close();
                if handed.is_empty() {
                    return;
                }
            }
        }
    }
}

/// Resolves when the stop is ordered, or nobody is left to order it.
async fn ordered(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn work(domain: &Domain, batch: Vec<Chore>) {
    let (mut gone, mut unfinished) = (Vec::new(), Vec::new());
    for chore in batch {
        match chore {
            Chore::Replaced(blobs) => gone.extend(blobs),
            Chore::Unfinished(blobs) => unfinished.extend(blobs),
            Chore::Grown(objects) => {
                if let Err(error) = sql::objects::count_anew(domain, objects).await {
                    tracing::warn!(%error, "the statistics of storage.objects could not be brought up to date");
                }
            }
        }
    }
    if let Err(error) = remove_all(domain, gone, unfinished).await {
        tracing::warn!(%error, "blobs could not be removed: they are tried again as orphans");
    }
}

async fn remove_all(domain: &Domain, mut gone: Vec<BlobName>, unfinished: Vec<BlobName>) -> Result<()> {
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
