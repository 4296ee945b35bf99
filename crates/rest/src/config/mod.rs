//! The configuration, with PostgREST's names, defaults and validation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use database::{ConnectConfig, PoolConfig, PreparedStatements};
use tokens::{Algorithm, KeySet, Policy};

use crate::catalog::QualifiedName;
use crate::claim_path::ClaimPath;

mod source;

pub(crate) use source::RELOADABLE;
use source::Source;

/// A value that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// The setting, in its file form (`db-schemas`).
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

/// How transactions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionPolicy {
    /// Whether changes are undone unless the client asks otherwise.
    pub rollback: bool,
    /// Whether `Prefer: tx=` is honoured.
    pub client_may_choose: bool,
}

/// What the root path shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenApiMode {
    /// What the role may use.
    FollowPrivileges,
    /// Everything.
    IgnorePrivileges,
    /// Nothing.
    Disabled,
}

/// From which status on requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Never.
    Crit,
    /// From 500.
    Error,
    /// From 400.
    Warn,
    /// All.
    Info,
    /// All, and more.
    Debug,
}

impl LogLevel {
    /// Whether requests that were answered with this status are logged.
    pub fn includes(self, status: http::StatusCode) -> bool {
        match self {
            Self::Crit => false,
            Self::Error => status.as_u16() >= 500,
            Self::Warn => status.as_u16() >= 400,
            Self::Info | Self::Debug => true,
        }
    }
}

/// Everything that can be configured. [`Config::default`] has PostgREST's defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// `app.settings.*`: settings of every transaction.
    pub app_settings: Vec<(String, String)>,
    /// `db-aggregates-enabled`
    pub aggregates_enabled: bool,
    /// `db-anon-role`: who runs requests without a token.
    pub anon_role: Option<String>,
    /// `db-channel`: where reloads are announced.
    pub channel: String,
    /// `db-channel-enabled`
    pub channel_enabled: bool,
    /// `db-extra-search-path`
    pub extra_search_path: Vec<String>,
    /// `db-hoisted-tx-settings`: settings of functions that are applied before the call.
    pub hoisted_settings: Vec<String>,
    /// `db-max-rows`
    pub max_rows: Option<i64>,
    /// `db-plan-enabled`
    pub plan_enabled: bool,
    /// `db-pool`
    pub pool_size: usize,
    /// `db-pool-acquisition-timeout`
    pub pool_acquisition_timeout: Duration,
    /// `db-pool-max-lifetime`
    pub pool_max_lifetime: Duration,
    /// `db-pool-max-idletime`
    pub pool_max_idletime: Duration,
    /// `db-pool-automatic-recovery`
    pub automatic_recovery: bool,
    /// `db-pre-request`: a function that runs before every request.
    pub pre_request: Option<QualifiedName>,
    /// `db-prepared-statements`
    pub prepared_statements: bool,
    /// `db-root-spec`: a function that answers the root path.
    pub root_spec: Option<QualifiedName>,
    /// `db-schemas`: the exposed schemas, the first is the default. Never empty.
    pub schemas: Vec<String>,
    /// `db-config`: whether settings of the login role are read from the database.
    pub db_config: bool,
    /// `db-pre-config`: a function that leaves settings.
    pub pre_config: Option<QualifiedName>,
    /// `db-tx-end`
    pub transaction: TransactionPolicy,
    /// `db-uri`
    pub uri: String,
    /// `jwt-aud`
    pub jwt_audience: Option<String>,
    /// `jwt-role-claim-key`
    pub role_claim: ClaimPath,
    /// `jwt-secret`
    pub jwt_secret: Option<Vec<u8>>,
    /// `jwt-secret-is-base64`
    pub jwt_secret_is_base64: bool,
    /// `jwt-cache-max-lifetime`, in seconds. Without effect: a token's signature is verified once while it stays in a cache
    /// of bounded size that goes with the keys, its time and audience with every request, so nothing can outlive its time.
    pub jwt_cache_max_lifetime: u64,
    /// `log-level`
    pub log_level: LogLevel,
    /// `log-query`
    pub log_query: bool,
    /// `openapi-mode`
    pub openapi_mode: OpenApiMode,
    /// `openapi-security-active`
    pub openapi_security: bool,
    /// `openapi-server-proxy-uri`
    pub openapi_proxy_uri: Option<String>,
    /// `server-cors-allowed-origins`
    pub cors_origins: Option<Vec<String>>,
    /// `server-host`
    pub host: String,
    /// `server-port`
    pub port: u16,
    /// `server-trace-header`
    pub trace_header: Option<http::HeaderName>,
    /// `server-timing-enabled`
    pub server_timing: bool,
    /// `server-unix-socket`
    pub unix_socket: Option<PathBuf>,
    /// `server-unix-socket-mode`
    pub unix_socket_mode: u32,
    /// `server-stall-timeout`, in seconds: a client that takes nothing of an answer for this long is cut off. Ours; the
    /// original's HTTP server has 30 seconds, too.
    pub stall_timeout: Duration,
    /// `admin-server-host`
    pub admin_host: String,
    /// `admin-server-port`
    pub admin_port: Option<u16>,
    /// Whether cross-origin requests are answered here. Off behind a front door that does it.
    pub cors: bool,
    /// Whether PATCH and DELETE without a filter are refused, as where pg-safeupdate is loaded.
    pub require_where: bool,
    /// Settings of roles (`ALTER ROLE … SET`) that every request of the role gets. Read from the database.
    pub role_settings: BTreeMap<String, Vec<(String, String)>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            app_settings: Vec::new(),
            aggregates_enabled: false,
            anon_role: None,
            channel: "pgrst".to_owned(),
            channel_enabled: true,
            extra_search_path: vec!["public".to_owned()],
            hoisted_settings: [
                "statement_timeout",
                "plan_filter.statement_cost_limit",
                "default_transaction_isolation",
            ]
            .map(str::to_owned)
            .to_vec(),
            max_rows: None,
            plan_enabled: false,
            pool_size: 10,
            pool_acquisition_timeout: Duration::from_secs(10),
            pool_max_lifetime: Duration::from_secs(1800),
            pool_max_idletime: Duration::from_secs(30),
            automatic_recovery: true,
            pre_request: None,
            prepared_statements: true,
            root_spec: None,
            schemas: vec!["public".to_owned()],
            db_config: true,
            pre_config: None,
            transaction: TransactionPolicy { rollback: false, client_may_choose: false },
            uri: "postgresql://".to_owned(),
            jwt_audience: None,
            role_claim: ClaimPath::role(),
            jwt_secret: None,
            jwt_secret_is_base64: false,
            jwt_cache_max_lifetime: 0,
            log_level: LogLevel::Error,
            log_query: false,
            openapi_mode: OpenApiMode::FollowPrivileges,
            openapi_security: false,
            openapi_proxy_uri: None,
            cors_origins: None,
            host: "!4".to_owned(),
            port: 3000,
            trace_header: None,
            server_timing: false,
            unix_socket: None,
            unix_socket_mode: 0o660,
            stall_timeout: Duration::from_secs(30),
            admin_host: "!4".to_owned(),
            admin_port: None,
            cors: true,
            require_where: false,
            role_settings: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads `PGRST_*` from an environment.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut base = Self::default();
        let mut values = BTreeMap::new();
        let mut app_settings = BTreeMap::new();
        for (name, value) in variables {
            if let Some(name) = name.strip_prefix("PGRST_APP_SETTINGS_") {
                app_settings.insert(format!("app.settings.{}", name.to_lowercase()), value);
            } else if let Some(name) = name.strip_prefix("PGRST_") {
                values.insert(name.to_ascii_lowercase(), value);
            }
        }
        base.app_settings = app_settings.into_iter().collect();
        Source(values).over(&base)
    }

    /// The same under settings found in the database (names with underscores), which win. Those that cannot be changed
    /// while running are ignored.
    pub fn with_database_settings(&self, settings: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let reloadable = |name: &str| RELOADABLE.contains(&name);
        let known = settings.iter().filter(|(name, _)| reloadable(name));
        Source(known.map(|(name, value)| (name.clone(), value.clone())).collect()).over(self)
    }

    /// Where the database is. libpq's environment fills what the URI leaves out.
    pub fn connect(&self) -> Result<ConnectConfig, ConfigError> {
        ConnectConfig::parse_with(&self.uri, |name| std::env::var(name).ok())
            .map(|config| config.with_application_name("PostgREST 13.0.7"))
            .map_err(|error| problem("db-uri", error.to_string()))
    }

    /// The limits of the pool.
    pub fn pool(&self) -> PoolConfig {
        PoolConfig {
            name: "rest",
            max_size: self.pool_size.max(1),
            acquire_timeout: self.pool_acquisition_timeout,
            idle_timeout: self.pool_max_idletime,
            max_lifetime: self.pool_max_lifetime,
            prepared_statements: if self.prepared_statements {
                PreparedStatements::On
            } else {
                PreparedStatements::Off
            },
            ..PoolConfig::default()
        }
    }

    /// The keys that tokens are verified with: a JWK set, one JWK, or a secret. `None` without a secret.
    pub fn keys(&self) -> Result<Option<KeySet>, ConfigError> {
        let invalid = |text: String| problem("jwt-secret", text);
        let Some(secret) = &self.jwt_secret else { return Ok(None) };
        if let Ok(text) = std::str::from_utf8(secret)
            && text.trim_start().starts_with('{')
        {
            return KeySet::from_jwks(text).map(Some).map_err(|error| invalid(error.to_string()));
        }
        if secret.len() < 32 {
            return Err(invalid("The JWT secret must be at least 32 characters long.".to_owned()));
        }
        // As a JWK, because a secret may be any bytes.
        let jwk = serde_json::json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)}]});
        KeySet::from_jwks(&jwk.to_string())
            .map(|keys| Some(keys.allowing(vec![Algorithm::HS256])))
            .map_err(|error| invalid(error.to_string()))
    }

    /// What is asked of a token beside its signature.
    pub fn token_policy(&self) -> Policy {
        self.jwt_audience.as_deref().map_or(Policy::LENIENT, Policy::for_audience)
    }

    /// The schema of requests that name none.
    pub fn default_schema(&self) -> &str {
        self.schemas.first().map_or("public", String::as_str)
    }
}

fn problem(key: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError { key: key.to_owned(), problem: problem.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn empty_extra_search_path_is_none_at_all() {
        assert!(config(&[("PGRST_DB_EXTRA_SEARCH_PATH", "")]).unwrap().extra_search_path.is_empty());
        assert_eq!(config(&[]).unwrap().extra_search_path, ["public"]);
    }

    #[test]
    fn booleans_are_read_leniently() {
        for (text, value) in [("TRUE", true), ("\"false\"", false), ("1", true), ("0", false), ("", false)] {
            assert_eq!(config(&[("PGRST_DB_PLAN_ENABLED", text)]).unwrap().plan_enabled, value, "{text}");
        }
    }

    #[test]
    fn database_settings_win() {
        let settings = BTreeMap::from([("db_schemas", "a, b"), ("db_uri", "x")])
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let config = config(&[("PGRST_DB_SCHEMAS", "c"), ("PGRST_DB_MAX_ROWS", "5")])
            .unwrap()
            .with_database_settings(&settings)
            .unwrap();
        assert_eq!((config.schemas, config.max_rows), (vec!["a".to_owned(), "b".to_owned()], Some(5)));
        assert_eq!(config.uri, "postgresql://");
    }

    #[test]
    fn wrong_values_are_refused() {
        assert_eq!(config(&[("PGRST_DB_TX_END", "never")]).unwrap_err().key, "db-tx-end");
        assert_eq!(config(&[("PGRST_JWT_AUD", "http://%%localhorst.invalid x")]).unwrap_err().key, "jwt-aud");
        assert_eq!(config(&[("PGRST_ADMIN_SERVER_PORT", "3000")]).unwrap_err().key, "admin-server-port");
        assert_eq!(config(&[("PGRST_JWT_SECRET", "short")]).unwrap().keys().unwrap_err().key, "jwt-secret");
    }
}
