//! A limit on how often something may happen, in the two spellings the environment knows.

use std::str::FromStr;
use std::time::Duration;

/// `30` is thirty in each fixed hour; `30/2m` a bucket of thirty that regains one each two minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many in each window.
    Window {
        /// Events allowed in a window; zero blocks all.
        events: f64,
        /// Length of a window.
        over: Duration,
    },
    /// A bucket that starts full.
    Bucket {
        /// Size of the bucket.
        events: f64,
        /// Time in which one event is regained.
        refill: Duration,
    },
}

impl Rate {
    /// So many in each hour.
    pub fn per_hour(events: f64) -> Self {
        Self::Window { events, over: Duration::from_secs(3600) }
    }

    /// Nothing is allowed at all.
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Window { events, .. } | Self::Bucket { events, .. } => *events == 0.0,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(events) = text.parse::<f64>() {
            return Ok(Self::per_hour(events));
        }
        let (events, refill) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is neither a number nor events/duration"))?;
        let events: u64 = events.parse().map_err(|_| format!("{events:?} is not a whole number"))?;
        let refill = super::parse_go_duration(refill)?;
        Ok(Self::Bucket {
            events: events as f64,
            refill: if refill.is_zero() { Duration::from_secs(3600) } else { refill },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plain_number_is_a_window_of_an_hour() {
        assert_eq!("30".parse(), Ok(Rate::per_hour(30.0)));
        assert_eq!("360000".parse(), Ok(Rate::per_hour(360_000.0)));
    }

    #[test]
    fn events_per_duration_is_a_bucket() {
        assert_eq!("5/10m".parse(), Ok(Rate::Bucket { events: 5.0, refill: Duration::from_secs(600) }));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "ten", "1/2/3", "1.5/1m", "5/soon"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
