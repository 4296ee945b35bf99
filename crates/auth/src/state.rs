//! What the routes share.

use std::sync::Arc;

use database::{Pool, PooledConnection};
use mail::{Carrier, Smtp, Templates};
use tokens::KeyRing;
use uuid::Uuid;

use crate::cleanup::Cleanup;
use crate::config::{Config, ConfigError};
use crate::encryption::Encryption;
use crate::error::Result;
use crate::guesses::Guesses;
use crate::http::GoUrl;
use crate::outbox::Outbox;
use crate::outside::Outside;
use crate::password::Hasher;
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
    outside: Outside,
    strangers: Outside,
    templates: Arc<Templates>,
    outbox: Outbox,
    cleanup: Arc<Cleanup>,
    /// Takes mails while no mail server is configured.
    carrier: Option<Arc<dyn Carrier>>,
    saml: Option<ServiceProvider>,
    metadata_attempts: Arc<MetadataAttempts>,
}

impl State {
    /// A service on a database whose `auth` schema exists; the pool logs in as `supabase_auth_admin`.
    ///
    /// `carrier` takes mails while no mail server is configured. Without either, mails are dropped as the original drops them.
    pub fn new(
        config: Config,
        pool: Pool,
        keys: KeyRing,
        carrier: Option<Arc<dyn Carrier>>,
    ) -> Result<Self, ConfigError> {
        let config = checked(config)?;
        let saml = service_provider(&config)?;
        let hasher = Hasher::new(config.password.bcrypt_cost, config.password.parallel_hashes);
        let limits = Arc::new(Limiters::new(&config)?);
        let outside = Outside::new(config.external.http_timeout)
            .map_err(|error| ConfigError::invalid("the system's certificates", error.to_string()))?;
        let strangers = strangers(&config)?;
        let templates = Arc::new(Templates::new(config.mailer.templates.clone(), outside.client().clone()));
        let server = mail_server(&config)?;
        let outbox = Outbox::new(pool.clone(), server.or_else(|| carrier.clone()));
        Ok(Self(Arc::new(Inner {
            config,
            pool,
            keys,
            hasher,
            limits,
            guesses: Arc::default(),
            outside,
            strangers,
            templates,
            outbox,
            cleanup: Arc::default(),
            carrier,
            saml,
            metadata_attempts: Arc::default(),
        })))
    }

    /// The same service with another configuration.
    pub(crate) fn reconfigured(&self, config: Config) -> Result<Self, ConfigError> {
        let config = checked(config)?;
        let before = &*self.0;
        let saml = service_provider(&config)?;
        let server = mail_server(&config)?;
        // What was counted or fetched stays where nothing about it has changed.
        let limits = Arc::new(before.limits.renewed(&before.config, &config)?);
        let templates = if before.config.mailer.templates == config.mailer.templates {
            before.templates.clone()
        } else {
            Arc::new(Templates::new(config.mailer.templates.clone(), before.outside.client().clone()))
        };
        let outside = before.outside.with_patience(config.external.http_timeout);
        let strangers = strangers(&config)?;
        // Last: a configuration that is refused changes nothing.
        before.outbox.reconnect(server.or_else(|| before.carrier.clone()));
        Ok(Self(Arc::new(Inner {
            config,
            pool: before.pool.clone(),
            keys: before.keys.clone(),
            hasher: before.hasher.clone(),
            limits,
            guesses: before.guesses.clone(),
            outside,
            strangers,
            templates,
            outbox: before.outbox.clone(),
            cleanup: before.cleanup.clone(),
            carrier: before.carrier.clone(),
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

    /// The way to others.
    pub(crate) fn outside(&self) -> &Outside {
        &self.0.outside
    }

    /// The way to those whom an administrator named at run time.
    pub(crate) fn strangers(&self) -> &Outside {
        &self.0.strangers
    }

    pub(crate) fn templates(&self) -> &Templates {
        &self.0.templates
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn cleanup(&self) -> &Cleanup {
        &self.0.cleanup
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// A new password's hash as the row of its user keeps it.
    pub(crate) async fn new_password(&self, user_id: Uuid, password: String) -> Result<String> {
        let hash = self.hasher().hash(password).await?;
        Ok(self.encryption().seal(user_id, &hash)?)
    }

    /// The keys of columns that only this service can read.
    pub(crate) fn encryption(&self) -> &Encryption {
        &self.0.config.security.encryption
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

fn strangers(config: &Config) -> Result<Outside, ConfigError> {
    Outside::guarded(&config.external)
        .map_err(|error| ConfigError::invalid("a certificate authority", error.to_string()))
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
