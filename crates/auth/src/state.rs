//! What the routes share.

use std::sync::Arc;

use database::{Pool, PooledConnection};
use mail::{Carrier, Smtp, Templates};
use tokens::KeyRing;

use crate::config::{Config, ConfigError};
use crate::error::Result;
use crate::guesses::Guesses;
use crate::http::GoUrl;
use crate::outbox::Outbox;
use crate::outside;
use crate::password::Hasher;
use crate::providers::Outgoing;
use crate::rate_limit::Limiters;
use crate::saml::{MetadataAttempts, ServiceProvider};

/// A running service. Cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    config: Config,
    pool: Pool,
    keys: KeyRing,
    hasher: Hasher,
    limits: Arc<Limiters>,
    guesses: Arc<Guesses>,
    outside: reqwest::Client,
    templates: Arc<Templates>,
    outbox: Outbox,
    /// Mails go to the configured server, and not to somebody in this process.
    own_mail_server: bool,
    outgoing: Outgoing,
    saml: Option<ServiceProvider>,
    metadata_attempts: Arc<MetadataAttempts>,
}

impl State {
    /// A service on a database whose `auth` schema exists; the pool logs in as `supabase_auth_admin`.
    ///
    /// `carrier` takes mails instead of the configured mail server. Without either, mails are dropped as the original drops
    /// them.
    pub fn new(
        config: Config,
        pool: Pool,
        keys: KeyRing,
        carrier: Option<Arc<dyn Carrier>>,
    ) -> Result<Self, ConfigError> {
        let config = checked(config)?;
        let outgoing = Outgoing::new(config.external.http_timeout);
        let saml = service_provider(&config)?;
        let hasher = Hasher::new(config.password.bcrypt_cost, config.password.parallel_hashes);
        let limits = Arc::new(Limiters::new(&config));
        let outside = outside::client()
            .map_err(|error| ConfigError::invalid("the system's certificates", error.to_string()))?;
        let templates = Arc::new(Templates::new(config.mailer.templates.clone(), outside.clone()));
        let own_mail_server = carrier.is_none();
        let carrier = match carrier {
            Some(carrier) => Some(carrier),
            None => mail_server(&config)?,
        };
        let outbox = Outbox::new(pool.clone(), carrier);
        Ok(Self(Arc::new(Inner {
            config,
            pool,
            keys,
            hasher,
            limits,
            guesses: Arc::default(),
            outside,
            templates,
            outbox,
            own_mail_server,
            outgoing,
            saml,
            metadata_attempts: Arc::default(),
        })))
    }

    /// The same service with another configuration.
    pub(crate) fn reconfigured(&self, config: Config) -> Result<Self, ConfigError> {
        let config = checked(config)?;
        let before = &*self.0;
        let saml = service_provider(&config)?;
        if before.own_mail_server {
            self.0.outbox.reconnect(mail_server(&config)?);
        }
        // What was counted or fetched stays where nothing about it has changed.
        let same_limits = format!("{:?}", before.config.rate_limits) == format!("{:?}", config.rate_limits);
        let limits = if same_limits { before.limits.clone() } else { Arc::new(Limiters::new(&config)) };
        let templates = if before.config.mailer.templates == config.mailer.templates {
            before.templates.clone()
        } else {
            Arc::new(Templates::new(config.mailer.templates.clone(), before.outside.clone()))
        };
        Ok(Self(Arc::new(Inner {
            config,
            pool: before.pool.clone(),
            keys: before.keys.clone(),
            hasher: before.hasher.clone(),
            limits,
            guesses: before.guesses.clone(),
            outside: before.outside.clone(),
            templates,
            outbox: before.outbox.clone(),
            own_mail_server: before.own_mail_server,
            outgoing: Outgoing::new(before.config.external.http_timeout),
            saml,
            metadata_attempts: before.metadata_attempts.clone(),
        })))
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

    /// Wrong codes and passwords.
    pub(crate) fn guesses(&self) -> &Guesses {
        &self.0.guesses
    }

    /// The client for calls to the outside.
    pub(crate) fn outside(&self) -> &reqwest::Client {
        &self.0.outside
    }

    pub(crate) fn templates(&self) -> &Templates {
        &self.0.templates
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The way to other servers.
    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.0.outgoing
    }

    /// Ourselves, as identity providers know us; none where SAML is off.
    pub(crate) fn saml(&self) -> Option<&ServiceProvider> {
        self.0.saml.as_ref()
    }

    pub(crate) fn metadata_attempts(&self) -> &MetadataAttempts {
        &self.0.metadata_attempts
    }

    /// A connection of the pool. Hold it for queries only, never while hashing.
    pub(crate) async fn database(&self) -> Result<PooledConnection> {
        Ok(self.0.pool.acquire().await?)
    }
}

fn checked(config: Config) -> Result<Config, ConfigError> {
    config.validate()?;
    Ok(config)
}

fn service_provider(config: &Config) -> Result<Option<ServiceProvider>, ConfigError> {
    config.saml.enabled.then(|| ServiceProvider::new(&config.saml, &config.external_url)).transpose()
}

fn mail_server(config: &Config) -> Result<Option<Arc<dyn Carrier>>, ConfigError> {
    let hello = GoUrl::parse(&config.external_url).map(|url| url.hostname().to_owned()).unwrap_or_default();
    let Some(server) = config.smtp.server(hello) else { return Ok(None) };
    let smtp =
        Smtp::new(&server).map_err(|error| ConfigError::invalid("GOTRUE_SMTP_HOST", error.to_string()))?;
    Ok(Some(Arc::new(smtp)))
}
