//! What a start is told.

use std::fmt;
use std::sync::Arc;

use config::Config;

/// How to start.
#[derive(Debug)]
pub struct StartOptions {
    /// The resolved configuration.
    pub config: Config,
    /// Told about each step.
    pub progress: Progress,
}

impl StartOptions {
    /// A start with this configuration that tells nobody.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, progress: Progress::default() }
    }
}

/// A step of the start that may take long enough to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The PostgreSQL distribution is being found or unpacked.
    Engine,
    /// The cluster is being made if there is none, and PostgreSQL started.
    Database,
    /// Roles, schemas and service tables are being made or brought up to date.
    Bootstrap,
    /// The project's roles, migrations and seeds are being applied.
    Migrations,
    /// The services are starting.
    Services,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "Unpacking PostgreSQL",
            Self::Database => "Starting PostgreSQL",
            Self::Bootstrap => "Preparing the database",
            Self::Migrations => "Applying migrations",
            Self::Services => "Starting services",
        })
    }
}

/// Who is told about steps. The default tells nobody.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Progress {
    /// Calls `told` at the beginning of each step. It must not block.
    pub fn new(told: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn step(&self, step: Step) {
        tracing::debug!("{step}");
        if let Some(told) = &self.0 {
            told(step);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(told)" } else { "Progress(silent)" })
    }
}
