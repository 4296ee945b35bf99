//! Counters in Redis, for several instances that are one installation.
//!
//! Each question is one script, which Redis runs alone: nobody counts between looking and taking. The clock is Redis's. When it
//! does not answer, every instance counts for itself until it does, and says so once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Script;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use sha2::{Digest, Sha256};

use crate::config::{ConfigError, Secret};

/// How long a request waits for Redis.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long Redis is left alone after it did not answer.
const REST: Duration = Duration::from_secs(2);

/// A bucket that regains events evenly: what is in it and when that was.
const BUCKET: &str = "
    local clock = redis.call('time')
    local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
    local per_second, size = tonumber(ARGV[1]), tonumber(ARGV[2])
    local kept = redis.call('hmget', KEYS[1], 'level', 'at')
    local level, at = tonumber(kept[1]) or size, tonumber(kept[2]) or now
    level = math.min(size, level + math.max(0, now - at) * per_second)
    local allowed = 0
    if level >= 1 then
        level = level - 1
        allowed = 1
    end
    redis.call('hset', KEYS[1], 'level', string.format('%.9f', level), 'at', string.format('%.6f', now))
    local whole = 86400
    if per_second > 0 then
        whole = math.min(whole, (size - level) / per_second + 1)
    end
    redis.call('pexpire', KEYS[1], math.ceil(whole * 1000))
    return allowed";

/// So many in each window; the first event opens it.
const WINDOW: &str = "
    local count = tonumber(redis.call('get', KEYS[1])) or 0
    if count + 1 > tonumber(ARGV[1]) then
        return 0
    end
    redis.call('incr', KEYS[1])
    if count == 0 then
        redis.call('pexpire', KEYS[1], ARGV[2])
    end
    return 1";

/// The counters of an installation.
pub(super) struct Shared {
    prefix: String,
    redis: ConnectionManager,
    bucket: Script,
    window: Script,
    /// Not to be asked before; none while it answers.
    silent_until: Mutex<Option<Instant>>,
}

impl Shared {
    /// The counters at a URL. Instances share them that clients reach at the same address.
    pub(super) fn new(url: &Secret, external_url: &str) -> Result<Self, ConfigError> {
        // The error may show the URL, which may hold a password.
        let invalid = |_| ConfigError::invalid("REDIS_URL", "is not the address of a Redis");
        let client = redis::Client::open(url.expose()).map_err(invalid)?;
        let limits = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        Ok(Self {
            prefix: format!("monobase:auth:{}", digest(external_url)),
            redis: ConnectionManager::new_lazy_with_config(client, limits).map_err(invalid)?,
            bucket: Script::new(BUCKET),
            window: Script::new(WINDOW),
            silent_until: Mutex::new(None),
        })
    }

    /// Takes an event out of a bucket. None if Redis does not answer.
    pub(super) async fn bucket(&self, name: &str, per_second: f64, size: f64) -> Option<bool> {
        self.ask(&self.bucket, name, &[per_second.to_string(), size.to_string()]).await
    }

    /// Counts an event of a window. None if Redis does not answer.
    pub(super) async fn window(&self, name: &str, events: f64, over: Duration) -> Option<bool> {
        self.ask(&self.window, name, &[events.floor().to_string(), over.as_millis().max(1).to_string()]).await
    }

    async fn ask(&self, script: &Script, name: &str, arguments: &[String]) -> Option<bool> {
        if self.silent_until().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        // The first try may find out that a connection is gone, the second has the new one.
        let mut answer = self.try_once(script, name, arguments).await;
        if answer.is_err() {
            answer = self.try_once(script, name, arguments).await;
        }
        let reason = match answer {
            Ok(allowed) => {
                if self.silent_until().take().is_some() {
                    tracing::info!("Redis answers again: rate limits are shared");
                }
                return Some(allowed);
            }
            Err(reason) => reason,
        };
        if self.silent_until().replace(Instant::now() + REST).is_none() {
            tracing::warn!(
                reason,
                "Redis does not answer: until it does each instance has rate limits of its own"
            );
        }
        None
    }

    async fn try_once(&self, script: &Script, name: &str, arguments: &[String]) -> Result<bool, String> {
        let mut redis = self.redis.clone();
        let mut call = script.key(format!("{}:{}", self.prefix, digest(name)));
        for argument in arguments {
            call.arg(argument);
        }
        match tokio::time::timeout(PATIENCE, call.invoke_async::<i64>(&mut redis)).await {
            Ok(Ok(allowed)) => Ok(allowed == 1),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", PATIENCE.as_millis())),
        }
    }

    fn silent_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silent_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A short name for a text of any length and content.
fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
