//! What the database broadcasts, in an installation of several nodes: one alone reads it, and the hub tells the others.
//!
//! Which one is decided by an advisory lock of the very session that reads. When that node is gone, another takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use database::Pool;
use database::replication::Lsn;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reader::{self, Item, Opened, Source, Stream};
use super::upkeep::Upkeep;
use crate::hub::Hub;

/// How often a node asks whether the one that reads is gone.
const TAKE_OVER_INTERVAL: Duration = Duration::from_secs(2);
/// How long a node without a channel goes on reading.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Announcer {
    pub(crate) source: Source,
    pub(crate) upkeep: Upkeep,
    pub(crate) pool: Pool,
    pub(crate) hub: Arc<Hub>,
    /// Whether broadcasts of the database arrive, here or at another node.
    pub(crate) live: Arc<AtomicBool>,
    pub(crate) stop: CancellationToken,
}

impl Announcer {
    /// Reads while it may and somebody is there, until it is stopped.
    pub(crate) async fn run(self) {
        let stop = self.stop.clone();
        // Whatever it is at, the session and its lock go with it.
        let _ = stop.run_until_cancelled(self.serve()).await;
    }

    async fn serve(&self) {
        let mut channels = self.hub.channels();
        loop {
            if channels.wait_for(|count| *count > 0).await.is_err() {
                return;
            }
            if let Err(error) = self.upkeep.run(&self.pool, false).await {
                tracing::warn!(%error, "messages of the database may not be heard");
            }
            match self.source.open().await {
                Ok(Opened::Stream(stream)) => {
                    tracing::info!(slot = %stream.slot, "this node reads what the database broadcasts");
                    self.live.store(true, Ordering::Relaxed);
                    self.read(*stream).await;
                }
                Ok(Opened::Taken) => self.live.store(true, Ordering::Relaxed),
                Err(error) => {
                    self.live.store(false, Ordering::Relaxed);
                    tracing::warn!(%error, "what the database broadcasts is not heard");
                }
            }
            tokio::time::sleep(TAKE_OVER_INTERVAL).await;
        }
    }

    async fn read(&self, stream: Stream) {
        let (sender, mut items) = reader::queue();
        let (done, seen) = watch::channel(Lsn::default());
        let mut channels = self.hub.channels();
        let reading = stream.read(sender, seen, self.hub.clone());
        tokio::pin!(reading);
        loop {
            let idle = *channels.borrow_and_update() == 0;
            tokio::select! {
                error = &mut reading => {
                    tracing::warn!(%error, "the stream of what the database broadcasts is lost");
                    return;
                }
                item = items.recv() => {
                    if let Some(Item::Commit(position)) = item {
                        done.send_replace(position);
                    }
                }
                _ = channels.changed() => {}
                () = tokio::time::sleep(IDLE_TIMEOUT), if idle => return,
            }
        }
    }
}
