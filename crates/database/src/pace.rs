//! How long statements take: what all connections of a pool know together.
//!
//! A connection that has just been opened knows nothing, and under load it would learn that everything is slow: what it
//! measures then is how long it waited for a processor. So whatever one connection has seen counts for all of them. (To
//! divide what many take at once among them was tried: one that happens to run undisturbed then passes for a swift one.)

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::cache::Slot;

/// What takes no longer may share a round trip with others, in microseconds.
const SWIFT: u32 = 1000;
/// The same where the way to the server takes next to none of it. What takes longer gains little by company, and loses
/// the server's other processors.
const SWIFT_NEARBY: u32 = 250;
/// How many statements are told apart. Two that fall together share what is known of them, which costs time only.
const ENTRIES: usize = 1024;

/// In place of microseconds.
const UNKNOWN: u32 = u32::MAX;

/// How long statements take at best: what one takes now and then, when the machine is busy, is no property of it.
pub(crate) struct Paces {
    /// What statements are told apart by, so that all connections number them alike.
    pub(crate) hasher: RandomState,
    /// In microseconds.
    entries: Box<[AtomicU32]>,
    limit: u32,
}

impl Paces {
    /// Nothing is known yet. `nearby` says that the server is on this machine.
    pub(crate) fn new(nearby: bool) -> Self {
        Paces {
            hasher: RandomState::default(),
            entries: (0..ENTRIES).map(|_| AtomicU32::new(UNKNOWN)).collect(),
            limit: if nearby { SWIFT_NEARBY } else { SWIFT },
        }
    }

    fn entry(&self, slot: Slot) -> &AtomicU32 {
        &self.entries[slot.number() % ENTRIES]
    }

    /// Whether the statement is known to be so short that nobody suffers from its company.
    pub(crate) fn is_swift(&self, slot: Slot) -> bool {
        self.entry(slot).load(Ordering::Relaxed) < self.limit
    }

    /// Notes one more run. Faster ones count at once, slower ones bit by bit.
    pub(crate) fn note(&self, slot: Slot, took: Duration) {
        let entry = self.entry(slot);
        // Two at the same moment may forget one of both.
        let known = entry.load(Ordering::Relaxed);
        let took = u32::try_from(took.as_micros()).unwrap_or(UNKNOWN).min(UNKNOWN - 1);
        let slower = known != UNKNOWN && took > known;
        entry.store(if slower { known + (took - known) / 64 + 1 } else { took }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Slot = Slot::numbered(1);

    fn paces(runs: &[u64]) -> Paces {
        let paces = Paces::new(true);
        for micros in runs {
            paces.note(ONE, Duration::from_micros(*micros));
        }
        paces
    }

    #[test]
    fn a_statement_is_swift_once_it_was() {
        assert!(!paces(&[]).is_swift(ONE));
        assert!(!paces(&[250]).is_swift(ONE));
        assert!(paces(&[249]).is_swift(ONE));
        assert!(paces(&[4000, 100]).is_swift(ONE));
    }

    #[test]
    fn a_slow_run_now_and_then_changes_nothing() {
        assert!(paces(&[100, 4000, 4000, 100]).is_swift(ONE));
    }

    #[test]
    fn a_statement_that_stays_slow_is_not_swift_any_more() {
        assert!(!paces(&[&[100][..], &[1000; 40]].concat()).is_swift(ONE));
    }
}
