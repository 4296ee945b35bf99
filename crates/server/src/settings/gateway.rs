//! The configuration → the front door's settings.

use config::Config;

use crate::Error;

/// The settings of the front door. `KONG_*` names that the compose file knows are heard.
#[must_use]
pub fn settings(config: &Config) -> gateway::Config {
    let limit = config.environment.get("KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE").and_then(nginx_size);
    let default = gateway::Config::default();
    gateway::Config {
        // nginx's way to say "no limit" is 0.
        max_body: match limit {
            Some(0) => None,
            Some(bytes) => Some(bytes),
            None => default.max_body,
        },
        access_log: config
            .environment
            .get("MONOBASE_ACCESS_LOG")
            .is_some_and(|value| value == "true" || value == "1"),
        auth_without_key: config.keys.are_local(),
        connection: gateway::Limits {
            max_connections: config.file.monobase.max_connections as usize,
            ..default.connection
        },
        ..default
    }
}

/// Refuses what the front door cannot do, where doing without it would be worse than not starting.
pub fn check(config: &Config) -> Result<(), Error> {
    if config.file.api.tls.enabled {
        return Err(Error::Settings {
            service: "gateway",
            reason: "api.tls is not supported yet: leave it off, and let a reverse proxy speak TLS"
                .to_owned(),
        });
    }
    if config.file.monobase.max_connections == 0 {
        return Err(Error::Settings {
            service: "gateway",
            reason:
                "monobase.max_connections is 0, so that nobody could connect: leave it out, or give a number"
                    .to_owned(),
        });
    }
    Ok(())
}

/// A size as nginx writes it: `10485760`, `10240k`, `10m`, `1g`.
fn nginx_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_nginx_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("8k", Some(8192)),
            ("10M", Some(10 << 20)),
            ("1g", Some(1 << 30)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("99999999999999999999", None),
            ("99999999999999999g", None),
        ] {
            assert_eq!(nginx_size(text), expected, "{text}");
        }
    }
}
