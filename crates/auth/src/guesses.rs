//! Limits on guessing, whatever the configuration says of rate limits.
//!
//! The original limits callers only by a header that somebody must have configured; without it six digits can be tried a million
//! times while they are valid. Only wrong guesses count here, so that nobody who knows the answer ever notices.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorCode, Result};

/// Wrong codes for one contact: far fewer than it takes to find six digits while they are valid.
const CODES: Allowance = Allowance { guesses: 100.0, over: Duration::from_secs(3600) };
/// Wrong passwords for one contact from one address. Others can still sign in: locking people out must not be so easy.
const PASSWORDS: Allowance = Allowance { guesses: 100.0, over: Duration::from_secs(600) };
/// So many are remembered; beyond, those are forgotten first whose allowance is whole again.
const MOST: usize = 100_000;

#[derive(Clone, Copy)]
struct Allowance {
    guesses: f64,
    over: Duration,
}

/// What is guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Secret {
    Code,
    Password,
}

impl Secret {
    const fn allowance(self) -> Allowance {
        match self {
            Self::Code => CODES,
            Self::Password => PASSWORDS,
        }
    }
}

/// Wrong guesses by whom they concern. They are forgotten evenly.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<HashMap<(Secret, String), (f64, Instant)>>);

impl Guesses {
    /// Refuses further guesses when there were too many wrong ones.
    pub(crate) fn permit(&self, secret: Secret, whose: &str) -> Result<()> {
        self.permit_at(secret, whose, Instant::now())
    }

    /// Counts a wrong guess.
    pub(crate) fn wrong(&self, secret: Secret, whose: &str) {
        self.wrong_at(secret, whose, Instant::now());
    }

    fn permit_at(&self, secret: Secret, whose: &str, now: Instant) -> Result<()> {
        let guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = guesses.get(&(secret, whose.to_lowercase()));
        let allowance = secret.allowance();
        match counted {
            Some((count, at)) if left(*count, *at, now, allowance) + 1.0 > allowance.guesses => {
                tracing::warn!(?secret, "too many wrong guesses");
                Err(Error::too_many(ErrorCode::OverRequestRateLimit, "Request rate limit reached"))
            }
            _ => Ok(()),
        }
    }

    fn wrong_at(&self, secret: Secret, whose: &str, now: Instant) {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guesses.len() >= MOST {
            guesses.retain(|(secret, _), (count, at)| left(*count, *at, now, secret.allowance()) > 0.0);
            if guesses.len() >= MOST {
                tracing::warn!("the table of wrong guesses is full: it starts anew");
                guesses.clear();
            }
        }
        let (count, at) = guesses.entry((secret, whose.to_lowercase())).or_insert((0.0, now));
        *count = left(*count, *at, now, secret.allowance()) + 1.0;
        *at = now;
    }
}

/// What remains of a count after a time.
fn left(count: f64, at: Instant, now: Instant, allowance: Allowance) -> f64 {
    let passed = now.saturating_duration_since(at).as_secs_f64();
    (count - passed * allowance.guesses / allowance.over.as_secs_f64()).max(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hundred_wrong_codes_an_hour_and_no_more() {
        let guesses = Guesses::default();
        let start = Instant::now();
        for _ in 0..100 {
            guesses.permit_at(Secret::Code, "ann@x.test", start).unwrap();
            guesses.wrong_at(Secret::Code, "Ann@x.test", start);
        }
        let refused = guesses.permit_at(Secret::Code, "ANN@x.test", start).unwrap_err();
        assert_eq!(refused.to_string(), "429: Request rate limit reached");
        assert!(guesses.permit_at(Secret::Code, "bob@x.test", start).is_ok());
        assert!(guesses.permit_at(Secret::Password, "ann@x.test", start).is_ok());
        assert!(guesses.permit_at(Secret::Code, "ann@x.test", start + Duration::from_secs(40)).is_ok());
    }
}
