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
    /// `jwt-cache-max-lifetime`, in seconds
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

/// The settings that the database may have, and that a reload changes.
pub(crate) const RELOADABLE: [&str; 23] = [
    "db_aggregates_enabled",
    "db_anon_role",
    "db_pre_config",
    "db_extra_search_path",
    "db_max_rows",
    "db_plan_enabled",
    "db_pre_request",
    "db_prepared_statements",
    "db_root_spec",
    "db_schemas",
    "db_tx_end",
    "db_hoisted_tx_settings",
    "jwt_aud",
    "jwt_role_claim_key",
    "jwt_secret",
    "jwt_secret_is_base64",
    "jwt_cache_max_lifetime",
    "openapi_mode",
    "openapi_security_active",
    "openapi_server_proxy_uri",
    "server_cors_allowed_origins",
    "server_trace_header",
    "server_timing_enabled",
];

/// Values by lower-case name with underscores.
struct Source(BTreeMap<String, String>);

impl Source {
    fn raw(&self, key: &str) -> Option<&str> {
        self.0.get(&key.replace('-', "_")).map(String::as_str)
    }

    /// The first of some keys that is not empty.
    fn text(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.raw(key).filter(|value| !value.is_empty()))
    }

    fn boolean(&self, keys: &[&str], default: bool) -> bool {
        let Some(value) = self.text(keys) else { return default };
        let letters: String = value.chars().filter(|c| c.is_alphabetic()).collect();
        match letters.to_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => value.trim().parse::<i64>().map_or(default, |number| number > 0),
        }
    }

    fn integer<T: std::str::FromStr>(&self, keys: &[&str]) -> Option<T> {
        self.text(keys).and_then(|value| value.trim().parse().ok())
    }

    fn seconds(&self, keys: &[&str], default: Duration) -> Duration {
        self.integer(keys).map_or(default, Duration::from_secs)
    }

    fn string(&self, key: &str, default: &str) -> String {
        self.text(&[key]).unwrap_or(default).to_owned()
    }

    fn list(&self, keys: &[&str]) -> Option<Vec<String>> {
        self.text(keys).map(|value| value.split(',').map(|item| item.trim().to_owned()).collect())
    }

    fn function(&self, keys: &[&str]) -> Option<QualifiedName> {
        self.text(keys).map(|value| match value.split_once('.') {
            Some((schema, name)) => QualifiedName::new(schema, name),
            None => QualifiedName::new("", value),
        })
    }

    /// What is given, and of everything else what `base` has.
    fn over(&self, base: &Config) -> Result<Config, ConfigError> {
        let jwt_secret_is_base64 =
            self.boolean(&["jwt-secret-is-base64", "secret-is-base64"], base.jwt_secret_is_base64);
        let host = self.string("server-host", &base.host);
        let port = self.integer(&["server-port"]).unwrap_or(base.port);
        let admin_port = self.integer(&["admin-server-port"]).or(base.admin_port);
        if admin_port == Some(port) {
            return Err(problem("admin-server-port", "admin-server-port cannot be the same as server-port"));
        }
        Ok(Config {
            app_settings: base.app_settings.clone(),
            aggregates_enabled: self.boolean(&["db-aggregates-enabled"], base.aggregates_enabled),
            anon_role: self.text(&["db-anon-role"]).map(str::to_owned).or_else(|| base.anon_role.clone()),
            channel: self.string("db-channel", &base.channel),
            channel_enabled: self.boolean(&["db-channel-enabled"], base.channel_enabled),
            extra_search_path: match self.raw("db-extra-search-path") {
                Some("") => Vec::new(),
                _ => self.list(&["db-extra-search-path"]).unwrap_or_else(|| base.extra_search_path.clone()),
            },
            hoisted_settings: self
                .list(&["db-hoisted-tx-settings"])
                .unwrap_or_else(|| base.hoisted_settings.clone()),
            max_rows: self.integer(&["db-max-rows", "max-rows"]).or(base.max_rows),
            plan_enabled: self.boolean(&["db-plan-enabled"], base.plan_enabled),
            pool_size: self.integer(&["db-pool"]).unwrap_or(base.pool_size),
            pool_acquisition_timeout: self
                .seconds(&["db-pool-acquisition-timeout"], base.pool_acquisition_timeout),
            pool_max_lifetime: self.seconds(&["db-pool-max-lifetime"], base.pool_max_lifetime),
            pool_max_idletime: self
                .seconds(&["db-pool-timeout", "db-pool-max-idletime"], base.pool_max_idletime),
            automatic_recovery: self.boolean(&["db-pool-automatic-recovery"], base.automatic_recovery),
            pre_request: self
                .function(&["db-pre-request", "pre-request"])
                .or_else(|| base.pre_request.clone()),
            prepared_statements: self.boolean(&["db-prepared-statements"], base.prepared_statements),
            root_spec: self.function(&["db-root-spec", "root-spec"]).or_else(|| base.root_spec.clone()),
            schemas: self.list(&["db-schemas", "db-schema"]).unwrap_or_else(|| base.schemas.clone()),
            db_config: self.boolean(&["db-config"], base.db_config),
            pre_config: self.function(&["db-pre-config"]).or_else(|| base.pre_config.clone()),
            transaction: self.transaction(base.transaction)?,
            uri: with_file("db-uri", self.text(&["db-uri"]).unwrap_or(&base.uri))?,
            jwt_audience: self.audience()?.or_else(|| base.jwt_audience.clone()),
            role_claim: match self.text(&["jwt-role-claim-key", "role-claim-key"]) {
                Some(text) => ClaimPath::parse(text)
                    .ok_or_else(|| problem("jwt-role-claim-key", "is not a claim path"))?,
                None => base.role_claim.clone(),
            },
            jwt_secret: match self.text(&["jwt-secret"]) {
                Some(text) => Some(decode_secret(with_file("jwt-secret", text)?, jwt_secret_is_base64)?),
                None => base.jwt_secret.clone(),
            },
            jwt_secret_is_base64,
            jwt_cache_max_lifetime: self
                .integer(&["jwt-cache-max-lifetime"])
                .unwrap_or(base.jwt_cache_max_lifetime),
            log_level: match self.text(&["log-level"]) {
                None => base.log_level,
                Some("crit") => LogLevel::Crit,
                Some("error") => LogLevel::Error,
                Some("warn") => LogLevel::Warn,
                Some("info") => LogLevel::Info,
                Some("debug") => LogLevel::Debug,
                Some(_) => {
                    return Err(problem("log-level", "Invalid logging level. Check your configuration."));
                }
            },
            log_query: match self.text(&["log-query"]) {
                None => base.log_query,
                Some("disabled") => false,
                Some("main-query") => true,
                Some(_) => {
                    return Err(problem("log-query", "Invalid SQL logging value. Check your configuration."));
                }
            },
            openapi_mode: match self.text(&["openapi-mode"]) {
                None => base.openapi_mode,
                Some("follow-privileges") => OpenApiMode::FollowPrivileges,
                Some("ignore-privileges") => OpenApiMode::IgnorePrivileges,
                Some("disabled") => OpenApiMode::Disabled,
                Some(_) => {
                    return Err(problem("openapi-mode", "Invalid openapi-mode. Check your configuration."));
                }
            },
            openapi_security: self.boolean(&["openapi-security-active"], base.openapi_security),
            openapi_proxy_uri: self.proxy_uri()?.or_else(|| base.openapi_proxy_uri.clone()),
            cors_origins: self.list(&["server-cors-allowed-origins"]).or_else(|| base.cors_origins.clone()),
            admin_host: self.text(&["admin-server-host"]).unwrap_or(&host).to_owned(),
            host,
            port,
            trace_header: match self.text(&["server-trace-header"]) {
                Some(name) => {
                    Some(name.parse().map_err(|_| problem("server-trace-header", "is not a header name"))?)
                }
                None => base.trace_header.clone(),
            },
            server_timing: self.boolean(&["server-timing-enabled"], base.server_timing),
            unix_socket: self
                .text(&["server-unix-socket"])
                .map(PathBuf::from)
                .or_else(|| base.unix_socket.clone()),
            unix_socket_mode: self.socket_mode(base.unix_socket_mode)?,
            admin_port,
            role_settings: base.role_settings.clone(),
            cors: base.cors,
            require_where: base.require_where,
        })
    }

    fn transaction(&self, base: TransactionPolicy) -> Result<TransactionPolicy, ConfigError> {
        let (rollback, client_may_choose) = match self.text(&["db-tx-end"]) {
            None => return Ok(base),
            Some("commit") => (false, false),
            Some("commit-allow-override") => (false, true),
            Some("rollback") => (true, false),
            Some("rollback-allow-override") => (true, true),
            Some(_) => {
                return Err(problem(
                    "db-tx-end",
                    "Invalid transaction termination. Check your configuration.",
                ));
            }
        };
        Ok(TransactionPolicy { rollback, client_may_choose })
    }

    fn audience(&self) -> Result<Option<String>, ConfigError> {
        match self.text(&["jwt-aud"]) {
            // What contains a colon must be a URI: a scheme and no blanks.
            Some(text) if text.contains(':') => {
                let scheme = text.split(':').next().unwrap_or("");
                let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                    && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
                if scheme_fits && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"'))
                {
                    Ok(Some(text.to_owned()))
                } else {
                    Err(problem("jwt-aud", "jwt-aud should be a string or a valid URI"))
                }
            }
            other => Ok(other.map(str::to_owned)),
        }
    }

    fn proxy_uri(&self) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.text(&["openapi-server-proxy-uri"]) else { return Ok(None) };
        let valid = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if valid {
            Ok(Some(text.to_owned()))
        } else {
            Err(problem(
                "openapi-server-proxy-uri",
                "Malformed proxy uri, a correct example: https://example.com:8443/basePath",
            ))
        }
    }

    fn socket_mode(&self, base: u32) -> Result<u32, ConfigError> {
        let Some(text) = self.text(&["server-unix-socket-mode"]) else { return Ok(base) };
        match u32::from_str_radix(text, 8) {
            Err(_) => {
                Err(problem("server-unix-socket-mode", "Invalid server-unix-socket-mode: not an octal"))
            }
            Ok(mode) if (0o600..=0o777).contains(&mode) => Ok(mode),
            Ok(_) => Err(problem(
                "server-unix-socket-mode",
                "Invalid server-unix-socket-mode: needs to be between 600 and 777",
            )),
        }
    }
}

/// A value that begins with `@` names a file; its last newline is not part of it.
fn with_file(key: &str, value: &str) -> Result<String, ConfigError> {
    let Some(path) = value.strip_prefix('@') else { return Ok(value.to_owned()) };
    let text = std::fs::read_to_string(path).map_err(|error| problem(key, format!("{path}: {error}")))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// Base64 in either alphabet; `.` also pads.
fn decode_secret(secret: String, is_base64: bool) -> Result<Vec<u8>, ConfigError> {
    if !is_base64 {
        return Ok(secret.into_bytes());
    }
    let text: String = secret
        .trim()
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches(['=', '.']))
        .map_err(|_| problem("jwt-secret", "is not valid base64"))
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
