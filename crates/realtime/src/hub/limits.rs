//! The limits in force, which the tenant API may change.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::config::Limits;

/// Limits that are not rates. A [`super::Rate`] knows its own.
#[derive(Debug)]
pub(crate) struct LiveLimits {
    users: AtomicUsize,
    channels: AtomicUsize,
    payload_kb: AtomicUsize,
    private_only: AtomicBool,
    suspended: AtomicBool,
}

impl LiveLimits {
    pub(super) fn new(limits: &Limits, private_only: bool) -> Self {
        Self {
            users: AtomicUsize::new(limits.max_concurrent_users),
            channels: AtomicUsize::new(limits.max_channels_per_client),
            payload_kb: AtomicUsize::new(limits.max_payload_size_in_kb),
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

    /// The longest payload of the endpoint of one event, in bytes, with the original's allowance for its form.
    pub(crate) fn payload(&self) -> usize {
        self.payload_kb.load(Ordering::Relaxed).saturating_mul(1000).saturating_add(500)
    }

    pub(crate) fn private_only(&self) -> bool {
        self.private_only.load(Ordering::Relaxed)
    }

    pub(crate) fn suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    pub(crate) fn set(
        &self,
        users: Option<u64>,
        channels: Option<u64>,
        payload_kb: Option<u64>,
        private_only: bool,
        suspended: bool,
    ) {
        let set = |target: &AtomicUsize, value: Option<u64>| {
            if let Some(value) = value.and_then(|value| usize::try_from(value).ok()) {
                target.store(value, Ordering::Relaxed);
            }
        };
        set(&self.users, users);
        set(&self.channels, channels);
        set(&self.payload_kb, payload_kb);
        self.private_only.store(private_only, Ordering::Relaxed);
        self.suspended.store(suspended, Ordering::Relaxed);
    }
}
