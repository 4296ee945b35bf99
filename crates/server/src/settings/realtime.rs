//! `[realtime]` → Realtime's settings.

use config::Config;

use crate::Error;

/// How many connections the evaluation of channels' policies has.
pub(crate) const POOL_SIZE: usize = 5;
/// How many the tenant API and replays share.
pub(crate) const ADMINISTRATION: usize = 2;

/// The limits of the pool for the tenant API and replays.
#[must_use]
pub fn administration() -> database::PoolConfig {
    database::PoolConfig { name: "realtime", max_size: ADMINISTRATION, ..database::PoolConfig::default() }
}

/// The limits of the pool in which policies are evaluated.
#[must_use]
pub fn pool(config: &Config) -> database::PoolConfig {
    let wanted = config.environment.get("DB_POOL_SIZE").and_then(|size| size.parse().ok());
    database::PoolConfig {
        name: "realtime_authorization",
        max_size: wanted.filter(|size| *size > 0).unwrap_or(POOL_SIZE),
        ..database::PoolConfig::default()
    }
}

/// The settings of the realtime service.
pub fn settings(config: &Config) -> Result<realtime::Config, Error> {
    // An application's own environment names its production Redis: in development only our own name counts.
    let shared =
        |name: &str| if name == "REDIS_URL" { "MONOBASE_REDIS_URL".to_owned() } else { name.to_owned() };
    let own =
        ["TENANT_MAX_", "JWT_CLAIM_VALIDATORS", "SLOT_NAME_SUFFIX", "NO_CHANNEL_TIMEOUT_IN_MS", "REDIS_URL"];
    let lookup = |name: &str| match name {
        "MAX_HEADER_LENGTH" => Some(config.file.realtime.max_header_length.to_string()),
        _ if own.iter().any(|prefix| name.starts_with(prefix)) => {
            config.environment.get(&shared(name)).map(str::to_owned)
        }
        _ => None,
    };
    realtime::Config::from_env(lookup)
        .map_err(|error| Error::Settings { service: "realtime", reason: error.to_string() })
}

/// What keeps the table of messages in shape.
pub const UPKEEP: realtime::changes::Upkeep =
    realtime::changes::Upkeep { prepare: bootstrap::REALTIME_UPKEEP, expire: bootstrap::REALTIME_EXPIRY };
