//! The service: what its sockets and endpoints share, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use database::{ConnectConfig, Pool};
use tokens::KeyRing;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::changes::{Changes, Logins, Upkeep};
use crate::cluster::Bus;
use crate::config::Config;
use crate::hub::Hub;
use crate::tenant::{self, Tenant};
use crate::{cluster, http, socket};

/// What the service is given.
pub struct Surroundings {
    /// Connections as the service's own role, which row level security does not bind.
    pub pool: Pool,
    /// Connections under a login that may become the roles of clients' tokens and nothing else (`authenticator`): policies
    /// are evaluated here, so that a function of theirs gains nothing by giving its role back.
    pub authorization: Pool,
    /// The same server as the service's own role, past any pooler: for the stream of changes.
    pub replication: ConnectConfig,
    /// The login of `authorization`, past any pooler: decides who sees a change.
    pub evaluation: ConnectConfig,
    /// The keys that tokens verify under.
    pub ring: KeyRing,
    /// Who may use the tenant API and read the figures.
    pub management: http::Management,
    /// What keeps the table of messages in shape.
    pub upkeep: Upkeep,
}

/// Why the tenant's row could not be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SeedError(#[from] tenant::TenantError);

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Realtime(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) hub: Arc<Hub>,
    pub(crate) pool: Pool,
    /// Where policies are evaluated.
    pub(crate) authorization: Pool,
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
    /// Starts what runs in the background. But for the partitions of messages, nothing is asked of the database before a
    /// client wants it.
    pub fn start(config: Config, surroundings: Surroundings) -> Self {
        let Surroundings { pool, authorization, replication, evaluation, ring, management, upkeep } =
            surroundings;
        let hub = Arc::new(Hub::new(config.limits, config.private_only, &config.tenant));
        let stop = CancellationToken::new();
        let bus = config.redis_url.as_deref().and_then(|url| Bus::open(url, &config.tenant));
        let logins = Logins { service: replication, evaluation };
        let changes = Changes::start(&config, hub.clone(), logins, upkeep, bus.clone());
        let inner = Arc::new(Inner {
            config,
            hub,
            pool,
            authorization,
            ring,
            management,
            changes,
            sockets: AtomicUsize::new(0),
            stop,
            tasks: TaskTracker::new(),
        });
        inner.tasks.spawn(tick(inner.hub.clone(), inner.stop.clone()));
        if let Some(bus) = bus {
            // It does not keep the service alive.
            let service = Arc::downgrade(&inner);
            inner.tasks.spawn(cluster::run(bus, inner.hub.clone(), service, inner.stop.clone()));
        }
        Self(inner)
    }

    /// The service's routes, at the original's paths.
    pub fn router(&self) -> Router {
        http::router(self.0.clone()).merge(socket::router(self.0.clone()))
    }

    /// Writes the tenant's row anew, as the original does at every start of a self-hosted installation
    /// (`SEED_SELF_HOST`): its limits are those of the environment, and `login` is kept in it encrypted.
    pub async fn seed(&self, jwt_secret: &str, login: &[(&str, String)]) -> Result<(), SeedError> {
        let service = &self.0;
        let limits = &service.config.limits;
        let mut settings: serde_json::Map<String, serde_json::Value> =
            login.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
        settings.extend([
            ("region".to_owned(), service.config.region.clone().into()),
            ("poll_interval_ms".to_owned(), 100.into()),
            ("poll_max_record_bytes".to_owned(), 1_048_576.into()),
            ("ssl_enforced".to_owned(), false.into()),
        ]);
        let number = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
        let given = serde_json::json!({
            "jwt_secret": jwt_secret,
            "max_concurrent_users": number(limits.max_concurrent_users as u64),
            "max_channels_per_client": number(limits.max_channels_per_client as u64),
            "max_events_per_second": number(limits.max_events_per_second),
            "max_joins_per_second": number(limits.max_joins_per_second),
            "max_presence_events_per_second": number(limits.max_presence_events_per_second),
            "max_payload_size_in_kb": number(limits.max_payload_size_in_kb as u64),
            "private_only": service.config.private_only,
            "suspend": false,
            "extensions": [{ "type": "postgres_cdc_rls", "settings": settings }],
        });
        let given = given.as_object().cloned().unwrap_or_default();
        // Our own values are of the right types.
        let changes = tenant::Changes::parse(&given).unwrap_or_default();
        Tenant::delete(&service.pool, &service.config.tenant).await?;
        let key = service.management.secrets.encryption_key.as_deref();
        changes.apply(&service.pool, &service.config.tenant, key).await?;
        Ok(())
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

impl Inner {
    /// Another node has changed the tenant's row (`adopt`), or wants all sockets to begin anew.
    pub(crate) async fn follow(&self, adopt: bool, disconnect: bool) {
        if adopt {
            match Tenant::find(&self.pool, &self.config.tenant).await {
                Ok(Some(tenant)) => self.adopt(&tenant, disconnect),
                Ok(None) if disconnect => self.hub.disconnect_all(),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "another node has changed the tenant, and its row cannot be read");
                }
            }
        } else if disconnect {
            self.hub.disconnect_all();
        }
    }

    /// Tells the other nodes what [`Self::follow`] is to do there.
    pub(crate) fn tell_nodes(&self, adopt: bool, disconnect: bool) {
        if let Some(link) = self.hub.link() {
            link.tenant(adopt, disconnect);
        }
    }

    /// Takes over what the tenant's row says.
    pub(crate) fn adopt(&self, tenant: &Tenant, disconnect: bool) {
        let hub = &self.hub;
        hub.limits.set(
            tenant.number("max_concurrent_users"),
            tenant.number("max_channels_per_client"),
            tenant.number("max_payload_size_in_kb"),
            tenant.is("private_only"),
            tenant.is("suspend"),
        );
        for (rate, name) in [
            (&hub.events, "max_events_per_second"),
            (&hub.joins, "max_joins_per_second"),
            (&hub.presence, "max_presence_events_per_second"),
        ] {
            if let Some(limit) = tenant.number(name) {
                rate.set_limit(limit);
            }
        }
        if disconnect {
            hub.disconnect_all();
        }
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
