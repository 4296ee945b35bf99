//! What a running whole tells about itself: `monobase status`, and the block at the end of a start.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use config::{Config, DatabaseLocation, Service};
use serde::{Deserialize, Serialize};

use crate::Addresses;

/// A running whole. Holds secrets: it is for the one who runs it, and has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The server's process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The project's name.
    pub project: String,
    /// The services that run.
    pub services: Vec<String>,
    /// Addresses and keys, under the names that `supabase status -o env` has them.
    pub variables: BTreeMap<String, String>,
}

impl Info {
    /// What a service alone has to tell: nobody asks it.
    pub(crate) fn of_one_service() -> Self {
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            project: String::new(),
            services: Vec::new(),
            variables: BTreeMap::new(),
        }
    }

    /// Describes what runs with `config` on `addresses`; `built` are the services that this build has.
    #[must_use]
    pub(crate) fn new(config: &Config, addresses: &Addresses, built: &[Service]) -> Self {
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: String| {
            if !value.is_empty() {
                variables.insert(name.to_owned(), value);
            }
        };
        let runs = |service| config.services.contains(&service) && built.contains(&service);
        if let Some(api) = addresses.api {
            let url = config.public_url(api.port());
            for (service, name, path) in [
                (Service::Rest, "REST_URL", "/rest/v1"),
                (Service::Rest, "GRAPHQL_URL", "/graphql/v1"),
                (Service::Functions, "FUNCTIONS_URL", "/functions/v1"),
                (Service::Storage, "STORAGE_S3_URL", "/storage/v1/s3"),
                (Service::Studio, "MCP_URL", "/mcp"),
            ] {
                if runs(service) {
                    set(name, format!("{url}{path}"));
                }
            }
            set("API_URL", url);
        }
        match &config.database {
            DatabaseLocation::Embedded => {
                if let Some(database) = addresses.database {
                    let password = config.database_password.expose();
                    set(
                        "DB_URL",
                        format!(
                            "postgresql://postgres:{}@{}/postgres",
                            escape(password),
                            reachable(database)
                        ),
                    );
                }
            }
            DatabaseLocation::External { url, .. } => set("DB_URL", url.expose().to_owned()),
        }
        if let Some(inbox) = addresses.inbox {
            // The CLI's older name and its newer one.
            set("INBUCKET_URL", format!("http://{}", reachable(inbox)));
            set("MAILPIT_URL", format!("http://{}", reachable(inbox)));
        }
        let keys = &config.keys;
        set("PUBLISHABLE_KEY", keys.api.publishable.to_string());
        set("SECRET_KEY", keys.api.secret.to_string());
        set("ANON_KEY", keys.api.anon_jwt.to_string());
        set("SERVICE_ROLE_KEY", keys.api.service_role_jwt.to_string());
        set("JWT_SECRET", keys.jwt_secret.expose().to_owned());
        if runs(Service::Storage) {
            set("S3_PROTOCOL_ACCESS_KEY_ID", keys.s3.access_key_id.clone());
            set("S3_PROTOCOL_ACCESS_KEY_SECRET", keys.s3.secret_access_key.expose().to_owned());
            set("S3_PROTOCOL_REGION", keys.s3.region.clone());
        }
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            project: config.file.project_id.clone().unwrap_or_default(),
            services: config
                .services
                .iter()
                .filter(|service| match service {
                    Service::Gateway => true,
                    Service::Inbox => addresses.inbox.is_some(),
                    _ => runs(**service),
                })
                .map(ToString::to_string)
                .collect(),
            variables,
        }
    }
}

/// Where a client on this machine reaches what listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

/// A password between `:` and `@` of a connection string.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
