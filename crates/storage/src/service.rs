//! The running service: the domain, its background work, its routers.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use database::Pool;
use tokens::KeyRing;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::blob::Store;
use crate::config::Config;
use crate::domain::{Domain, Events};
use crate::{routes, sweeper};

/// A running service. Cheap to clone; stable.
#[derive(Clone)]
pub struct Storage {
    domain: Domain,
    tasks: Arc<Tasks>,
}

struct Tasks {
    stop: watch::Sender<bool>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Storage {
    /// Starts the service on a database whose `storage` and `_storage` schemas exist. The pool logs in as
    /// `supabase_storage_admin`. `adopts` says whether the store may hold blobs of the original program.
    #[must_use]
    pub fn start(config: Config, pool: Pool, keys: KeyRing, store: Arc<dyn Store>, adopts: bool) -> Self {
        let (chores, handed) = mpsc::channel(sweeper::QUEUE);
        let (stop, stopped) = watch::channel(false);
        let mut running = Vec::new();
        let events = match crate::webhook::Webhook::new(&config) {
            Some(webhook) => {
                let (queue, posts) = mpsc::channel(crate::webhook::QUEUE);
                running.push(tokio::spawn(webhook.run(posts, stopped.clone())));
                Events::into_queue(queue)
            }
            None => Events::default(),
        };
        let domain = Domain::new(config, pool, store, adopts, keys, chores, events);
        running.push(tokio::spawn(sweeper::run(domain.clone(), handed, stopped)));
        Self { domain, tasks: Arc::new(Tasks { stop, running: Mutex::new(running) }) }
    }

    /// The operations.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// All routes of the service, at the root path.
    pub fn router(&self) -> Router {
        routes::router(self.domain.clone())
    }

    /// S3 at the root of a listener of its own.
    pub fn s3_router(&self) -> Router {
        crate::s3::router(self.domain.clone())
    }

    /// The objects of a public bucket at the root of a listener of its own.
    pub fn public_router(&self, bucket: &str) -> Router {
        crate::s3::public_router(self.domain.clone(), bucket)
    }

    /// The routes of the administrative port.
    ///
    /// `metrics` renders the figures of the process.
    pub fn admin_router(&self, metrics: Arc<dyn Fn() -> String + Send + Sync>) -> Router {
        routes::admin::router(self.domain.clone(), metrics)
    }

    /// Looks for blobs that nothing refers to, now. Returns how many were removed.
    pub async fn sweep(&self) -> crate::Result<u64> {
        sweeper::sweep(&self.domain).await
    }

    /// Ends the background work, after what was handed to it has been done.
    pub async fn stop(self) {
        self.tasks.stop.send_replace(true);
        let running = std::mem::take(&mut *self.tasks.running.lock().unwrap_or_else(PoisonError::into_inner));
        for task in running {
            if let Err(error) = task.await {
                tracing::warn!(%error, "background work of the service crashed");
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.running.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}
