//! Log lines on standard error: text for people, JSON for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// How much is told when the user asks for nothing: warnings of libraries, events of ours.
pub const DEFAULT_FILTER: &str = "warn,monobase=info,server=info,gateway=info,rest=info,auth=info,database=info,embedded_postgres=info,bootstrap=info,project=info,config=info";

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter has a mistake.
    #[error("the log filter {filter:?} is not valid")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A second call in one process.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

/// Sends every event of the process to standard error. `filter` names a level for everything or,
/// separated by commas, one for each service: `info,rest=debug,auth=trace`.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    let registry = tracing_subscriber::registry().with(parsed);
    match format {
        Format::Text => {
            let lines = fmt::layer().with_writer(io::stderr).with_ansi(colour()).compact();
            registry.with(lines).try_init()?;
        }
        Format::Json => {
            let lines = fmt::layer().with_writer(io::stderr).json().flatten_event(true);
            registry.with(lines.with_current_span(true).with_span_list(false)).try_init()?;
        }
    }
    Ok(())
}

/// Colour only where someone looks at it, and never against their wish (<https://no-color.org>).
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_with_a_mistake_is_named() {
        let error = init(Format::Text, "rest=loud").err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("the log filter \"rest=loud\" is not valid"));
    }

    #[test]
    fn the_default_filter_is_valid() {
        assert!(EnvFilter::try_new(DEFAULT_FILTER).is_ok());
    }
}
