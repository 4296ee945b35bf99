//! The services that can be switched on and off.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::{ConfigError, suggestion};
use crate::file::File;

/// A part of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Service {
    Gateway,
    Rest,
    Auth,
    Realtime,
    Storage,
    Imgproxy,
    Meta,
    Functions,
    Analytics,
    Studio,
    Inbox,
    Pooler,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 12] = [
        Service::Gateway,
        Service::Rest,
        Service::Auth,
        Service::Realtime,
        Service::Storage,
        Service::Imgproxy,
        Service::Meta,
        Service::Functions,
        Service::Analytics,
        Service::Studio,
        Service::Inbox,
        Service::Pooler,
    ];

    /// Our name first, then those of the containers that the CLI and the compose file start.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Service::Gateway => &["gateway", "kong", "api"],
            Service::Rest => &["rest", "postgrest"],
            Service::Auth => &["auth", "gotrue"],
            Service::Realtime => &["realtime"],
            Service::Storage => &["storage", "storage-api"],
            Service::Imgproxy => &["imgproxy"],
            Service::Meta => &["meta", "postgres-meta", "pgmeta", "pg_meta"],
            Service::Functions => &["functions", "edge-runtime", "edge_runtime"],
            Service::Analytics => &["analytics", "logflare", "vector", "logs"],
            Service::Studio => &["studio"],
            Service::Inbox => &["inbox", "mailpit", "inbucket"],
            Service::Pooler => &["pooler", "supavisor"],
        }
    }

    /// Our name.
    pub fn as_str(self) -> &'static str {
        self.names()[0]
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Service {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Some(service) = Service::ALL.into_iter().find(|service| service.names().contains(&name)) {
            return Ok(service);
        }
        let shown: String = name.chars().take(64).collect();
        let error = ConfigError::new(format!("there is no service `{shown}`"));
        let known = Service::ALL.iter().flat_map(|service| service.names().iter().copied());
        Err(match suggestion(name, known) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint(format!("the services are {}", Service::ALL.map(Service::as_str).join(", "))),
        })
    }
}

/// The services that run: those that the file switches on, of `only` if it names some, without
/// `exclude`.
pub(crate) fn select(
    file: &File,
    only: &[String],
    exclude: &[String],
) -> Result<BTreeSet<Service>, ConfigError> {
    let parse = |names: &[String]| -> Result<BTreeSet<Service>, ConfigError> {
        names
            .iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect()
    };
    let (only, exclude) = (parse(only)?, parse(exclude)?);
    let enabled = |service: &Service| match service {
        Service::Gateway | Service::Meta => true,
        Service::Rest => file.api.enabled,
        Service::Auth => file.auth.enabled,
        Service::Realtime => file.realtime.enabled,
        Service::Storage => file.storage.enabled,
        Service::Imgproxy => file.storage.enabled && file.storage.image_transformation.enabled != Some(false),
        Service::Functions => file.edge_runtime.enabled,
        Service::Analytics => file.analytics.enabled,
        Service::Studio => file.studio.enabled,
        Service::Inbox => file.local_smtp.enabled,
        Service::Pooler => file.db.pooler.enabled,
    };
    let mut selected: BTreeSet<Service> = Service::ALL
        .into_iter()
        // What is named on the command line runs, whatever the file says.
        .filter(|service| if only.is_empty() { enabled(service) } else { only.contains(service) })
        .filter(|service| !exclude.contains(service))
        .collect();
    if !selected.is_empty() && !exclude.contains(&Service::Gateway) {
        // Whoever names services wants to reach them.
        selected.insert(Service::Gateway);
    }
    if selected.iter().all(|service| *service == Service::Gateway) {
        return Err(ConfigError::new("no service is left to start")
            .hint("name fewer services with --exclude, or others with --only"));
    }
    Ok(selected)
}
