//! How often one caller may ask for one picture, where that is limited at all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is counted together, as the original does it.
const WINDOW: Duration = Duration::from_secs(4);

/// So many callers and pictures are remembered; beyond, those whose time is over are forgotten, and if that is not enough, all.
const MOST_KNOWN: usize = 100_000;

/// A count that began some time ago.
#[derive(Debug)]
struct Count {
    requests: u32,
    began: Instant,
}

/// Counts requests in the memory of this process. Whoever goes on beyond the limit is refused until it has been quiet for
/// a whole window.
#[derive(Debug)]
pub(crate) struct RenderRate {
    most: u32,
    counts: Mutex<HashMap<String, Count>>,
}

impl RenderRate {
    /// So many a second on average, as many as fall into a window at once.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { most: per_second.saturating_mul(WINDOW.as_secs() as u32), counts: Mutex::default() }
    }

    /// Counts a request. An error is the time after which the next is welcome.
    pub(crate) fn count(&self, key: String, now: Instant) -> Result<(), Duration> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_KNOWN && !counts.contains_key(&key) {
            counts.retain(|_, count| now.saturating_duration_since(count.began) < WINDOW);
            if counts.len() >= MOST_KNOWN {
                counts.clear();
            }
        }
        let count = counts.entry(key).or_insert(Count { requests: 0, began: now });
        if now.saturating_duration_since(count.began) >= WINDOW {
            *count = Count { requests: 0, began: now };
        }
        count.requests = count.requests.saturating_add(1);
        if count.requests <= self.most {
            return Ok(());
        }
        count.began = now;
        Err(WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_a_window_which_insistence_prolongs() {
        let rate = RenderRate::new(1);
        let began = Instant::now();
        let ask =
            |key: &str, after: u64| rate.count(key.to_owned(), began + Duration::from_secs(after)).is_ok();
        assert_eq!([0, 0, 1, 2, 3].map(|after| ask("a", after)), [true, true, true, true, false]);
        assert!(ask("b", 3));
        assert_eq!([5, 8, 12].map(|after| ask("a", after)), [false, false, true]);
    }
}
