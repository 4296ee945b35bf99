//! What is measured of broadcasts, under the original's names.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use database::replication::POSTGRES_EPOCH_MICROS;
use metrics::{Histogram, histogram};

/// Kept, because to look one up takes longer than to record in it.
pub(super) struct Figures {
    sizes: [Histogram; 2],
    since_commit: Histogram,
    since_insert: Histogram,
    handled: Histogram,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Figures {
    pub(super) fn new(tenant: &str) -> Self {
        let tenant = tenant.to_owned();
        let phoenix = "phoenix_channel_handled_in_duration_milliseconds";
        Self {
            handled: histogram!(phoenix),
            since_insert: histogram!(
                "realtime_tenants_broadcast_from_database_latency_inserted_at",
                "tenant" => tenant.clone()
            ),
            sizes: [
                histogram!("realtime_payload_size"),
                histogram!("realtime_tenants_payload_size", "tenant" => tenant.clone()),
            ],
            since_commit: histogram!(
                "realtime_tenants_broadcast_from_database_latency_committed_at",
                "tenant" => tenant
            ),
        }
    }

    /// A payload of so many bytes is sent.
    pub(super) fn sent(&self, bytes: usize) {
        for histogram in &self.sizes {
            histogram.record(bytes as f64);
        }
    }

    /// A message of the database arrives that was committed and inserted then, in microseconds since 2000.
    pub(super) fn arrived(&self, committed: Option<i64>, inserted: Option<i64>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let since = |then: i64| (now - POSTGRES_EPOCH_MICROS).saturating_sub(then).max(0) as f64 / 1000.0;
        for (then, histogram) in [(committed, &self.since_commit), (inserted, &self.since_insert)] {
            if let Some(then) = then {
                histogram.record(since(then));
            }
        }
    }

    /// A channel has dealt with a message of its socket.
    pub(super) fn handled(&self, took: Duration) {
        self.handled.record(took.as_secs_f64() * 1000.0);
    }
}
