//! Where each value came from.

use std::fmt;
use std::path::PathBuf;

use crate::environment::{Environment, VariableSource};
use crate::error::Location;

/// The source that decided a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing set it.
    Default,
    /// `config.toml`.
    File(Location),
    /// `config.toml`, by `env(NAME)`.
    Reference {
        /// The variable.
        name: String,
        /// Where it is referred to.
        location: Location,
    },
    /// An environment variable.
    Environment {
        /// The variable.
        name: String,
        /// The `.env` file that sets it; none for the process.
        file: Option<PathBuf>,
    },
    /// A flag of the command line.
    Flag(&'static str),
    /// Made of another value, named here.
    Derived(&'static str),
}

impl Origin {
    pub(crate) fn variable(name: &str, environment: &Environment) -> Origin {
        let file = match environment.source(name) {
            Some(VariableSource::File(path)) => Some(path.clone()),
            _ => None,
        };
        Origin::Environment { name: name.to_owned(), file }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(location) => write!(f, "{}:{}", location.file.display(), location.line),
            Origin::Reference { name, location } => {
                write!(f, "{name} by {}:{}", location.file.display(), location.line)
            }
            Origin::Environment { name, file: None } => write!(f, "{name} in the environment"),
            Origin::Environment { name, file: Some(file) } => write!(f, "{name} in {}", file.display()),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Derived(from) => write!(f, "from {from}"),
        }
    }
}

/// A value as `config show` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key: `auth.jwt_expiry`.
    pub path: String,
    /// TOML notation with secrets masked; none when there is no value.
    pub shown: Option<String>,
    /// Who decided it.
    pub origin: Origin,
}
