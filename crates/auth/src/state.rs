//! What the routes share.

use std::sync::Arc;

use database::{Pool, PooledConnection};
use tokens::KeyRing;

use crate::config::{Config, ConfigError};
use crate::error::Result;
use crate::mail::Deliver;
use crate::password::Hasher;
use crate::providers::Outgoing;
use crate::rate_limit::Limiters;

/// A running service. Cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    config: Config,
    pool: Pool,
    keys: KeyRing,
    hasher: Hasher,
    limits: Limiters,
    delivery: Option<Arc<dyn Deliver>>,
    outgoing: Outgoing,
}

impl State {
    /// A service on a database whose `auth` schema exists; the pool logs in as `supabase_auth_admin`.
    ///
    /// `delivery` sends mails and text messages. Without it mails are dropped when no mail server is
    /// configured, as the original drops them, and requests that need one fail otherwise.
    pub fn new(
        config: Config,
        pool: Pool,
        keys: KeyRing,
        delivery: Option<Arc<dyn Deliver>>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        if delivery.is_none() && !config.smtp.host.is_empty() {
            tracing::warn!(host = %config.smtp.host, "a mail server is configured but this build cannot send mail yet: requests that send one will fail");
        }
        let outgoing = Outgoing::new(config.external.http_timeout);
        let hasher = Hasher::new(config.password.bcrypt_cost, config.password.parallel_hashes);
        let limits = Limiters::new(&config);
        Ok(Self(Arc::new(Inner { config, pool, keys, hasher, limits, delivery, outgoing })))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    pub(crate) fn limits(&self) -> &Limiters {
        &self.0.limits
    }

    pub(crate) fn delivery(&self) -> Option<&dyn Deliver> {
        self.0.delivery.as_deref()
    }

    /// The way to other servers.
    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.0.outgoing
    }

    /// A connection of the pool. Hold it for queries only, never while hashing.
    pub(crate) async fn database(&self) -> Result<PooledConnection> {
        Ok(self.0.pool.acquire().await?)
    }
}
