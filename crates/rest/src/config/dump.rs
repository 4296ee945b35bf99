//! A configuration as a file, every setting of it, as `postgrest --dump-config` writes one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Config, LogLevel, OpenApiMode};
use crate::catalog::QualifiedName;

/// A text in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "\"\"".to_owned(), |value| value.to_string())
}

fn function(name: Option<&QualifiedName>) -> String {
    quoted(&name.map_or_else(String::new, |name| match &*name.schema {
        "" => name.name.to_string(),
        schema => format!("{schema}.{}", name.name),
    }))
}

impl Config {
    /// Every setting, one a line, in PostgREST's order. Secrets are among them.
    pub fn dump(&self) -> String {
        let secret = self.jwt_secret.as_deref().unwrap_or_default();
        let secret = if self.jwt_secret_is_base64 {
            STANDARD.encode(secret)
        } else {
            String::from_utf8_lossy(secret).into_owned()
        };
        let log_level = match self.log_level {
            LogLevel::Crit => "crit",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        };
        let openapi_mode = match self.openapi_mode {
            OpenApiMode::FollowPrivileges => "follow-privileges",
            OpenApiMode::IgnorePrivileges => "ignore-privileges",
            OpenApiMode::Disabled => "disabled",
        };
        let end = match (self.transaction.rollback, self.transaction.client_may_choose) {
            (false, false) => "commit",
            (false, true) => "commit-allow-override",
            (true, false) => "rollback",
            (true, true) => "rollback-allow-override",
        };
        let seconds = |duration: std::time::Duration| duration.as_secs().to_string();
        let text = |text: &Option<String>| quoted(text.as_deref().unwrap_or_default());
        let socket = self.unix_socket.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let settings = [
            ("db-aggregates-enabled", self.aggregates_enabled.to_string()),
            ("db-anon-role", text(&self.anon_role)),
            ("db-channel", quoted(&self.channel)),
            ("db-channel-enabled", self.channel_enabled.to_string()),
            ("db-extra-search-path", quoted(&self.extra_search_path.join(","))),
            ("db-hoisted-tx-settings", quoted(&self.hoisted_settings.join(","))),
            ("db-max-rows", optional(self.max_rows)),
            ("db-plan-enabled", self.plan_enabled.to_string()),
            ("db-pool", self.pool_size.to_string()),
            ("db-pool-acquisition-timeout", seconds(self.pool_acquisition_timeout)),
            ("db-pool-max-lifetime", seconds(self.pool_max_lifetime)),
            ("db-pool-max-idletime", seconds(self.pool_max_idletime)),
            ("db-pool-automatic-recovery", self.automatic_recovery.to_string()),
            ("db-pre-request", function(self.pre_request.as_ref())),
            ("db-prepared-statements", self.prepared_statements.to_string()),
            ("db-root-spec", function(self.root_spec.as_ref())),
            ("db-schemas", quoted(&self.schemas.join(","))),
            ("db-config", self.db_config.to_string()),
            ("db-pre-config", function(self.pre_config.as_ref())),
            ("db-tx-end", quoted(end)),
            ("db-uri", quoted(&self.uri)),
            ("jwt-aud", text(&self.jwt_audience)),
            ("jwt-role-claim-key", quoted(&self.role_claim.written())),
            ("jwt-secret", quoted(&secret)),
            ("jwt-secret-is-base64", self.jwt_secret_is_base64.to_string()),
            ("jwt-cache-max-lifetime", self.jwt_cache_max_lifetime.to_string()),
            ("log-level", quoted(log_level)),
            ("log-query", quoted(if self.log_query { "main-query" } else { "disabled" })),
            ("openapi-mode", quoted(openapi_mode)),
            ("openapi-security-active", self.openapi_security.to_string()),
            ("openapi-server-proxy-uri", text(&self.openapi_proxy_uri)),
            (
                "server-cors-allowed-origins",
                quoted(&self.cors_origins.as_ref().map(|origins| origins.join(",")).unwrap_or_default()),
            ),
            ("server-host", quoted(&self.host)),
            ("server-port", self.port.to_string()),
            ("server-trace-header", quoted(&self.trace_header_written)),
            ("server-timing-enabled", self.server_timing.to_string()),
            ("server-unix-socket", quoted(&socket)),
            ("server-unix-socket-mode", quoted(&format!("{:o}", self.unix_socket_mode))),
            ("admin-server-host", quoted(&self.admin_host)),
            ("admin-server-port", optional(self.admin_port)),
        ];
        let mut out = String::new();
        let app_settings = self.app_settings.iter().map(|(name, value)| (name.as_str(), quoted(value)));
        for (name, value) in settings.into_iter().chain(app_settings) {
            out.push_str(&format!("{name} = {value}\n"));
        }
        out
    }
}
