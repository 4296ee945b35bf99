//! A joined channel, as its socket keeps it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::authorization::Allowed;
use crate::changes::Subscription;
use crate::claims::Token;
use crate::hub::{Member, Topic};

/// How often a token is looked at again.
const VERIFY_EVERY: Duration = Duration::from_secs(300);

/// One joined channel.
pub(super) struct Channel {
    pub(super) member: Arc<Member>,
    pub(super) topic: Arc<Topic>,
    /// Whether the client named its `join_ref`, which it must then repeat to leave.
    pub(super) named: bool,
    pub(super) ack: bool,
    pub(super) echo: bool,
    pub(super) private: bool,
    pub(super) presence_key: Arc<str>,
    pub(super) tracked: bool,
    pub(super) token: Token,
    pub(super) verify_at: Instant,
    /// Asked at the first sending, and again after a new token.
    pub(super) write: Option<Allowed>,
    pub(super) reads: Allowed,
    pub(super) subscription: Option<Subscription>,
}

impl Channel {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.topic.key.name
    }
}

/// When a token is to be looked at again: in the second of its expiry, if that is soon.
pub(super) fn verify_at(token: &Token) -> Instant {
    Instant::now() + token.lifetime().min(VERIFY_EVERY)
}
