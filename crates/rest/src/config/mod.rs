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

mod dump;
mod file;
mod origin;
mod source;

pub use origin::Origin;
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
    /// The same as it was written: header names are kept in lower case.
    pub trace_header_written: String,
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
            trace_header_written: String::new(),
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
        Origin::new(variables, None).read()
    }

    /// The same under settings found in the database (names with underscores), which win. Those that cannot be changed
    /// while running are ignored, and those that are empty take away what the environment says.
    pub fn with_database_settings(&self, settings: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let reloadable = |name: &str| RELOADABLE.contains(&name);
        let known = settings.iter().filter(|(name, _)| reloadable(name));
        let values: BTreeMap<String, String> =
            known.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut base = self.clone();
        for name in values.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| name) {
            base.clear(name);
        }
        Source::new(values, &read_file).over(&base)
    }

    /// Gives a setting that the database may have its default.
    fn clear(&mut self, name: &str) {
        let default = Self::default();
        match name {
            "db_aggregates_enabled" => self.aggregates_enabled = default.aggregates_enabled,
            "db_anon_role" => self.anon_role = default.anon_role,
            "db_pre_config" => self.pre_config = default.pre_config,
            "db_max_rows" => self.max_rows = default.max_rows,
            "db_plan_enabled" => self.plan_enabled = default.plan_enabled,
            "db_pre_request" => self.pre_request = default.pre_request,
            "db_prepared_statements" => self.prepared_statements = default.prepared_statements,
            "db_root_spec" => self.root_spec = default.root_spec,
            "db_schemas" => self.schemas = default.schemas,
            "db_tx_end" => self.transaction = default.transaction,
            "db_hoisted_tx_settings" => self.hoisted_settings = default.hoisted_settings,
            "jwt_aud" => self.jwt_audience = default.jwt_audience,
            "jwt_role_claim_key" => self.role_claim = default.role_claim,
            "jwt_secret" => self.jwt_secret = default.jwt_secret,
            "jwt_secret_is_base64" => self.jwt_secret_is_base64 = default.jwt_secret_is_base64,
            "jwt_cache_max_lifetime" => self.jwt_cache_max_lifetime = default.jwt_cache_max_lifetime,
            "openapi_mode" => self.openapi_mode = default.openapi_mode,
            "openapi_security_active" => self.openapi_security = default.openapi_security,
            "openapi_server_proxy_uri" => self.openapi_proxy_uri = default.openapi_proxy_uri,
            "server_cors_allowed_origins" => self.cors_origins = default.cors_origins,
            "server_trace_header" => {
                self.trace_header = default.trace_header;
                self.trace_header_written = default.trace_header_written;
            }
            "server_timing_enabled" => self.server_timing = default.server_timing,
            // The search path is empty when it is said to be.
            _ => {}
        }
    }

    /// Where the database is. libpq's environment fills what the URI leaves out.
    pub fn connect(&self) -> Result<ConnectConfig, ConfigError> {
        ConnectConfig::parse_with(&self.uri, |name| std::env::var(name).ok())
            .map(|config| config.with_fallback_application_name("PostgREST 13.0.7"))
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

fn read_file(path: &str) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
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
    fn an_empty_database_setting_takes_away_what_the_environment_says() {
        let of = |name: &str| BTreeMap::from([(name.to_owned(), String::new())]);
        let before = config(&[
            ("PGRST_DB_PRE_REQUEST", "f"),
            ("PGRST_DB_SCHEMAS", "c"),
            ("PGRST_DB_EXTRA_SEARCH_PATH", "d"),
        ])
        .unwrap();
        assert_eq!(before.with_database_settings(&of("db_pre_request")).unwrap().pre_request, None);
        assert_eq!(before.with_database_settings(&of("db_schemas")).unwrap().schemas, ["public"]);
        let path = before.with_database_settings(&of("db_extra_search_path")).unwrap().extra_search_path;
        assert!(path.is_empty());
        // Each can be taken away.
        let default = Config::default().dump();
        for name in RELOADABLE.iter().filter(|name| **name != "db_extra_search_path") {
            let key = format!("PGRST_{}", name.to_uppercase());
            let Some((_, value, _)) = KEYS.iter().find(|(known, ..)| *known == key) else { panic!("{key}") };
            let cleared = config(&[(&key, value)]).unwrap().with_database_settings(&of(name)).unwrap();
            assert_eq!(cleared.dump(), default, "{name}");
        }
    }

    /// Every key of PostgREST's, under its name in the environment, with a value that is not the default.
    const KEYS: [(&str, &str, &str); 41] = [
        ("PGRST_ADMIN_SERVER_HOST", "127.0.0.1", "admin-server-host = \"127.0.0.1\""),
        ("PGRST_ADMIN_SERVER_PORT", "3001", "admin-server-port = 3001"),
        ("PGRST_APP_SETTINGS_X", "y", "app.settings.X = \"y\""),
        ("PGRST_DB_AGGREGATES_ENABLED", "true", "db-aggregates-enabled = true"),
        ("PGRST_DB_ANON_ROLE", "anon", "db-anon-role = \"anon\""),
        ("PGRST_DB_CHANNEL", "c", "db-channel = \"c\""),
        ("PGRST_DB_CHANNEL_ENABLED", "false", "db-channel-enabled = false"),
        ("PGRST_DB_CONFIG", "false", "db-config = false"),
        ("PGRST_DB_PRE_CONFIG", "a.b", "db-pre-config = \"a.b\""),
        ("PGRST_DB_EXTRA_SEARCH_PATH", "a, b", "db-extra-search-path = \"a,b\""),
        ("PGRST_DB_HOISTED_TX_SETTINGS", "work_mem", "db-hoisted-tx-settings = \"work_mem\""),
        ("PGRST_DB_MAX_ROWS", "7", "db-max-rows = 7"),
        ("PGRST_DB_PLAN_ENABLED", "1", "db-plan-enabled = true"),
        ("PGRST_DB_POOL", "3", "db-pool = 3"),
        ("PGRST_DB_POOL_ACQUISITION_TIMEOUT", "4", "db-pool-acquisition-timeout = 4"),
        ("PGRST_DB_POOL_MAX_LIFETIME", "5", "db-pool-max-lifetime = 5"),
        ("PGRST_DB_POOL_MAX_IDLETIME", "6", "db-pool-max-idletime = 6"),
        ("PGRST_DB_POOL_AUTOMATIC_RECOVERY", "FALSE", "db-pool-automatic-recovery = false"),
        ("PGRST_DB_PRE_REQUEST", "f", "db-pre-request = \"f\""),
        ("PGRST_DB_PREPARED_STATEMENTS", "false", "db-prepared-statements = false"),
        ("PGRST_DB_ROOT_SPEC", "root", "db-root-spec = \"root\""),
        ("PGRST_DB_SCHEMAS", "one,  two", "db-schemas = \"one,two\""),
        ("PGRST_DB_TX_END", "rollback-allow-override", "db-tx-end = \"rollback-allow-override\""),
        ("PGRST_DB_URI", "postgres://h/d", "db-uri = \"postgres://h/d\""),
        ("PGRST_JWT_AUD", "https://a.example", "jwt-aud = \"https://a.example\""),
        ("PGRST_JWT_ROLE_CLAIM_KEY", ".a[0].\"b c\"", "jwt-role-claim-key = \".\\\"a\\\"[0].\\\"b c\\\"\""),
        ("PGRST_JWT_SECRET", "secret", "jwt-secret = \"secret\""),
        ("PGRST_JWT_SECRET_IS_BASE64", "true", "jwt-secret-is-base64 = true"),
        ("PGRST_JWT_CACHE_MAX_LIFETIME", "9", "jwt-cache-max-lifetime = 9"),
        ("PGRST_LOG_LEVEL", "debug", "log-level = \"debug\""),
        ("PGRST_LOG_QUERY", "main-query", "log-query = \"main-query\""),
        ("PGRST_OPENAPI_MODE", "disabled", "openapi-mode = \"disabled\""),
        ("PGRST_OPENAPI_SECURITY_ACTIVE", "true", "openapi-security-active = true"),
        (
            "PGRST_OPENAPI_SERVER_PROXY_URI",
            "https://a.example/x",
            "openapi-server-proxy-uri = \"https://a.example/x\"",
        ),
        ("PGRST_SERVER_CORS_ALLOWED_ORIGINS", "a, b", "server-cors-allowed-origins = \"a,b\""),
        ("PGRST_SERVER_HOST", "::1", "server-host = \"::1\""),
        ("PGRST_SERVER_PORT", "3005", "server-port = 3005"),
        ("PGRST_SERVER_TRACE_HEADER", "X-Id", "server-trace-header = \"X-Id\""),
        ("PGRST_SERVER_TIMING_ENABLED", "true", "server-timing-enabled = true"),
        ("PGRST_SERVER_UNIX_SOCKET", "/tmp/s", "server-unix-socket = \"/tmp/s\""),
        ("PGRST_SERVER_UNIX_SOCKET_MODE", "777", "server-unix-socket-mode = \"777\""),
    ];

    #[test]
    fn every_key_is_heard_from_the_environment_and_from_a_file() {
        let defaults = Config::default().dump();
        let folder = std::env::temp_dir().join(format!("rest-config-{}", std::process::id()));
        for (name, value, line) in KEYS {
            assert!(!defaults.lines().any(|default| default == line), "{line} is the default");
            let dump = config(&[(name, value)]).unwrap().dump();
            assert!(dump.lines().any(|found| found == line), "{name}\n{dump}");
            // A dump is a file that says the same, secrets that are encoded included.
            std::fs::write(&folder, &dump).unwrap();
            assert_eq!(Origin::new([], Some(folder.clone())).read().unwrap().dump(), dump);
        }
        std::fs::remove_file(folder).unwrap();
    }

    #[test]
    fn other_names_of_keys_are_known() {
        for (name, value, line) in [
            ("PGRST_DB_SCHEMA", "one", "db-schemas = \"one\""),
            ("PGRST_MAX_ROWS", "7", "db-max-rows = 7"),
            ("PGRST_DB_POOL_TIMEOUT", "6", "db-pool-max-idletime = 6"),
            ("PGRST_PRE_REQUEST", "f", "db-pre-request = \"f\""),
            ("PGRST_ROOT_SPEC", "root", "db-root-spec = \"root\""),
            ("PGRST_ROLE_CLAIM_KEY", ".x", "jwt-role-claim-key = \".\\\"x\\\"\""),
            ("PGRST_SECRET_IS_BASE64", "true", "jwt-secret-is-base64 = true"),
            ("PGRST_SERVER_HOST", "127.0.0.1", "admin-server-host = \"127.0.0.1\""),
            ("PGRST_DB_USE_LEGACY_GUCS", "false", "db-schemas = \"public\""),
        ] {
            let dump = config(&[(name, value)]).unwrap().dump();
            assert!(dump.lines().any(|found| found == line), "{name}\n{dump}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_nothing_is_nothing() {
        let file = std::env::temp_dir().join(format!("rest-origin-{}", std::process::id()));
        std::fs::write(&file, "db-max-rows = 5\ndb-anon-role = \"a\"\napp.settings.x = \"$(HOME)\"").unwrap();
        let variables = [("PGRST_DB_MAX_ROWS", ""), ("PGRST_DB_ANON_ROLE", "b"), ("HOME", "/h")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let origin = Origin::new(variables, Some(file.clone()));
        let config = origin.read().unwrap();
        assert_eq!((config.max_rows, config.anon_role.as_deref()), (None, Some("b")));
        assert_eq!(config.app_settings, [("app.settings.x".to_owned(), "/h".to_owned())]);
        std::fs::write(&file, "db-pool = 2").unwrap();
        assert_eq!(origin.read().unwrap().pool_size, 2);
        std::fs::remove_file(&file).unwrap();
        assert!(origin.read().is_err());
    }

    #[test]
    fn wrong_values_are_refused() {
        assert_eq!(config(&[("PGRST_DB_TX_END", "never")]).unwrap_err().key, "db-tx-end");
        assert_eq!(config(&[("PGRST_JWT_AUD", "http://%%localhorst.invalid")]).unwrap_err().key, "jwt-aud");
        assert_eq!(config(&[("PGRST_ADMIN_SERVER_PORT", "3000")]).unwrap_err().key, "admin-server-port");
        assert_eq!(config(&[("PGRST_JWT_SECRET", "short")]).unwrap().keys().unwrap_err().key, "jwt-secret");
    }
}
