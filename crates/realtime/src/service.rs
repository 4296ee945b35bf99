//! The service: what its sockets and endpoints share, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use database::{ConnectConfig, Pool};
use tokens::KeyRing;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::changes::Changes;
use crate::config::Config;
use crate::hub::Hub;
use crate::{http, socket};

/// What the service is given.
pub struct Surroundings {
    /// Connections as the service's own role, which row level security does not bind.
    pub pool: Pool,
    /// The same server, past any pooler: for the stream of changes.
    pub replication: ConnectConfig,
    /// The keys that tokens verify under.
    pub ring: KeyRing,
    /// Who may use the tenant API and read the figures.
    pub management: http::Management,
}

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Realtime(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) hub: Arc<Hub>,
    pub(crate) pool: Pool,
    pub(crate) ring: KeyRing,
    pub(crate) management: http::Management,
    pub(crate) changes: Changes,
    pub(crate) sockets: AtomicUsize,
    /// Ends sockets and background work.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// How long sockets may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(5);

impl Realtime {
    /// Starts what runs in the background. Nothing is asked of the database before a client wants it.
    pub fn start(config: Config, surroundings: Surroundings) -> Self {
        let Surroundings { pool, replication, ring, management } = surroundings;
        let hub = Arc::new(Hub::new(config.limits));
        let changes = Changes::start(&config, hub.clone(), pool.clone(), replication);
        let inner = Arc::new(Inner {
            config,
            hub,
            pool,
            ring,
            management,
            changes,
            sockets: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        inner.tasks.spawn(tick(inner.hub.clone(), inner.stop.clone()));
        Self(inner)
    }

    /// The service's routes, at the original's paths.
    pub fn router(&self) -> Router {
        http::router(self.0.clone()).merge(socket::router(self.0.clone()))
    }

    /// Closes all sockets and ends all work.
    pub async fn stop(self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(FAREWELL, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(open = self.0.sockets.load(Ordering::Relaxed), "sockets were cut at the stop");
        }
        self.0.changes.stop().await;
    }
}

/// The clock of the rates.
async fn tick(hub: Arc<Hub>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        hub.tick();
    }
}
