//! Rate limiters: in memory, or in a Redis that all instances of an installation share.
//!
//! Those of single callers need a configured header that names the caller; without it they are off,
//! as in the original. Those of mails and text messages count for the whole instance.

mod shared;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::config::{Config, ConfigError, Rate};
use crate::error::{Error, ErrorCode, Result};
use crate::http::RequestContext;
use shared::Shared;

/// So many callers are remembered by each limiter; beyond, the idle ones are forgotten first.
const MAX_CALLERS: usize = 100_000;

/// A limiter of single callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    AnonymousSignup,
    Signup,
    Recover,
    Resend,
    MagicLink,
    Otp,
    UserUpdate,
    Token,
    Verify,
    FactorChallenge,
    FactorVerify,
    Passkey,
    ClientRegistration,
    Web3,
    Sso,
    Assertion,
}

/// All limiters of an instance.
pub(crate) struct Limiters {
    callers: [Arc<Callers>; 16],
    mails: Arc<Instance>,
    texts: Arc<Instance>,
    /// Asked first. What is counted here counts while it does not answer.
    shared: Option<Arc<Shared>>,
}

/// A limit on the whole instance, or the whole installation.
struct Instance {
    name: &'static str,
    rate: Rate,
    counter: Mutex<Counter>,
}

impl Instance {
    fn new(name: &'static str, rate: Rate) -> Self {
        Self { name, rate, counter: Mutex::new(Counter::new(rate, Instant::now())) }
    }

    fn allow(&self) -> bool {
        self.counter.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).allow(Instant::now())
    }
}

impl Limiters {
    /// The limits of another configuration. What was counted stays counted where its limit did not change.
    pub(crate) fn renewed(&self, before: &Config, config: &Config) -> Result<Self, ConfigError> {
        let mut renewed = Self::without_shared(config);
        for (new, old) in renewed.callers.iter_mut().zip(&self.callers) {
            if (new.per_second, new.size) == (old.per_second, old.size) {
                *new = old.clone();
            }
        }
        for (new, old) in [(&mut renewed.mails, &self.mails), (&mut renewed.texts, &self.texts)] {
            if new.rate == old.rate {
                *new = old.clone();
            }
        }
        let redis = |config: &Config| (config.rate_limits.redis_url.clone(), config.external_url.clone());
        renewed.shared = match redis(before) == redis(config) {
            true => self.shared.clone(),
            false => shared(config)?,
        };
        Ok(renewed)
    }

    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { shared: shared(config)?, ..Self::without_shared(config) })
    }

    fn without_shared(config: &Config) -> Self {
        let limits = &config.rate_limits;
        let callers = |per_second: f64, size: f64| Arc::new(Callers::new(per_second, size));
        let factor = || callers(config.mfa.rate_limit / 60.0, 30.0);
        let five_minutes = |events: f64| callers(events / 300.0, 30.0);
        let otp = || five_minutes(limits.otp);
        Self {
            // In the order of `Limit`.
            callers: [
                callers(limits.anonymous_users / 3600.0, limits.anonymous_users.floor()),
                otp(),
                otp(),
                otp(),
                otp(),
                otp(),
                otp(),
                five_minutes(limits.token_refresh),
                five_minutes(limits.verify),
                factor(),
                factor(),
                five_minutes(config.passkey.rate_limit),
                five_minutes(config.oauth_server.registration_rate_limit),
                five_minutes(config.external.web3.rate_limit),
                five_minutes(config.saml.sign_in_rate_limit),
                five_minutes(config.saml.assertion_rate_limit),
            ],
            mails: Arc::new(Instance::new("mails", limits.email_sent)),
            texts: Arc::new(Instance::new("texts", limits.sms_sent)),
            shared: None,
        }
    }

    /// Counts a request of its caller.
    pub(crate) async fn check(&self, limit: Limit, request: &RequestContext, config: &Config) -> Result<()> {
        let Some(header) = &config.rate_limits.header else { return Ok(()) };
        let caller = request.header(header);
        if caller.is_empty() {
            tracing::warn!(%header, "the request does not carry the rate limiting header: it is not limited");
            return Ok(());
        }
        let callers = &self.callers[limit as usize];
        let together = match &self.shared {
            Some(shared) => {
                let whose = format!("{limit:?}:{caller}");
                shared.bucket(&whose, callers.per_second, callers.size).await
            }
            None => None,
        };
        if together.unwrap_or_else(|| callers.allow(caller, Instant::now())) {
            return Ok(());
        }
        Err(Error::too_many(ErrorCode::OverRequestRateLimit, "Request rate limit reached"))
    }

    /// Counts a mail.
    pub(crate) async fn mail(&self) -> bool {
        self.count(&self.mails).await
    }

    /// Counts a text message.
    pub(crate) async fn text(&self) -> bool {
        self.count(&self.texts).await
    }

    async fn count(&self, instance: &Instance) -> bool {
        let together = match (&self.shared, instance.rate) {
            (Some(shared), Rate::Window { events, over }) => shared.window(instance.name, events, over).await,
            (Some(shared), Rate::Bucket { events, refill }) => {
                shared.bucket(instance.name, regained(refill), events).await
            }
            (None, _) => None,
        };
        together.unwrap_or_else(|| instance.allow())
    }
}

/// The counters of the installation, if it has such.
fn shared(config: &Config) -> Result<Option<Arc<Shared>>, ConfigError> {
    let Some(url) = &config.rate_limits.redis_url else { return Ok(None) };
    Ok(Some(Arc::new(Shared::new(url, &config.external_url)?)))
}

/// Events a second.
fn regained(refill: Duration) -> f64 {
    1.0 / refill.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// A bucket that regains events evenly.
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn allow(&mut self, per_second: f64, size: f64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * per_second).min(size);
        self.at = now;
        if self.level < 1.0 {
            return false;
        }
        self.level -= 1.0;
        true
    }
}

/// A bucket for each caller.
struct Callers {
    per_second: f64,
    size: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Callers {
    fn new(per_second: f64, size: f64) -> Self {
        Self { per_second, size, buckets: Mutex::new(HashMap::new()) }
    }

    fn allow(&self, caller: &str, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if buckets.len() >= MAX_CALLERS && !buckets.contains_key(caller) {
            self.forget_idle(&mut buckets, now);
        }
        if !buckets.contains_key(caller) {
            buckets.insert(caller.to_owned(), Bucket { level: self.size, at: now });
        }
        let bucket = buckets.get_mut(caller).expect("invariant: the caller's bucket was just inserted");
        bucket.allow(self.per_second, self.size, now)
    }

    /// Forgets those whose bucket is full again, which changes nothing for them; if that frees
    /// nothing, the table is cleared rather than let grow.
    fn forget_idle(&self, buckets: &mut HashMap<String, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            bucket.level + passed * self.per_second < self.size
        });
        if buckets.len() >= MAX_CALLERS {
            tracing::warn!(callers = buckets.len(), "a rate limiter's table is full: it starts anew");
            buckets.clear();
        }
    }
}

/// A limit on the whole instance.
enum Counter {
    Window { limit: f64, over: Duration, since: Instant, count: f64 },
    Bucket { size: f64, per_second: f64, bucket: Bucket },
}

impl Counter {
    fn new(rate: Rate, now: Instant) -> Self {
        match rate {
            Rate::Window { events, over } => {
                Self::Window { limit: events.floor(), over, since: now, count: 0.0 }
            }
            Rate::Bucket { events, refill } => Self::Bucket {
                size: events,
                per_second: regained(refill),
                bucket: Bucket { level: events, at: now },
            },
        }
    }

    fn allow(&mut self, now: Instant) -> bool {
        match self {
            Self::Window { limit, over, since, count } => {
                while now.saturating_duration_since(*since) >= *over {
                    // Windows are fixed: the next one begins where the last ended.
                    let windows = now.saturating_duration_since(*since).as_nanos() / over.as_nanos().max(1);
                    *since += *over * u32::try_from(windows).unwrap_or(u32::MAX);
                    *count = 0.0;
                }
                if *count >= *limit {
                    return false;
                }
                *count += 1.0;
                true
            }
            Self::Bucket { size, per_second, bucket } => bucket.allow(*per_second, *size, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(counter: &mut Counter, at: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| counter.allow(at)).count()
    }

    #[test]
    fn a_window_begins_anew_after_its_length() {
        let start = Instant::now();
        let mut counter = Counter::new(Rate::per_hour(3.0), start);
        assert_eq!(allowed(&mut counter, start, 5), 3);
        assert_eq!(allowed(&mut counter, start + Duration::from_secs(3599), 5), 0);
        assert_eq!(allowed(&mut counter, start + Duration::from_secs(3600), 5), 3);
    }

    #[test]
    fn a_bucket_regains_one_event_at_a_time() {
        let start = Instant::now();
        let mut counter = Counter::new("3/10s".parse().unwrap_or(Rate::per_hour(0.0)), start);
        assert_eq!(allowed(&mut counter, start, 5), 3);
        assert_eq!(allowed(&mut counter, start + Duration::from_secs(10), 5), 1);
        assert_eq!(allowed(&mut counter, start + Duration::from_secs(1000), 5), 3);
    }

    #[test]
    fn zero_blocks_everything() {
        let now = Instant::now();
        assert_eq!(allowed(&mut Counter::new(Rate::per_hour(0.0), now), now, 5), 0);
    }

    #[test]
    fn callers_do_not_share_a_bucket() {
        let callers = Callers::new(0.1, 2.0);
        let now = Instant::now();
        assert_eq!((0..5).filter(|_| callers.allow("a", now)).count(), 2);
        assert!(callers.allow("b", now));
        assert!(callers.allow("a", now + Duration::from_secs(10)));
        assert!(!callers.allow("a", now + Duration::from_secs(10)));
    }
}
