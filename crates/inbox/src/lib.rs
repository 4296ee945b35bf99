//! The catcher of development mail: an SMTP server that keeps what it is given, a page to read it, and
//! the API that clients of Mailpit and of Inbucket use.
//!
//! Mails are kept in memory, the newest up to the [`Limits`]; they are gone when the process ends.
//! [`Inbox`] is the box, [`router`] the page and the API over it, [`serve_smtp`] the way in.

mod api;
mod mailbox;
mod message;
mod page;
mod search;
mod smtp;
mod store;

use std::sync::Arc;
use std::time::Instant;

pub use smtp::serve as serve_smtp;
pub use store::{Inbox, TooLarge};

/// How much is kept and taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Mails kept; the oldest go first.
    pub messages: usize,
    /// Bytes kept in all; the oldest go first.
    pub bytes: usize,
    /// Bytes of one mail.
    pub message_bytes: usize,
    /// SMTP connections at a time.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 500, bytes: 64 * 1024 * 1024, message_bytes: 16 * 1024 * 1024, connections: 64 }
    }
}

#[derive(Clone)]
struct Shared {
    inbox: Inbox,
    version: &'static str,
    started: Instant,
    /// Whether callers may name any host. Behind loopback they may not: a page on the web could make its own name
    /// lead here and read people's mails.
    any_host: bool,
}

/// The page at `/` and the APIs under `/api`. `version` is what `/api/v1/info` reports; `any_host` lets callers use any
/// name for this machine, and belongs to listeners that others are meant to reach.
pub fn router(inbox: Inbox, version: &'static str, any_host: bool) -> axum::Router {
    let shared = Arc::new(Shared { inbox, version, started: Instant::now(), any_host });
    let guard = axum::middleware::from_fn_with_state(shared.clone(), page::check);
    api::routes().merge(mailbox::routes()).merge(page::routes()).layer(guard).with_state(shared)
}

/// Takes a mail apart, for the fuzzer.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let inbox = Inbox::new(Limits::default());
    if inbox.accept("a@b.c", &["d@e.f".to_owned()], bytes.to_vec()).is_ok()
        && let Some(message) = inbox.find("latest")
    {
        let _ = serde_json::to_string(&message.whole());
        let _ = search::Query::parse(&String::from_utf8_lossy(bytes)).matches(&message, false);
    }
}
