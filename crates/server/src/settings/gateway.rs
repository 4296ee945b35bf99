//! The configuration → the front door's settings.

use config::Config;

/// The settings of the front door. `KONG_*` names that the compose file knows are heard.
#[must_use]
pub fn settings(config: &Config) -> gateway::Config {
    let number = |name: &str| config.environment.get(name).and_then(|value| value.parse::<u64>().ok());
    let default = gateway::Config::default();
    gateway::Config {
        // nginx's way to say "no limit" is 0.
        max_body: match number("KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE") {
            Some(0) => None,
            Some(bytes) => Some(bytes),
            None => default.max_body,
        },
        access_log: config
            .environment
            .get("MONOBASE_ACCESS_LOG")
            .is_some_and(|value| value == "true" || value == "1"),
        ..default
    }
}
