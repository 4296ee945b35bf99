//! The box itself.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::Limits;
use crate::message::Message;
use crate::search::Query;

/// The mails that were caught, newest first. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(Arc<Inner>);

struct Inner {
    limits: Limits,
    kept: Mutex<Kept>,
    accepted: AtomicU64,
    accepted_bytes: AtomicU64,
    deleted: AtomicU64,
}

#[derive(Default)]
struct Kept {
    messages: VecDeque<Entry>,
    weight: usize,
}

struct Entry {
    message: Arc<Message>,
    read: bool,
}

/// A mail is larger than the box takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The most that it takes, in bytes.
    pub limit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the mail is larger than {} bytes", self.limit)
    }
}

impl std::error::Error for TooLarge {}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("messages", &self.lock().messages.len()).finish_non_exhaustive()
    }
}

/// A page of a list.
pub(crate) struct Listing {
    /// In the box.
    pub(crate) total: usize,
    pub(crate) unread: usize,
    /// Of those that were asked for.
    pub(crate) matching: usize,
    pub(crate) matching_unread: usize,
    pub(crate) page: Vec<(Arc<Message>, bool)>,
}

/// What happened since the start.
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) accepted_bytes: u64,
    pub(crate) deleted: u64,
    pub(crate) weight: usize,
}

impl Inbox {
    /// An empty box.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            kept: Mutex::default(),
            accepted: AtomicU64::new(0),
            accepted_bytes: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        }))
    }

    /// Keeps a mail. The oldest make room for it.
    pub fn accept(&self, sender: &str, receivers: &[String], raw: Vec<u8>) -> Result<(), TooLarge> {
        let limits = &self.0.limits;
        if raw.len() > limits.message_bytes {
            return Err(TooLarge { limit: limits.message_bytes });
        }
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.accepted_bytes.fetch_add(raw.len() as u64, Ordering::Relaxed);
        let message = Arc::new(Message::read(sender, receivers, raw));
        let mut kept = self.lock();
        kept.weight += message.weight();
        kept.messages.push_front(Entry { message, read: false });
        while kept.messages.len() > 1 && (kept.messages.len() > limits.messages || kept.weight > limits.bytes)
        {
            if let Some(oldest) = kept.messages.pop_back() {
                kept.weight -= oldest.message.weight();
            }
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A mail by its id, or the `latest`.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Message>> {
        let kept = self.lock();
        let mut messages = kept.messages.iter();
        let entry =
            if id == "latest" { messages.next() } else { messages.find(|entry| entry.message.id == id) };
        entry.map(|entry| entry.message.clone())
    }

    pub(crate) fn list(&self, query: &Query, start: usize, limit: usize) -> Listing {
        let kept = self.lock();
        let mut listing = Listing {
            total: kept.messages.len(),
            unread: kept.messages.iter().filter(|entry| !entry.read).count(),
            matching: 0,
            matching_unread: 0,
            page: Vec::new(),
        };
        for entry in kept.messages.iter().filter(|entry| query.matches(&entry.message, entry.read)) {
            if listing.matching >= start && listing.page.len() < limit {
                listing.page.push((entry.message.clone(), entry.read));
            }
            listing.matching += 1;
            listing.matching_unread += usize::from(!entry.read);
        }
        listing
    }

    /// Marks mails; all of them if none is named.
    pub(crate) fn mark(&self, ids: &[String], read: bool) {
        for entry in &mut self.lock().messages {
            if ids.is_empty() || ids.contains(&entry.message.id) {
                entry.read = read;
            }
        }
    }

    /// Removes the mails that `gone` says, and tells how many they were.
    pub(crate) fn remove(&self, gone: impl Fn(&Message, bool) -> bool) -> usize {
        let mut kept = self.lock();
        let before = kept.messages.len();
        kept.messages.retain(|entry| !gone(&entry.message, entry.read));
        kept.weight = kept.messages.iter().map(|entry| entry.message.weight()).sum();
        let removed = before - kept.messages.len();
        self.0.deleted.fetch_add(removed as u64, Ordering::Relaxed);
        removed
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            accepted: self.0.accepted.load(Ordering::Relaxed),
            accepted_bytes: self.0.accepted_bytes.load(Ordering::Relaxed),
            deleted: self.0.deleted.load(Ordering::Relaxed),
            weight: self.lock().weight,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(inbox: &Inbox) -> Vec<String> {
        let listing = inbox.list(&Query::default(), 0, 100);
        listing.page.iter().map(|(message, _)| message.subject.clone()).collect()
    }

    fn mail(subject: &str, filler: usize) -> Vec<u8> {
        format!("Subject: {subject}\r\n\r\n{}", "x".repeat(filler)).into_bytes()
    }

    #[test]
    fn the_oldest_make_room() {
        let inbox = Inbox::new(Limits { messages: 2, ..Limits::default() });
        for subject in ["a", "b", "c"] {
            assert_eq!(inbox.accept("s@x", &[], mail(subject, 1)), Ok(()));
        }
        assert_eq!(subjects(&inbox), ["c", "b"]);
        let inbox = Inbox::new(Limits { bytes: 9000, ..Limits::default() });
        for subject in ["a", "b", "c"] {
            assert_eq!(inbox.accept("s@x", &[], mail(subject, 1000)), Ok(()));
        }
        assert_eq!(subjects(&inbox), ["c", "b"]);
    }

    #[test]
    fn a_mail_that_is_too_large_is_refused() {
        let inbox = Inbox::new(Limits { message_bytes: 100, ..Limits::default() });
        assert_eq!(inbox.accept("s@x", &[], mail("a", 200)), Err(TooLarge { limit: 100 }));
        assert!(subjects(&inbox).is_empty());
    }
}
