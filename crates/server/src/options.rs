//! What a start is told.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// The parts that can be chosen with `--only` and left out with `--exclude`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// Users, sessions and tokens.
    Auth,
    /// Tables and functions over HTTP.
    Rest,
    /// The front door.
    Gateway,
}

impl Component {
    /// Every part of this build, in the order of their start.
    pub const ALL: [Self; 3] = [Self::Rest, Self::Auth, Self::Gateway];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Rest => "rest",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no part of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown service {0:?} (known: auth, rest, gateway)")]
pub struct UnknownComponent(String);

impl FromStr for Component {
    type Err = UnknownComponent;

    /// Accepts our names and those of the original programs.
    fn from_str(name: &str) -> Result<Self, UnknownComponent> {
        match name {
            "auth" | "gotrue" => Ok(Self::Auth),
            "rest" | "postgrest" => Ok(Self::Rest),
            "gateway" | "kong" => Ok(Self::Gateway),
            _ => Err(UnknownComponent(name.to_owned())),
        }
    }
}

/// What `start` is told besides the configuration.
#[derive(Default)]
pub struct StartOptions {
    /// The folder that holds `supabase/` and `.monobase/`.
    pub project_dir: PathBuf,
    /// Where the embedded cluster lives; `.monobase/` beside `supabase/` otherwise.
    pub data_dir: Option<PathBuf>,
    /// Run only these parts; empty for all.
    pub only: Vec<Component>,
    /// Do not run these.
    pub exclude: Vec<Component>,
    /// Everything is thrown away at the end, and nothing waits for the disk.
    pub ephemeral: bool,
    /// Refuse the published development secrets.
    pub production: bool,
    /// Told about each step of the start.
    pub progress: Progress,
}

/// What `serve` is told besides the environment.
#[derive(Default)]
pub struct ServeOptions {
    /// Told about each step of the start.
    pub progress: Progress,
}

/// A step of the start that may take long enough to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The PostgreSQL distribution is being unpacked.
    Engine,
    /// The cluster is being made, from the template or by `initdb`.
    Cluster,
    /// PostgreSQL is starting.
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
            Self::Cluster => "Preparing the data directory",
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

    /// A step begins.
    pub fn step(&self, step: Step) {
        if let Some(told) = &self.0 {
            told(step);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_names_are_known() {
        assert_eq!("postgrest".parse(), Ok(Component::Rest));
        assert_eq!("gotrue".parse(), Ok(Component::Auth));
        assert_eq!("kong".parse(), Ok(Component::Gateway));
        assert_eq!(
            "nothing".parse::<Component>().unwrap_err().to_string(),
            "unknown service \"nothing\" (known: auth, rest, gateway)"
        );
    }
}
