//! The original's environment names.

use std::time::Duration;

use serde_json::Value;

use crate::config::Config;
use crate::http::Secrets;

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// It must be set.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// Its value is not of the right kind.
    #[error("{name} must be {wanted}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
}

/// All that `serve realtime` needs.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The service's settings.
    pub config: Config,
    /// The database, as a connection URL.
    pub database_url: String,
    /// Who signs in to evaluate policies: may become clients' roles and nothing else. Ours: `DB_AUTHENTICATOR_USER`, by
    /// default `authenticator`.
    pub evaluation_user: String,
    /// `DB_AUTHENTICATOR_PASSWORD`, by default `DB_PASSWORD`, as all roles of a self-hosted installation share one.
    pub evaluation_password: String,
    /// `DB_POOL_SIZE`
    pub pool_size: usize,
    /// `PORT`
    pub port: u16,
    /// `API_JWT_SECRET`: verifies clients' tokens, as the tenant's secret, and those of the tenant API.
    pub jwt_secret: String,
    /// `API_JWT_JWKS`: more keys for clients' tokens.
    pub jwt_jwks: Option<String>,
    /// Who may use the tenant API and read the figures.
    pub secrets: Secrets,
}

/// Reads settings of the service alone, with defaults for what is not set.
pub(crate) fn settings(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Config, EnvironmentError> {
    let mut config = Config::default();
    let limits = &mut config.limits;
    set(lookup, "TENANT_MAX_CONCURRENT_USERS", &mut limits.max_concurrent_users)?;
    set(lookup, "TENANT_MAX_CHANNELS_PER_CLIENT", &mut limits.max_channels_per_client)?;
    set(lookup, "TENANT_MAX_EVENTS_PER_SECOND", &mut limits.max_events_per_second)?;
    set(lookup, "TENANT_MAX_JOINS_PER_SECOND", &mut limits.max_joins_per_second)?;
    set(lookup, "TENANT_MAX_PRESENCE_EVENTS_PER_SECOND", &mut limits.max_presence_events_per_second)?;
    set(lookup, "MAX_HEADER_LENGTH", &mut config.max_header_length)?;
    set(lookup, "MAX_CONNECTIONS", &mut config.max_connections)?;
    let mut millis = u64::try_from(config.no_channel_timeout.as_millis()).unwrap_or(u64::MAX);
    set(lookup, "NO_CHANNEL_TIMEOUT_IN_MS", &mut millis)?;
    config.no_channel_timeout = Duration::from_millis(millis);
    if let Some(text) = filled(lookup, "JWT_CLAIM_VALIDATORS") {
        let Ok(Value::Object(validators)) = serde_json::from_str(&text) else {
            return Err(EnvironmentError::Invalid { name: "JWT_CLAIM_VALIDATORS", wanted: "a JSON object" });
        };
        config.claim_validators = validators;
    }
    for (name, target) in [
        ("SLOT_NAME_SUFFIX", &mut config.slot_suffix),
        ("SELF_HOST_TENANT_NAME", &mut config.tenant),
        ("REGION", &mut config.region),
    ] {
        if let Some(value) = filled(lookup, name) {
            *target = value;
        }
    }
    if filled(lookup, "RUN_JANITOR").is_some() {
        config.janitor = flag(lookup, "RUN_JANITOR")?;
    }
    if let Some(key) = filled(lookup, "REQUEST_ID_BAGGAGE_KEY") {
        config.request_id_key = key;
    }
    config.redis_url = filled(lookup, "REDIS_URL");
    Ok(config)
}

impl Config {
    /// The settings that have environment names.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        settings(&lookup)
    }
}

impl Environment {
    /// Reads the original's names.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let lookup: &dyn Fn(&str) -> Option<String> = &lookup;
        let part = |name, default: &str| filled(lookup, name).unwrap_or_else(|| default.to_owned());
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let ssl = match (flag(lookup, "DB_SSL")?, filled(lookup, "DB_SSL_CA_CERT")) {
            // The certificate must be for the host, too.
            (true, Some(authority)) => format!("verify-full&sslrootcert={}", encoded(&authority)),
            (true, None) => "require".to_owned(),
            (false, _) => "prefer".to_owned(),
        };
        let database_url = format!(
            "postgresql://{}:{}@{}:{}/{}?sslmode={ssl}",
            encoded(&part("DB_USER", "postgres")),
            encoded(&part("DB_PASSWORD", "postgres")),
            encoded(&part("DB_HOST", "localhost")),
            part("DB_PORT", "5432"),
            encoded(&part("DB_NAME", "postgres")),
        );
        let (mut port, mut pool_size) = (4000, 5);
        set(lookup, "PORT", &mut port)?;
        set(lookup, "DB_POOL_SIZE", &mut pool_size)?;
        let jwt_secret =
            filled(lookup, "API_JWT_SECRET").ok_or(EnvironmentError::Missing("API_JWT_SECRET"))?;
        Ok(Self {
            config: settings(lookup)?,
            database_url,
            evaluation_user: part("DB_AUTHENTICATOR_USER", "authenticator"),
            evaluation_password: filled(lookup, "DB_AUTHENTICATOR_PASSWORD")
                .unwrap_or_else(|| part("DB_PASSWORD", "postgres")),
            pool_size,
            port,
            jwt_secret,
            jwt_jwks: filled(lookup, "API_JWT_JWKS"),
            secrets: Secrets {
                api_blocklist: list(lookup, "API_TOKEN_BLOCKLIST"),
                metrics_secret: filled(lookup, "METRICS_JWT_SECRET"),
                metrics_blocklist: list(lookup, "METRICS_TOKEN_BLOCKLIST"),
                encryption_key: filled(lookup, "DB_ENC_KEY"),
            },
        })
    }
}

fn filled(lookup: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    lookup(name).filter(|value| !value.is_empty())
}

/// As the original reads a truth: anything else than these four stops the start.
fn flag(lookup: &dyn Fn(&str) -> Option<String>, name: &'static str) -> Result<bool, EnvironmentError> {
    let text = filled(lookup, name).map(|text| text.trim().to_ascii_lowercase());
    match text.as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(EnvironmentError::Invalid { name, wanted: "true or false" }),
    }
}

fn list(lookup: &dyn Fn(&str) -> Option<String>, name: &str) -> Vec<String> {
    let text = filled(lookup, name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn set<T: std::str::FromStr>(
    lookup: &dyn Fn(&str) -> Option<String>,
    name: &'static str,
    target: &mut T,
) -> Result<(), EnvironmentError> {
    if let Some(text) = filled(lookup, name) {
        *target =
            text.trim().parse().map_err(|_| EnvironmentError::Invalid { name, wanted: "a whole number" })?;
    }
    Ok(())
}
