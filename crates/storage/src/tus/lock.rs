//! One request at a time per upload; the newest wins.
//!
//! A client that lost its connection comes back while the server still waits for bytes on the old one. Whoever asks for
//! the lock tells its holder to stop reading, and gets it as soon as the holder has recorded what it has. Nodes do not
//! see each other's locks: between them the offset decides, which is compared where a part is recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};

use super::answer::TusError;

/// How long a request waits for the holder to give way.
const PATIENCE: Duration = Duration::from_secs(5);

/// The uploads that requests are working on.
#[derive(Debug)]
pub(crate) struct Locks {
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    /// How many requests may bring parts at a time.
    lanes: tokio::sync::Semaphore,
}

#[derive(Debug)]
struct Entry {
    held: Arc<tokio::sync::Mutex<()>>,
    /// How many have asked for the lock.
    asked: watch::Sender<u64>,
}

/// The right to work on an upload. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Held {
    locks: Arc<Locks>,
    id: String,
    entry: Arc<Entry>,
    guard: Option<OwnedMutexGuard<()>>,
    newer: watch::Receiver<u64>,
}

impl Locks {
    /// For at most `lanes` requests that bring parts at a time.
    pub(crate) fn new(lanes: usize) -> Self {
        Self { entries: Mutex::default(), lanes: tokio::sync::Semaphore::new(lanes.max(1)) }
    }

    /// Waits for room to take a body in.
    pub(super) async fn lane(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // It is never closed.
        self.lanes.acquire().await.ok()
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an upload's lock, asking its holder to stop.
    pub(super) async fn acquire(self: &Arc<Self>, id: &str) -> Result<Held, TusError> {
        let mut held = {
            let mut map = self.map();
            let entry = map
                .entry(id.to_owned())
                .or_insert_with(|| Arc::new(Entry { held: Arc::default(), asked: watch::Sender::new(0) }))
                .clone();
            // Under the map's lock: only those who ask later are newer.
            entry.asked.send_modify(|asked| *asked += 1);
            let newer = entry.asked.subscribe();
            Held { locks: self.clone(), id: id.to_owned(), entry, guard: None, newer }
        };
        let waiting = tokio::time::timeout(PATIENCE, held.entry.held.clone().lock_owned());
        held.guard = Some(waiting.await.map_err(|_| TusError::text(503, "acquiring lock timeout"))?);
        Ok(held)
    }
}

impl Held {
    /// Becomes ready when another request wants to go on with the upload.
    pub(super) fn newer(&self) -> watch::Receiver<u64> {
        self.newer.clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.guard = None;
        let mut map = self.locks.map();
        // The map's and ours: nobody else has it, and nobody can get it while the map is locked.
        if Arc::strong_count(&self.entry) == 2 {
            map.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn the_holder_is_told_and_the_newest_gets_it() {
        let locks = Arc::new(Locks::new(1));
        let first = locks.acquire("u").await.unwrap();
        let mut newer = first.newer();
        assert!(!newer.has_changed().unwrap());
        let second = tokio::spawn({
            let locks = locks.clone();
            async move { locks.acquire("u").await.is_ok() }
        });
        newer.changed().await.unwrap();
        drop(first);
        assert!(second.await.unwrap());
        assert!(locks.map().is_empty());
    }

    #[tokio::test]
    async fn patience_ends() {
        let locks = Arc::new(Locks::new(1));
        let _held = locks.acquire("u").await.unwrap();
        assert!(matches!(locks.acquire("u").await, Err(TusError::Text { status: 503, .. })));
        assert!(locks.acquire("other").await.is_ok());
    }
}
