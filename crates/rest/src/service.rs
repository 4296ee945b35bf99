//! The running service: what it knows at the moment, and the work that keeps that up to date.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use database::{Connection, Pool};
use tokens::{KeyRing, Policy};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use crate::admin::{self, Surroundings};
use crate::catalog::{Catalog, load, settings};
use crate::config::Origin;
use crate::execute::Flows;
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
enum Reload {
    /// The catalogue, and the configuration before it.
    Schema,
    /// The configuration.
    Config,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Rest {
    pub(crate) shared: Arc<Shared>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest")
            .field("schemas", &self.shared.state.load().config.schemas)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Shared {
    pub(crate) pool: Pool,
    /// Bodies that are on their way to clients.
    pub(crate) flows: Flows,
    pub(crate) state: ArcSwap<State>,
    /// What environment and file said, before the database had its say.
    base: ArcSwap<Config>,
    /// Where that can be read again.
    origin: Option<Origin>,
    /// What the server applies to connections of the login role when they are opened; empty before the first load.
    login_settings: std::sync::Mutex<String>,
    /// Why the service cannot go on, once that is so.
    gave_up: watch::Sender<Option<String>>,
    /// When the next attempt to load is made, for `Retry-After`.
    retry_after: AtomicU64,
    reloads: mpsc::Sender<Reload>,
    /// How many reloads were asked for, and how many of them the last load covers.
    asked: AtomicU64,
    covered: watch::Sender<u64>,
    /// How many loads of the catalogue succeeded, and how many failed.
    loaded: AtomicU64,
    failed: AtomicU64,
    /// How long the last load took, in microseconds.
    load_time: AtomicU64,
}

impl Shared {
    /// Asks for a reload. Nothing need be done when the queue is full, see [`Rest::start`].
    fn wake(&self, what: Reload) {
        self.asked.fetch_add(1, Ordering::AcqRel);
        let _ = self.reloads.try_send(what);
    }

    /// What is known now, if that is not `known` any more: a request that named something unknown may have come in the
    /// moment between a change of the schema and the end of the reload that it causes. Waits for a notification that
    /// is on its way, and for the reload if there is one; both within bounds.
    pub(crate) async fn newer_than(&self, known: &Arc<State>) -> Option<Arc<State>> {
        if known.config.channel_enabled {
            tokio::time::sleep(NOTIFICATION_DELAY).await;
        }
        let asked = self.asked.load(Ordering::Acquire);
        let mut covered = self.covered.subscribe();
        // Late or never: the answer is then what it would have been.
        let _ =
            tokio::time::timeout(LONGEST_RELOAD_WAIT, covered.wait_for(|covered| *covered >= asked)).await;
        let state = self.state.load_full();
        (!Arc::ptr_eq(&state, known)).then_some(state)
    }

    /// Why there is no use in trying again.
    fn hopeless(&self, error: &load::LoadError) -> Option<&'static str> {
        if !self.base.load().automatic_recovery {
            return Some("automatic recovery is disabled");
        }
        // A wrong password at the start is a wrong configuration. Later it may be one that is being changed.
        let refused = matches!(error, load::LoadError::Database(error) if error.is_refused_login());
        (refused && self.loaded.load(Ordering::Relaxed) == 0).then_some("the database refuses the login")
    }

    /// Environment and file, read again where that is possible.
    fn reread(&self) {
        let Some(origin) = &self.origin else { return };
        let before = self.base.load();
        match origin.read() {
            Ok(config) => self.base.store(Arc::new(Config {
                uri: before.uri.clone(),
                cors: before.cors,
                require_where: before.require_where,
                ..config
            })),
            Err(error) => {
                tracing::error!("Failed reloading config: {error}")
            }
        }
    }

    /// Connections that were opened under other settings of the login role are not used any more.
    fn follow_login_settings(&self, now: String) {
        let mut known = self.login_settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = *known != now;
        if changed && self.loaded.load(Ordering::Relaxed) > 0 {
            self.pool.retire();
        }
        *known = now;
    }

    /// A request found the database away, and nobody listens for when it is back.
    pub(crate) fn suspect(&self) {
        self.wake(Reload::Schema);
    }
}

/// Bursts of notifications (a migration sends one for each statement) become few reloads: from the beginning of one to
/// the beginning of the next passes at least this long. The first one begins at once.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long after a commit its notification may reach us.
const NOTIFICATION_DELAY: Duration = Duration::from_millis(25);
/// How long a request for something unknown waits for a reload that is under way.
const LONGEST_RELOAD_WAIT: Duration = Duration::from_secs(5);
/// How long the first load waits until notifications are heard.
const LONGEST_LISTEN_WAIT: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: u64 = 32;
/// The least time between two attempts of which the first failed.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

impl Rest {
    /// Starts the service on a pool whose login is the authenticator. `keys` verify tokens; a request that carries an
    /// `Arc<tokens::Verified>` in its extensions was verified before. Returns at once: the catalogue is loaded in the
    /// background, and until then requests are answered with 503.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(config: Config, pool: Pool, keys: Option<KeyRing>) -> Self {
        Self::launch(config, None, pool, keys, None)
    }

    /// The same with a configuration that is read again with every reload. `config` is what was read of it so far.
    ///
    /// If there is a channel, whoever listens to it says [`Self::notified`] when it begins to: a catalogue that was loaded
    /// before may have missed a change, so the first load waits for that word, though not for long.
    pub fn start_from(origin: Origin, config: Config, pool: Pool, keys: Option<KeyRing>) -> Self {
        let word = config.channel_enabled.then_some(LONGEST_LISTEN_WAIT);
        Self::launch(config, Some(origin), pool, keys, word)
    }

    fn launch(
        config: Config,
        origin: Option<Origin>,
        pool: Pool,
        keys: Option<KeyRing>,
        word: Option<Duration>,
    ) -> Self {
        // A full queue needs nothing added to it: whatever it holds is read after what has happened by now.
        let (reloads, queue) = mpsc::channel(4);
        let shared = Arc::new(Shared {
            pool,
            flows: Flows::default(),
            state: ArcSwap::from_pointee(State::new(config.clone(), None, keys)),
            retry_after: AtomicU64::new(1),
            reloads,
            asked: AtomicU64::new(0),
            covered: watch::Sender::new(0),
            loaded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            load_time: AtomicU64::new(0),
            base: ArcSwap::from_pointee(config),
            origin,
            login_settings: std::sync::Mutex::default(),
            gave_up: watch::Sender::new(None),
        });
        let service = Arc::downgrade(&shared);
        let task = tokio::spawn(async move {
            let mut queue = queue;
            if let Some(wait) = word {
                // Late or never: then it is loaded once more when it comes.
                let _ = tokio::time::timeout(wait, queue.recv()).await;
            }
            keep_loaded(service, queue).await;
        });
        Self { shared, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// The API, at the root path.
    pub fn router(&self) -> Router {
        let rest = self.clone();
        Router::new().fallback(move |request| rest.clone().answer(request))
    }

    /// Answers any request, without a router on the way.
    pub async fn answer(self, request: axum::extract::Request) -> http::Response<axum::body::Body> {
        handler::answer(self, request).await
    }

    /// The admin endpoints, for a listener of their own: `/live`, `/ready`, `/schema_cache`, `/metrics`.
    pub fn admin_router(&self, surroundings: Surroundings) -> Router {
        admin::router(self.clone(), surroundings)
    }

    /// Reads configuration and catalogue again. Returns at once; what is loaded serves until the new is there.
    pub fn reload(&self) {
        self.shared.wake(Reload::Schema);
    }

    /// Takes what was notified on the configured channel. `None` says that notifications may have been missed.
    pub fn notified(&self, payload: Option<&str>) {
        let wanted = match payload {
            None => return self.shared.wake(Reload::Schema),
            Some("" | "reload schema") => Reload::Schema,
            Some("reload config") => Reload::Config,
            Some(_) => return,
        };
        let what = if wanted == Reload::Schema { "schema cache" } else { "config" };
        tracing::info!("Received a {what} reload message on the {:?} channel", self.config().channel);
        self.shared.wake(wanted);
    }

    /// Reads the configuration again, and what the database says about it. Returns at once.
    pub fn reload_config(&self) {
        self.shared.wake(Reload::Config);
    }

    /// Ends what cannot go on: who waits for [`Self::failure`] is told why.
    pub fn give_up(&self, reason: &str) {
        self.shared.gave_up.send_replace(Some(reason.to_owned()));
    }

    /// Why the service cannot go on: the database refuses its password, or went away and it was told not to wait
    /// (`db-pool-automatic-recovery`). `None` as long as it can.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.shared.gave_up.subscribe()
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

    /// How many loads of the catalogue succeeded, and how many failed.
    pub(crate) fn loads(&self) -> [u64; 2] {
        [&self.shared.loaded, &self.shared.failed].map(|count| count.load(Ordering::Relaxed))
    }

    /// How long the last load of the catalogue took.
    pub(crate) fn load_time(&self) -> Duration {
        Duration::from_micros(self.shared.load_time.load(Ordering::Relaxed))
    }

    /// How many bodies are on their way from the database to clients.
    pub fn flowing(&self) -> usize {
        self.shared.flows.count()
    }

    /// Stops the background work. Bodies that are still on their way are cut off.
    pub async fn stop(self) {
        self.shared.flows.stop().await;
        if let Some(task) = self.task.lock().await.take() {
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
async fn keep_loaded(service: Weak<Shared>, mut queue: mpsc::Receiver<Reload>) {
    let mut wanted = Reload::Schema;
    let mut retired = Retired::default();
    loop {
        retired.free().await;
        let mut pause = 1;
        let began = loop {
            // Gone when nobody is left to be served.
            let Some(shared) = service.upgrade() else { return };
            let began = tokio::time::Instant::now();
            let covers = shared.asked.load(Ordering::Acquire);
            let error = match reload(&shared, wanted).await {
                Ok(before) => {
                    shared.retry_after.store(1, Ordering::Relaxed);
                    shared.covered.send_replace(covers);
                    retired.0 = Some(before);
                    break began;
                }
                Err(error) => error,
            };
            shared.failed.fetch_add(1, Ordering::Relaxed);
            if let Some(reason) = shared.hopeless(&error) {
                tracing::error!(%error, "the catalogue could not be loaded");
                shared.gave_up.send_replace(Some(format!("{reason}: {error}")));
                return;
            }
            metrics::counter!("pgrst_schema_cache_loads_total", "status" => "FAIL").increment(1);
            let config = shared.state.load().config.clone();
            tracing::error!(
                retry_in_seconds = pause,
                "Failed to load the schema cache using db-schemas={} and db-extra-search-path={}. {error}",
                config.schemas.join(","),
                config.extra_search_path.join(","),
            );
            shared.retry_after.store(pause, Ordering::Relaxed);
            drop(shared);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(pause)) => pause = (pause * 2).min(LONGEST_PAUSE),
                // Whoever asks knows something: the database is heard again, or somebody corrected the configuration.
                more = queue.recv() => {
                    let Some(more) = more else { return };
                    if more == Reload::Schema {
                        wanted = more;
                    }
                    tokio::time::sleep_until(began + SHORTEST_PAUSE).await;
                }
            }
        };
        let next = loop {
            tokio::select! {
                next = queue.recv() => break next,
                () = retired.expire() => {}
            }
        };
        let Some(next) = next else { return };
        wanted = next;
        tokio::time::sleep_until(began + DEBOUNCE).await;
        while let Ok(more) = queue.try_recv() {
            if more == Reload::Schema {
                wanted = more;
            }
        }
    }
}

/// What served until a reload. To free a large catalogue takes a while, which no request should have to: it is kept here
/// until the requests that began with it have ended, or another reload begins.
#[derive(Default)]
struct Retired(Option<Arc<State>>);

/// How long requests take that began with what has been replaced. Longer ones free it themselves.
const RETIREMENT: Duration = Duration::from_secs(2);

impl Retired {
    /// Frees it, apart from the threads that serve.
    async fn free(&mut self) {
        if let Some(state) = self.0.take() {
            // It ends by itself; when the process does, there is nothing to free.
            let _ = tokio::task::spawn_blocking(move || drop(state)).await;
        }
    }

    /// Frees it in time. Never ends if there is nothing.
    async fn expire(&mut self) {
        if self.0.is_none() {
            return std::future::pending().await;
        }
        tokio::time::sleep(RETIREMENT).await;
        self.free().await;
    }
}

/// Loads anew and swaps in what was loaded. Returns what served until then.
async fn reload(shared: &Shared, what: Reload) -> Result<Arc<State>, load::LoadError> {
    let began = std::time::Instant::now();
    // A connection of its own: those of the pool are for requests. What the server remembers of ten thousand tables goes
    // with it, too.
    let mut connection = Connection::connect(shared.pool.config()).await?;
    if what == Reload::Config || shared.base.load().db_config {
        shared.reread();
    }
    let config = settings::load(&mut connection, &shared.base.load()).await?;
    shared.follow_login_settings(settings::of_login(&mut connection).await?);
    let before = shared.state.load_full();
    let catalog =
        if what == Reload::Schema || before.catalog.is_none() || config.schemas != before.config.schemas {
            Some(Arc::new(load::load(&mut connection, &config, before.catalog.as_ref()).await?))
        } else {
            before.catalog.clone()
        };
    drop(connection);
    if let (Some(before), Some(catalog)) = (&before.catalog, &catalog)
        && !Arc::ptr_eq(before, catalog)
        && before.is_retyped_in(catalog)
    {
        shared.pool.retire();
    }
    let keys = changed_keys(&config, &before);
    if let (Some(catalog), Reload::Schema) = (&catalog, what) {
        let took = began.elapsed();
        let seconds = took.as_secs_f64();
        shared.load_time.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        shared.loaded.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("pgrst_schema_cache_loads_total", "status" => "SUCCESS").increment(1);
        metrics::gauge!("pgrst_schema_cache_query_time_seconds").set(seconds);
        tracing::info!(seconds, "Schema cache loaded {}", catalog.summary());
    }
    Ok(shared.state.swap(Arc::new(State::new(config, catalog, keys))))
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
