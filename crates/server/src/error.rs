//! Why a start failed, in words that say what to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use config::ConfigError;

use crate::control::ControlError;

/// A start or a run that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration contradicts itself, or what is asked of it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A service does not accept its part of the configuration.
    #[error("the {service} service cannot use its configuration: {reason}")]
    Settings {
        /// Which service.
        service: &'static str,
        /// What it says.
        reason: String,
    },
    /// Somebody else listens there.
    #[error("port {} is taken, so {what} cannot listen on {address}", address.port())]
    PortTaken {
        /// What wanted to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What chooses another one.
        setting: &'static str,
    },
    /// The system does not let us listen there.
    #[error("{what} cannot listen on {address}: {source}")]
    Listen {
        /// What wanted to listen.
        what: &'static str,
        /// Where.
        address: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file or folder of ours cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The data directory was written by a newer program.
    #[error("{} was written by a newer monobase (format {found}, this one knows {known})", path.display())]
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// The format stamp is not one.
    #[error("{} is not a format stamp", path.display())]
    BadFormat {
        /// The file.
        path: PathBuf,
    },
    /// The control socket cannot be opened; most often because a server is running already.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The embedded PostgreSQL cannot run.
    #[error(transparent)]
    Engine(#[from] embedded_postgres::Error),
    /// The address of the outside database is not one.
    #[error("the database's address cannot be used: {0}")]
    DatabaseUrl(String),
    /// The database does not answer, or refuses us.
    #[error("cannot reach the database: {0}")]
    Database(#[from] ::database::Error),
    /// The database cannot be made into ours.
    #[error("cannot prepare the database: {0}")]
    Bootstrap(#[from] bootstrap::Error),
    /// The project's roles, migrations or seeds cannot be applied.
    #[error("cannot apply the project to the database: {0}")]
    Project(#[from] project::Error),
    /// The service cannot run alone in this build.
    #[error("`serve {0}` is not part of this version of monobase yet")]
    CannotServe(String),
    /// The service has no configuration file.
    #[error("`serve {0}` takes no configuration file")]
    NoFile(String),
    /// The service cannot show what it would work with.
    #[error("`serve {0}` has nothing to dump and no admin port")]
    CannotDump(String),
    /// A service that was asked does not serve, or does not serve yet.
    #[error("not ready: {0}")]
    NotReady(String),
    /// A service cannot go on.
    #[error("giving up: {0}")]
    GaveUp(String),
    /// A signal came before everything ran.
    #[error("interrupted")]
    Interrupted,
    /// Something that cannot happen did.
    #[error("internal error: {0}")]
    Internal(String),
    /// A figure could not be registered.
    #[error(transparent)]
    Metrics(#[from] telemetry::metrics::InstallError),
}

impl Error {
    /// Lines that belong to the message and keep their form, such as the statement of a migration that failed.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Project(error) => error.detail(),
            _ => None,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint.clone(),
            Self::PortTaken { setting, .. } => Some(format!(
                "another monobase or Supabase stack may be running: stop it, choose another port with {setting}, or let \
                 `--port 0` pick free ones"
            )),
            Self::NewerFormat { .. } => Some("use the newer program, or another --data-dir".to_owned()),
            Self::BadFormat { .. } => {
                Some("restore the folder from a backup, or use another --data-dir".to_owned())
            }
            Self::Control(ControlError::Running) => {
                Some("`monobase status` shows it, `monobase stop` stops it".to_owned())
            }
            Self::Engine(error) => error.hint(),
            Self::Project(error) => error.hint(),
            Self::DatabaseUrl(_) => {
                Some("it looks like postgresql://user:password@host:5432/postgres".to_owned())
            }
            Self::Database(_) => {
                Some("check that the server runs, and its host, port, user and password".to_owned())
            }
            _ => None,
        }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
