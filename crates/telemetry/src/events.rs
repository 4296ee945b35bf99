//! Structured events on one bus, built by the services rather than parsed from text.
//!
//! The bus never makes a request wait: it holds the last [`Bus::CAPACITY`] events, a reader that is
//! too slow loses the oldest ones, and the loss is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Something that happened in a service.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When.
    pub time: SystemTime,
    /// The service that says it: `gateway`, `rest`, `auth`, `postgres`, …
    pub service: &'static str,
    /// How serious.
    pub level: Level,
    /// The line a person reads.
    pub message: String,
    /// What a query can ask for, by name. Never a secret.
    pub fields: BTreeMap<&'static str, Value>,
}

/// Carries events from every service to every reader.
#[derive(Clone, Debug)]
pub struct Bus {
    sender: broadcast::Sender<Arc<Event>>,
}

impl Bus {
    /// How many events wait for the slowest reader.
    pub const CAPACITY: usize = 1024;

    /// A bus without readers.
    pub fn new() -> Bus {
        Bus { sender: broadcast::Sender::new(Self::CAPACITY) }
    }

    /// Sends an event. It is built only when someone reads.
    pub fn publish(&self, event: impl FnOnce() -> Event) {
        if self.sender.receiver_count() > 0 {
            // An error means that the last reader left meanwhile: nobody misses the event.
            let _ = self.sender.send(Arc::new(event()));
        }
    }

    /// Whether anyone reads: lets a writer save the collecting, not only the building.
    pub fn is_read(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// A reader of everything from here on.
    pub fn subscribe(&self) -> Reader {
        Reader { receiver: self.sender.subscribe() }
    }
}

impl Default for Bus {
    fn default() -> Self {
        Bus::new()
    }
}

/// Receives events in order.
#[derive(Debug)]
pub struct Reader {
    receiver: broadcast::Receiver<Arc<Event>>,
}

impl Reader {
    /// The next event; none when every sender is gone. Skips what was dropped and counts it in
    /// `events_dropped_total`. May be cancelled without losing an event.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    metrics::counter!("events_dropped_total").increment(count);
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn numbered(number: usize) -> Event {
        Event {
            time: SystemTime::UNIX_EPOCH,
            service: "test",
            level: Level::Info,
            message: number.to_string(),
            fields: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_events_and_nobody_waits() {
        let bus = Bus::new();
        let mut reader = bus.subscribe();
        for number in 0..Bus::CAPACITY + 3 {
            bus.publish(|| numbered(number));
        }
        assert_eq!(reader.next().await.unwrap().message, "3");
        drop(bus);
        for _ in 0..Bus::CAPACITY - 1 {
            assert!(reader.next().await.is_some());
        }
        assert!(reader.next().await.is_none());
    }

    #[test]
    fn an_event_without_readers_is_never_built() {
        Bus::new().publish(|| panic!("built"));
    }
}
