//! From names and texts to a [`Config`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Config, ConfigError, LogLevel, OpenApiMode, TransactionPolicy, problem};
use crate::catalog::QualifiedName;
use crate::claim_path::ClaimPath;

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

/// Reads a file that a value names.
pub(super) type ReadFile<'a> = &'a dyn Fn(&str) -> std::io::Result<Vec<u8>>;

/// Values by lower-case name with underscores.
pub(super) struct Source<'a> {
    values: BTreeMap<String, String>,
    read: ReadFile<'a>,
}

impl<'a> Source<'a> {
    pub(super) fn new(values: BTreeMap<String, String>, read: ReadFile<'a>) -> Self {
        Self { values, read }
    }

    /// A value that begins with `@` names a file; the file's last newline is not part of it.
    fn with_file(&self, key: &str, value: &str) -> Result<Vec<u8>, ConfigError> {
        let Some(path) = value.strip_prefix('@') else { return Ok(value.as_bytes().to_vec()) };
        let mut bytes = (self.read)(path).map_err(|error| problem(key, format!("{path}: {error}")))?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Ok(bytes)
    }

    fn uri(&self, base: &str) -> Result<String, ConfigError> {
        let given = self.text(&["db-uri"]).unwrap_or(base);
        let uri = String::from_utf8(self.with_file("db-uri", given)?);
        uri.map(|uri| uri.trim().to_owned()).map_err(|_| problem("db-uri", "is not UTF-8"))
    }

    fn raw(&self, key: &str) -> Option<&str> {
        self.values.get(&key.replace('-', "_")).map(String::as_str)
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
    pub(super) fn over(&self, base: &Config) -> Result<Config, ConfigError> {
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
            uri: self.uri(&base.uri)?,
            jwt_audience: self.audience()?.or_else(|| base.jwt_audience.clone()),
            role_claim: match self.text(&["jwt-role-claim-key", "role-claim-key"]) {
                Some(text) => ClaimPath::parse(text).ok_or_else(|| {
                    problem("jwt-role-claim-key", format!("failed to parse role-claim-key value ({text})"))
                })?,
                None => base.role_claim.clone(),
            },
            jwt_secret: match self.text(&["jwt-secret"]) {
                Some(text) => Some(decode_secret(self.with_file("jwt-secret", text)?, jwt_secret_is_base64)?),
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
                // The words of 13, and those of later versions.
                Some("disabled" | "false") => false,
                Some("main-query" | "true") => true,
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
            admin_host: match (self.text(&["admin-server-host"]), self.text(&["server-host"])) {
                (Some(own), _) => own.to_owned(),
                (None, Some(shared)) => shared.to_owned(),
                (None, None) => base.admin_host.clone(),
            },
            host,
            port,
            trace_header: match self.text(&["server-trace-header"]) {
                Some(name) => {
                    Some(name.parse().map_err(|_| problem("server-trace-header", "is not a header name"))?)
                }
                None => base.trace_header.clone(),
            },
            trace_header_written: self.string("server-trace-header", &base.trace_header_written),
            server_timing: self.boolean(&["server-timing-enabled"], base.server_timing),
            unix_socket: self
                .text(&["server-unix-socket"])
                .map(PathBuf::from)
                .or_else(|| base.unix_socket.clone()),
            unix_socket_mode: self.socket_mode(base.unix_socket_mode)?,
            stall_timeout: self.seconds(&["server-stall-timeout"], base.stall_timeout),
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
            Some(text) if text.contains(':') && !is_uri(text) => {
                Err(problem("jwt-aud", "jwt-aud should be a string or a valid URI"))
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

/// Whether a text has the form of a URI (RFC 3986): a scheme, and behind it only what may be there.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let escapes_fit = rest
        .split('%')
        .skip(1)
        .all(|behind| behind.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())));
    scheme_fits && rest.chars().all(is_allowed) && escapes_fit
}

/// Base64 in either alphabet; `.` also pads.
fn decode_secret(secret: Vec<u8>, is_base64: bool) -> Result<Vec<u8>, ConfigError> {
    if !is_base64 {
        return Ok(secret);
    }
    let text: String = String::from_utf8_lossy(&secret)
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
