//! The running service: what it knows at the moment, and the work that keeps that up to date.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use database::{ListenEvent, Listener, Pool};
use tokens::{KeyRing, Policy};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::catalog::{Catalog, load, settings};
use crate::{Config, handler};

/// What requests are answered with. Never changed; a reload makes a new one.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) catalog: Option<Arc<Catalog>>,
    pub(crate) keys: Option<KeyRing>,
    pub(crate) policy: Policy,
    /// The search path of each exposed schema, written as PostgreSQL wants it.
    search_paths: HashMap<String, String>,
    /// The statement that runs before every request.
    pub(crate) pre_request: Option<String>,
}

impl State {
    fn new(config: Config, catalog: Option<Arc<Catalog>>, keys: Option<KeyRing>) -> Self {
        let quote = |name: &String| database::ident::quote_ident(name);
        let search_paths = config
            .schemas
            .iter()
            .map(|schema| {
                let path: Vec<String> =
                    std::iter::once(schema).chain(&config.extra_search_path).map(quote).collect();
                (schema.clone(), path.join(", "))
            })
            .collect();
        let pre_request =
            config.pre_request.as_ref().map(|function| format!("select {}()", settings::quoted(function)));
        Self { policy: config.token_policy(), search_paths, pre_request, config, catalog, keys }
    }

    /// The search path of requests on a schema.
    pub(crate) fn search_path(&self, schema: &str) -> &str {
        self.search_paths.get(schema).map_or("", String::as_str)
    }
}

/// What is to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The catalogue, and the configuration before it.
    Schema,
    /// The configuration.
    Config,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Rest {
    pub(crate) shared: Arc<Shared>,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("schemas", &self.shared.state.load().config.schemas).finish_non_exhaustive()
    }
}

pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) state: ArcSwap<State>,
    /// What the environment said, before the database had its say.
    base: Config,
    /// When the next attempt to load is made, for `Retry-After`.
    retry_after: AtomicU64,
    reloads: mpsc::Sender<Reload>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Bursts of notifications (a migration sends one for each statement) become one reload.
const DEBOUNCE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: u64 = 32;

impl Rest {
    /// Starts the service on a pool whose login is the authenticator. `keys` verify tokens; a request that carries an
    /// `Arc<tokens::Verified>` in its extensions was verified before. Returns at once: the catalogue is loaded in the
    /// background, and until then requests are answered with 503.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(config: Config, pool: Pool, keys: Option<KeyRing>) -> Self {
        // A full queue needs nothing added to it: whatever it holds is read after what has happened by now.
        let (reloads, queue) = mpsc::channel(4);
        let shared = Arc::new(Shared {
            pool,
            state: ArcSwap::from_pointee(State::new(config.clone(), None, keys)),
            retry_after: AtomicU64::new(1),
            reloads,
            tasks: Mutex::default(),
            base: config,
        });
        let mut tasks = vec![tokio::spawn(keep_loaded(shared.clone(), queue))];
        if shared.base.channel_enabled {
            tasks.push(tokio::spawn(listen(shared.clone())));
        }
        if let Ok(mut slot) = shared.tasks.try_lock() {
            *slot = tasks;
        }
        Self { shared }
    }

    /// The API, at the root path.
    pub fn router(&self) -> Router {
        Router::new().fallback(handler::answer).with_state(self.clone())
    }

    /// Reads configuration and catalogue again, as `NOTIFY pgrst` does.
    pub fn reload(&self, what: Reload) {
        // Full is fine, see `start`.
        let _ = self.shared.reloads.try_send(what);
    }

    /// Whether the catalogue is loaded.
    pub fn is_ready(&self) -> bool {
        self.shared.state.load().catalog.is_some()
    }

    /// The configuration as it is now.
    pub fn config(&self) -> Config {
        self.shared.state.load().config.clone()
    }

    /// The catalogue as it is now.
    pub fn catalog(&self) -> Option<Arc<Catalog>> {
        self.shared.state.load().catalog.clone()
    }

    /// Stops the background work.
    pub async fn stop(&self) {
        for task in self.shared.tasks.lock().await.drain(..) {
            task.abort();
            // It was told to stop; how it ended does not matter.
            let _ = task.await;
        }
    }

    /// In how many seconds it is worth asking again.
    pub(crate) fn retry_after(&self) -> u64 {
        self.shared.retry_after.load(Ordering::Relaxed)
    }
}

/// Loads the catalogue at first, and again whenever asked to. The old one serves until the new one is there.
async fn keep_loaded(shared: Arc<Shared>, mut queue: mpsc::Receiver<Reload>) {
    let mut wanted = Reload::Schema;
    loop {
        let mut pause = 1;
        while let Err(error) = reload(&shared, wanted).await {
            metrics::counter!("pgrst_schema_cache_loads_total", "status" => "FAIL").increment(1);
            tracing::error!(%error, retry_in_seconds = pause, "the catalogue could not be loaded");
            shared.retry_after.store(pause, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        shared.retry_after.store(1, Ordering::Relaxed);
        let Some(next) = queue.recv().await else { return };
        wanted = next;
        tokio::time::sleep(DEBOUNCE).await;
        while let Ok(more) = queue.try_recv() {
            if more == Reload::Schema {
                wanted = more;
            }
        }
    }
}

async fn reload(shared: &Shared, what: Reload) -> Result<(), load::LoadError> {
    let began = std::time::Instant::now();
    let mut connection = shared.pool.acquire().await?;
    let config = settings::load(&mut connection, &shared.base).await?;
    let before = shared.state.load_full();
    let catalog = if what == Reload::Schema || before.catalog.is_none() || config.schemas != before.config.schemas {
        Some(Arc::new(load::load(&mut connection, &config).await?))
    } else {
        before.catalog.clone()
    };
    drop(connection);
    let keys = changed_keys(&config, &before);
    if let (Some(catalog), Reload::Schema) = (&catalog, what) {
        let seconds = began.elapsed().as_secs_f64();
        metrics::counter!("pgrst_schema_cache_loads_total", "status" => "SUCCESS").increment(1);
        metrics::gauge!("pgrst_schema_cache_query_time_seconds").set(seconds);
        tracing::info!(seconds, catalog = catalog.summary(), "the catalogue is loaded");
    }
    shared.state.store(Arc::new(State::new(config, catalog, keys)));
    Ok(())
}

/// The keys after a reload: others only if the database names another secret.
fn changed_keys(config: &Config, before: &State) -> Option<KeyRing> {
    if config.jwt_secret == before.config.jwt_secret {
        return before.keys.clone();
    }
    match config.keys() {
        Ok(keys) => keys.map(KeyRing::new),
        Err(error) => {
            tracing::error!(%error, "the secret in the database is not used");
            before.keys.clone()
        }
    }
}

/// Passes on what is notified on the configured channel.
async fn listen(shared: Arc<Shared>) {
    let channel = shared.base.channel.clone();
    let mut pause = 1;
    loop {
        let mut listener = match Listener::connect(shared.pool.config().clone(), &[&channel]).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, retry_in_seconds = pause, "cannot listen for reloads");
                tokio::time::sleep(Duration::from_secs(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        loop {
            let wanted = match listener.recv().await {
                // Notifications may have been missed.
                ListenEvent::Reconnected => Reload::Schema,
                ListenEvent::Notification(notification) => match notification.payload.as_str() {
                    "" | "reload schema" => Reload::Schema,
                    "reload config" => Reload::Config,
                    _ => continue,
                },
            };
            if shared.reloads.try_send(wanted).is_err() && shared.reloads.is_closed() {
                return;
            }
        }
    }
}
