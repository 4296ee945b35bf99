//! Averages over up to sixty one-second ticks, by which Realtime measures all its rates.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const TICKS: usize = 60;

/// A rate and its limit. A burst within the first tick is not limited, as in the original.
#[derive(Debug)]
pub(crate) struct Rate {
    limit: AtomicU64,
    current: AtomicU64,
    total: AtomicU64,
    window: Mutex<VecDeque<u64>>,
    average: AtomicU64,
    triggered: AtomicBool,
}

impl Rate {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit: AtomicU64::new(limit),
            current: AtomicU64::new(0),
            total: AtomicU64::new(0),
            window: Mutex::default(),
            average: AtomicU64::new(0),
            triggered: AtomicBool::new(false),
        }
    }

    /// Counts events.
    pub(crate) fn add(&self, count: u64) {
        self.current.fetch_add(count, Ordering::Relaxed);
    }

    /// Once a second. The window begins with the first event and ends when a minute had none.
    pub(crate) fn tick(&self) {
        let count = self.current.swap(0, Ordering::Relaxed);
        self.total.fetch_add(count, Ordering::Relaxed);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.is_empty() && count == 0 {
            return;
        }
        if window.len() == TICKS {
            window.pop_front();
        }
        window.push_back(count);
        let sum: u64 = window.iter().sum();
        if sum == 0 && window.len() == TICKS {
            window.clear();
        }
        let average = sum as f64 / window.len().max(1) as f64;
        self.average.store(average.to_bits(), Ordering::Relaxed);
        self.triggered.store(average >= self.limit() as f64, Ordering::Relaxed);
    }

    /// Events a second, over the last minute.
    pub(crate) fn average(&self) -> f64 {
        f64::from_bits(self.average.load(Ordering::Relaxed))
    }

    /// Whether the average has reached the limit.
    pub(crate) fn triggered(&self) -> bool {
        self.triggered.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// All events ever counted.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed) + self.current.load(Ordering::Relaxed)
    }
}
