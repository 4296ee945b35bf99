//! Who listens to what, and how a message reaches them.
//!
//! A [`Topic`] exists while it has members. Sending to it walks its members once, puts the same bytes into each socket's
//! [`Outbox`], and never waits.

mod broadcast;
mod figures;
mod limits;
mod outbox;
mod presence;
mod rate;
mod topic;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::cluster::Link;
use crate::config::Limits;
use crate::protocol::{Encoding, UserBroadcast, quoted};

pub(crate) use broadcast::{Body, Broadcast};
pub use broadcast::{DatabaseBroadcast, DatabasePayload};
use figures::Figures;
use limits::LiveLimits;
pub(crate) use outbox::{Item, Outbox};
pub(crate) use presence::{Fields, Meta, Origin};
pub(crate) use rate::Rate;
pub(crate) use topic::{Member, Topic};

/// The prefix of every topic on the wire.
pub(crate) const PREFIX: &str = "realtime:";

/// A topic's name and which of the two namespaces it is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TopicKey {
    /// Without `realtime:`.
    pub(crate) name: Arc<str>,
    pub(crate) private: bool,
}

/// All topics of the process.
#[derive(Debug)]
pub struct Hub {
    topics: RwLock<HashMap<TopicKey, Arc<Topic>>>,
    pub(crate) limits: LiveLimits,
    /// Every socket that has joined, for orders to all of them.
    outboxes: Mutex<Vec<Weak<Outbox>>>,
    pub(crate) events: Rate,
    pub(crate) joins: Rate,
    pub(crate) presence: Rate,
    pub(crate) database_events: Rate,
    /// Sockets that have joined a channel.
    users: AtomicUsize,
    channels: watch::Sender<usize>,
    numbers: AtomicU64,
    figures: Figures,
    /// Tells the nodes of an installation apart.
    node: u64,
    link: OnceLock<Link>,
}

impl Hub {
    pub(crate) fn new(limits: Limits, private_only: bool, tenant: &str) -> Self {
        Self {
            topics: RwLock::default(),
            events: Rate::new(limits.max_events_per_second),
            joins: Rate::new(limits.max_joins_per_second),
            presence: Rate::new(limits.max_presence_events_per_second),
            database_events: Rate::new(u64::MAX),
            limits: LiveLimits::new(&limits, private_only),
            outboxes: Mutex::default(),
            users: AtomicUsize::new(0),
            channels: watch::Sender::new(0),
            numbers: AtomicU64::new(1),
            figures: Figures::new(tenant),
            node: uuid::Uuid::new_v4().as_u64_pair().0,
            link: OnceLock::new(),
        }
    }

    /// How many channels are joined at the moment: without any, nobody needs to read the database's changes.
    pub fn channels(&self) -> watch::Receiver<usize> {
        self.channels.subscribe()
    }

    /// A channel has dealt with a message of its socket.
    pub(crate) fn handled(&self, took: Duration) {
        self.figures.handled(took);
    }

    /// Tells the members of a topic what the database asks for. Over the limit of events it is dropped, as in the original.
    ///
    /// The name of the node's own topic is enough: messages of the database are read by one node and shared by `Redis`.
    ///
    /// It was committed at `committed`, in microseconds since 2000, if that is known.
    pub fn broadcast_from_database(&self, message: DatabaseBroadcast, committed: Option<i64>) {
        self.figures.arrived(committed, message.inserted);
        if self.events.triggered() {
            return;
        }
        let DatabaseBroadcast { id, topic, event, private, payload, inserted: _ } = message;
        let body = match payload {
            DatabasePayload::Json(payload) => {
                let meta = quoted(&id);
                Body::Map(
                    format!(
                        "{{\"event\":{},\"meta\":{{\"id\":{meta}}},\"payload\":{payload},\"type\":\"broadcast\"}}",
                        quoted(&event)
                    )
                    .into(),
                )
            }
            DatabasePayload::Binary(payload) => Body::User(UserBroadcast {
                event,
                metadata: format!("{{\"id\":{}}}", quoted(&id)).into(),
                encoding: Encoding::Opaque,
                payload,
            }),
        };
        self.events.add(1);
        self.send(&topic, private, body, Some(id), None);
    }

    /// Sends to all members on all nodes, but for the channel `except`.
    pub(crate) fn send(
        &self,
        name: &str,
        private: bool,
        body: Body,
        id: Option<Box<str>>,
        except: Option<u64>,
    ) {
        self.figures.sent(body.len());
        if let Some(link) = self.link.get() {
            link.broadcast(name, private, &body, id.as_deref());
        }
        self.send_here(name, private, body, id, except);
    }

    /// Sends to the members on this node.
    pub(crate) fn send_here(
        &self,
        name: &str,
        private: bool,
        body: Body,
        id: Option<Box<str>>,
        except: Option<u64>,
    ) {
        if let Some(topic) = self.topic(name, private) {
            let broadcast = Broadcast::new(topic.joined.clone(), body, id);
            topic.send(&broadcast, except, &self.events);
        }
    }

    pub(crate) fn topic(&self, name: &str, private: bool) -> Option<Arc<Topic>> {
        let key = TopicKey { name: name.into(), private };
        self.read().get(&key).cloned()
    }

    /// All topics that exist.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        self.read().values().cloned().collect()
    }

    /// Makes a member of its topic, which begins to exist with the first. `joined` runs when nobody else can send.
    pub(crate) fn join(&self, key: TopicKey, member: Arc<Member>) -> Arc<Topic> {
        let topic = {
            let mut topics = self.write();
            let topic = topics.entry(key.clone()).or_insert_with(|| Arc::new(Topic::new(key))).clone();
            topic.add(member);
            topic
        };
        self.channels.send_modify(|count| *count += 1);
        topic
    }

    /// Ends a membership. The topic ends with its last member, unless members of other nodes are present in it.
    pub(crate) fn leave(&self, topic: &Arc<Topic>, channel: u64) {
        let mut topics = self.write();
        topic.remove(channel);
        if topic.is_empty() {
            topics.remove(&topic.key);
        }
        drop(topics);
        self.channels.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// The topic, made if need be: presences of other nodes are kept for those who join later.
    pub(crate) fn topic_or_new(&self, key: &TopicKey) -> Arc<Topic> {
        self.write().entry(key.clone()).or_insert_with(|| Arc::new(Topic::new(key.clone()))).clone()
    }

    /// Forgets a topic that only was for others' presences.
    pub(crate) fn forget_if_empty(&self, topic: &Arc<Topic>) {
        let mut topics = self.write();
        if topic.is_empty() {
            topics.remove(&topic.key);
        }
    }

    /// A number that no other channel of this process has or had.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn users(&self) -> usize {
        self.users.load(Ordering::Relaxed)
    }

    /// A socket has joined its first channel.
    pub(crate) fn add_user(&self, outbox: &Arc<Outbox>) {
        self.users.fetch_add(1, Ordering::Relaxed);
        let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if outboxes.len() == outboxes.capacity() {
            outboxes.retain(|outbox| outbox.strong_count() > 0);
        }
        outboxes.push(Arc::downgrade(outbox));
    }

    /// Tells every socket that the tenant has changed.
    pub(crate) fn disconnect_all(&self) {
        let outboxes = std::mem::take(&mut *self.outboxes.lock().unwrap_or_else(PoisonError::into_inner));
        for outbox in outboxes.iter().filter_map(Weak::upgrade) {
            outbox.order(Item::Disconnect);
        }
    }

    pub(crate) fn remove_user(&self) {
        self.users.fetch_sub(1, Ordering::Relaxed);
    }

    /// A channel of this node.
    pub(crate) fn origin(&self, channel: u64) -> Origin {
        Origin { node: self.node, channel }
    }

    pub(crate) fn node(&self) -> u64 {
        self.node
    }

    /// A channel says who it is.
    pub(crate) fn track(&self, topic: &Topic, channel: u64, key: &Arc<str>, fields: Fields) {
        let meta = topic.track(self, self.origin(channel), key, fields);
        if let Some(link) = self.link.get() {
            link.track(&topic.key, &meta);
        }
    }

    /// A channel is present no more.
    pub(crate) fn untrack(&self, topic: &Topic, channel: u64) {
        let origin = self.origin(channel);
        if topic.untrack(self, &origin)
            && let Some(link) = self.link.get()
        {
            link.untrack(&topic.key, &origin);
        }
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    pub(crate) fn connect(&self, link: Link) {
        // Nobody else sets it.
        let _ = self.link.set(link);
    }

    /// Once a second.
    pub(crate) fn tick(&self) {
        for rate in [&self.events, &self.joins, &self.presence, &self.database_events] {
            rate.tick();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<TopicKey, Arc<Topic>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<TopicKey, Arc<Topic>>> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }
}
