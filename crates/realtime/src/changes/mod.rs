//! Database changes, as sockets see them.
//!
//! A channel that joins with `postgres_changes` is answered at once; then it [`Changes::subscribe`]s with the ids it told
//! its client, the claims of its token, and a [`ChangeSink`] that leads to it. The subscription lasts as long as the
//! handle. Through the sink come
//!
//! - one [`ChangeSink::system`] message when the subscription is active, or when it cannot be made (and again after every
//!   loss of the feed);
//! - every visible change, by [`ChangeSink::change`], with the ids of all bindings of that channel that it matches.
//!
//! New claims for a channel (`access_token`) are told by [`Subscription::claims`]. Messages that the database itself
//! broadcasts go to [`crate::hub::Hub::broadcast_from_database`]. Nothing here ever waits for a socket.
//!
//! One reader ([`reader`]) of one temporary slot feeds everybody, on other nodes too ([`relay`]). [`feed`] is the task around it: it turns what channels
//! asked for ([`params`], [`filter`]) into listeners on tables ([`resolve`], [`index`]), hands batches of changes to
//! [`delivery`], and opens the slot again when it is lost. Nothing is asked of the database while nobody is there.

mod delivery;
mod feed;
mod filter;
mod index;
mod json;
mod like;
mod messages;
mod params;
mod payload;
mod predicate;
mod reader;
mod registry;
mod relay;
mod resolve;
mod row;
mod server_side;
mod settled;
mod sink;
mod table;
mod upkeep;
mod visibility;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use database::{ConnectConfig, Pool, PoolConfig};
use serde_json::{Map, Value};
use tokens::Verified;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::Bus;
use crate::config::Config;
use crate::hub::Hub;
use delivery::Delivery;
use feed::Feed;
use index::Claims;
use reader::{MESSAGES_PUBLICATION, Source};
use registry::Registry;

pub use sink::{Change, ChangeSink};
pub use upkeep::Upkeep;

/// What a channel asked for: one entry of `postgres_changes`.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The id in the answer to the join, repeated with each change. Equal entries have equal ids.
    pub id: u64,
    /// The entry as the client sent it.
    pub params: Map<String, Value>,
}

/// The reader of the database's changes, and who wants them.
pub struct Changes {
    registry: Arc<Registry>,
    live: Arc<AtomicBool>,
    upkeep: Upkeep,
    catalogue: Pool,
    /// When the partitions were made last on somebody's demand.
    prepared: tokio::sync::Mutex<Option<Instant>>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A channel's wish to see changes. Dropped, it ends.
pub struct Subscription {
    registry: Arc<Registry>,
    number: u64,
}

/// Who signs in to the database, past any pooler.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    /// The service itself: may replicate, and reads the catalogue.
    pub(crate) service: ConnectConfig,
    /// May become the roles of clients' tokens and nothing else.
    pub(crate) evaluation: ConnectConfig,
}

/// How many connections the catalogue and the partitions may take.
const CATALOGUE_CONNECTIONS: usize = 2;
/// How long a batch of questions may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often partitions are made on demand, at most.
const PREPARE_INTERVAL: Duration = Duration::from_secs(5);
/// How many connections the evaluation of policies may take.
const CONNECTIONS: usize = 4;
/// How long a policy may think about a batch.
const POLICY_TIMEOUT: &str = "5s";

impl Changes {
    /// Nothing is read before somebody subscribes or joins ([`Hub::channels`]).
    pub(crate) fn start(
        config: &Config,
        hub: Arc<Hub>,
        logins: Logins,
        upkeep: Upkeep,
        bus: Option<Bus>,
    ) -> Self {
        let Logins { service, evaluation } = logins;
        let catalogue = Pool::new(
            service.clone().with_application_name("realtime_catalogue"),
            PoolConfig {
                name: "realtime_catalogue",
                max_size: CATALOGUE_CONNECTIONS,
                request_timeout: Some(REQUEST_TIMEOUT),
                ..PoolConfig::default()
            },
        );
        let evaluators = Pool::new(
            evaluation
                .with_application_name("realtime_changes")
                .with_setting("datestyle", "ISO, MDY")
                .with_setting("intervalstyle", "postgres")
                .with_setting("timezone", "UTC")
                .with_setting("extra_float_digits", "1")
                .with_setting("bytea_output", "hex")
                .with_setting("statement_timeout", POLICY_TIMEOUT)
                // A policy's plan does not depend on who asks; planning a thousand times a batch would.
                .with_setting("plan_cache_mode", "force_generic_plan")
                .with_setting("jit", "off"),
            PoolConfig {
                name: "realtime_changes",
                max_size: CONNECTIONS,
                request_timeout: Some(REQUEST_TIMEOUT),
                ..PoolConfig::default()
            },
        );
        let registry = Arc::new(Registry::default());
        let live = Arc::new(AtomicBool::new(false));
        let stop = CancellationToken::new();
        let feed = Feed {
            registry: registry.clone(),
            hub,
            source: Source {
                database: service,
                publications: vec![config.publication.clone(), MESSAGES_PUBLICATION.to_owned()],
                slot: format!("supabase_realtime_replication_slot_{}", config.slot_suffix),
                exclusive: bus.is_some(),
            },
            bus: bus.map(|bus| bus.aside("changes")),
            publication: config.publication.clone(),
            upkeep,
            delivery: Delivery::new(catalogue.clone(), evaluators, CONNECTIONS),
            stop: stop.clone(),
            live: live.clone(),
            told: HashSet::new(),
        };
        let keeping = upkeep.keep(catalogue.clone(), config.janitor, stop.clone());
        let tasks = vec![tokio::spawn(feed.run()), tokio::spawn(keeping)];
        let (prepared, tasks) = (tokio::sync::Mutex::default(), Mutex::new(tasks));
        Self { registry, live, upkeep, catalogue, prepared, stop, tasks }
    }

    /// Makes the partitions of `realtime.messages`, because a message of today had none. Who asks at the same time waits for
    /// the same answer.
    pub(crate) async fn prepare(&self) {
        let mut prepared = self.prepared.lock().await;
        if prepared.is_some_and(|at| at.elapsed() < PREPARE_INTERVAL) {
            return;
        }
        if let Err(error) = self.upkeep.run(&self.catalogue, false).await {
            tracing::warn!(%error, "the partitions of realtime.messages cannot be made");
        }
        *prepared = Some(Instant::now());
    }

    /// Whether messages that the database broadcasts arrive at the moment.
    pub fn hears_messages(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Begins to deliver, at some later moment, what `claims` may see. Returns at once.
    pub fn subscribe(&self, claims: Arc<Verified>, bindings: Vec<Binding>, sink: ChangeSink) -> Subscription {
        let number = self.registry.add(claims_of(&claims), bindings, sink);
        Subscription { registry: self.registry.clone(), number }
    }

    /// Ends everything that runs.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // It has ended or panicked: over either way.
            let _ = task.await;
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Subscription {
    /// The channel's token was replaced.
    pub fn claims(&self, claims: Arc<Verified>) {
        self.registry.set_claims(self.number, claims_of(&claims));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.registry.remove(self.number);
    }
}

fn claims_of(verified: &Verified) -> Arc<Claims> {
    Arc::new(Claims { role: verified.role().unwrap_or_default().into(), json: verified.claims_json.clone() })
}
