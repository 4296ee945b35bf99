//! The limits in force, which the tenant API may change.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::config::Limits;

/// Limits that are not rates. A [`super::Rate`] knows its own.
#[derive(Debug)]
pub(crate) struct LiveLimits {
    users: AtomicUsize,
    channels: AtomicUsize,
    private_only: AtomicBool,
    suspended: AtomicBool,
}

impl LiveLimits {
    pub(super) fn new(limits: &Limits, private_only: bool) -> Self {
        Self {
            users: AtomicUsize::new(limits.max_concurrent_users),
            channels: AtomicUsize::new(limits.max_channels_per_client),
            private_only: AtomicBool::new(private_only),
            suspended: AtomicBool::new(false),
        }
    }

    pub(crate) fn users(&self) -> usize {
        self.users.load(Ordering::Relaxed)
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels.load(Ordering::Relaxed)
    }

    pub(crate) fn private_only(&self) -> bool {
        self.private_only.load(Ordering::Relaxed)
    }

    pub(crate) fn suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, users: Option<u64>, channels: Option<u64>, private_only: bool, suspended: bool) {
        let set = |target: &AtomicUsize, value: Option<u64>| {
            if let Some(value) = value.and_then(|value| usize::try_from(value).ok()) {
                target.store(value, Ordering::Relaxed);
            }
        };
        set(&self.users, users);
        set(&self.channels, channels);
        self.private_only.store(private_only, Ordering::Relaxed);
        self.suspended.store(suspended, Ordering::Relaxed);
    }
}
