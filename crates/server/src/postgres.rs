//! The database of a run: the embedded PostgreSQL, or somebody else's.

use std::net::SocketAddr;
use std::path::Path;

use config::{Config, DatabaseLocation};
use database::{ConnectConfig, Pool, PoolConfig};
use embedded_postgres::{Cluster, Engine, EngineSource, Options, SUPERUSER, State};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::first_start::Place;
use crate::{Error, Progress, Step};

/// Shown in `pg_stat_activity`.
const APPLICATION: &str = "monobase";

/// How often a free port may be taken by somebody else between its choice and PostgreSQL's bind.
const PORT_RACES: usize = 5;

/// A database that answers, and what is needed to sign in to it.
#[derive(Debug)]
pub(crate) struct Postgres {
    admin: ConnectConfig,
    /// The password that all login roles share.
    password: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    // In this order: PostgreSQL is gone before its folder is.
    Embedded { cluster: Cluster, ephemeral: Option<TempDir> },
    External { direct: ConnectConfig },
}

impl Postgres {
    /// Starts the embedded PostgreSQL, or finds out how to reach the outside one.
    pub(crate) async fn start(config: &Config, progress: &Progress) -> Result<Self, Error> {
        match &config.database {
            DatabaseLocation::Embedded => Self::embedded(config, progress).await,
            DatabaseLocation::External { url, direct_url, .. } => {
                let parse = |url: &config::Secret| {
                    ConnectConfig::parse_with(url.expose(), |_| None)
                        .map(|parsed| parsed.with_application_name(APPLICATION))
                        .map_err(|error| Error::DatabaseUrl(error.to_string()))
                };
                let admin = parse(url)?;
                let direct = direct_url.as_ref().map_or_else(|| Ok(admin.clone()), parse)?;
                let own = config.database_password.expose();
                // A password that everyone knows is never set on somebody's server.
                let password = match admin.password() {
                    Some(given) if tokens::development::is_published(own) => given.to_owned(),
                    _ => own.to_owned(),
                };
                Ok(Self { admin, password, kind: Kind::External { direct } })
            }
        }
    }

    async fn embedded(config: &Config, progress: &Progress) -> Result<Self, Error> {
        progress.step(Step::Engine);
        let located = tokio::task::spawn_blocking(move || Engine::locate(EngineSource::Auto)).await;
        let engine = match located {
            Ok(engine) => engine?,
            Err(error) => return Err(Error::Internal(error.to_string())),
        };
        progress.step(Step::Database);
        let ephemeral = if config.ephemeral {
            let folder = tempfile::Builder::new().prefix("monobase-").tempdir();
            Some(folder.map_err(Error::file("make a folder in", std::env::temp_dir()))?)
        } else {
            None
        };
        let folder = ephemeral
            .as_ref()
            .map_or_else(|| config.paths.state.join("postgres"), |place| place.path().join("postgres"));
        let configured = config.file.db.settings.to_postgres();
        let mut settings: Vec<(String, String)> =
            configured.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        settings.extend(extensions(&engine)?);
        let options = Options {
            tcp: Some(config.listen.database),
            settings,
            ephemeral: config.ephemeral,
            ..Options::new(folder)
        };
        let cluster = start_cluster(&engine, options).await?;
        Ok(Self {
            admin: cluster.connect_config(SUPERUSER).with_application_name(APPLICATION),
            password: config.database_password.expose().to_owned(),
            kind: Kind::Embedded { cluster, ephemeral },
        })
    }

    /// Who may change everything.
    pub(crate) fn admin(&self) -> &ConnectConfig {
        &self.admin
    }

    /// How a service's role signs in. The administrator has a password of its own.
    pub(crate) fn login(&self, role: &str) -> ConnectConfig {
        if role == self.admin.user() {
            return self.admin.clone();
        }
        match &self.kind {
            Kind::Embedded { cluster, .. } => cluster.connect_config(role),
            Kind::External { .. } => self.admin.clone().with_user(role),
        }
        .with_password(Some(&self.password))
        .with_application_name(APPLICATION)
    }

    /// As [`Self::login`], past a transaction pooler: for LISTEN, locks and replication.
    pub(crate) fn direct_login(&self, role: &str) -> ConnectConfig {
        match &self.kind {
            Kind::Embedded { .. } => self.login(role),
            Kind::External { direct } if role == direct.user() => direct.clone(),
            Kind::External { direct } => direct.clone().with_user(role).with_password(Some(&self.password)),
        }
    }

    /// A pool of a service's own.
    pub(crate) fn pool(&self, role: &str, limits: PoolConfig) -> Pool {
        Pool::new(self.login(role), limits)
    }

    /// The passwords of the login roles: one for all, but the administrator keeps the one it signs in with. The
    /// embedded superuser's is drawn at random and known to the data directory alone.
    pub(crate) fn passwords(&self) -> bootstrap::Passwords {
        let mut passwords = bootstrap::Passwords::shared(&*self.password);
        if let Some(own) = self.admin.password() {
            passwords.by_role.insert(self.admin.user().to_owned(), own.to_owned());
        }
        passwords
    }

    /// The state of the embedded PostgreSQL; nobody tells us an outside one's.
    pub(crate) fn state(&self) -> Option<watch::Receiver<State>> {
        match &self.kind {
            Kind::Embedded { cluster, .. } => Some(cluster.state()),
            Kind::External { .. } => None,
        }
    }

    /// Whether this start made the embedded PostgreSQL's data.
    pub(crate) fn created(&self) -> bool {
        match &self.kind {
            Kind::Embedded { cluster, .. } => cluster.created(),
            Kind::External { .. } => false,
        }
    }

    /// Which database this is, for the mark of its first start.
    pub(crate) fn place(&self) -> Place {
        match &self.kind {
            Kind::Embedded { ephemeral: None, .. } => Place::Embedded,
            Kind::Embedded { ephemeral: Some(_), .. } => Place::Ephemeral,
            // Written without its password.
            Kind::External { .. } => Place::Outside(self.admin.to_string()),
        }
    }

    /// Where clients reach the embedded PostgreSQL.
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Embedded { cluster, .. } => cluster.tcp(),
            Kind::External { .. } => None,
        }
    }

    pub(crate) fn class(&self) -> bootstrap::Class {
        match &self.kind {
            Kind::Embedded { .. } => bootstrap::Class::Embedded,
            Kind::External { .. } => bootstrap::Class::Server,
        }
    }

    /// Ends the embedded PostgreSQL in order.
    pub(crate) async fn stop(self) {
        if let Kind::Embedded { cluster, ephemeral } = self.kind {
            cluster.stop().await;
            if let Some(folder) = ephemeral
                && let Err(error) = folder.close()
            {
                tracing::warn!(%error, "cannot remove the ephemeral database");
            }
        }
    }
}

/// The setting through which the embedded PostgreSQL finds the extensions that we bring along.
fn extensions(engine: &Engine) -> Result<Option<(String, String)>, Error> {
    if !engine.major().parse().is_ok_and(|major: u32| major >= bootstrap::OLDEST_WITH_CONTROL_PATH) {
        return Ok(None);
    }
    // Beside the engine, because PostgreSQL's user can read there; that place may be another user's cache.
    let beside = engine.folder().parent().map(Path::to_owned);
    let mut failure = None;
    for cache in beside.into_iter().chain([embedded_postgres::cache_folder()]) {
        let written = std::fs::create_dir_all(&cache).and_then(|()| bootstrap::install_extensions(&cache));
        match written {
            Ok(path) => return Ok(Some(("extension_control_path".to_owned(), path))),
            Err(error) => failure = Some(Error::file("write extensions to", cache)(error)),
        }
    }
    failure.map_or(Ok(None), Err)
}

/// Starts PostgreSQL. When any port would do and the chosen one was taken in the meantime, another one is chosen.
async fn start_cluster(engine: &Engine, options: Options) -> Result<Cluster, embedded_postgres::Error> {
    let any_port = options.tcp.is_some_and(|address| address.port() == 0);
    let mut races = 0;
    loop {
        match Cluster::start(engine, options.clone()).await {
            // PostgreSQL's own words; it has no other way to say it.
            Err(embedded_postgres::Error::StartFailed(reason))
                if any_port
                    && races < PORT_RACES
                    && reason.contains("could not create any TCP/IP sockets") =>
            {
                races += 1;
                tracing::info!(races, "the free port was taken meanwhile, choosing another one");
            }
            outcome => return outcome,
        }
    }
}
