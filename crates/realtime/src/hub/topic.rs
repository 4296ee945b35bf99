//! The members of one topic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::presence::{Diff, Fields, Meta, Origin, Presence};
use super::{Broadcast, Hub, Item, Outbox, PREFIX, Rate, TopicKey};
use crate::protocol::{self, Frame, Ref, Version};

/// Told to a channel that receives while too many messages pass.
pub(crate) const TOO_MANY_MESSAGES: &str = "Too many messages per second";

/// A channel: one socket's membership of one topic.
#[derive(Debug)]
pub(crate) struct Member {
    /// Unlike any other's of this process.
    pub(crate) channel: u64,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) version: Version,
    /// The topic as it was joined.
    pub(crate) topic: Arc<str>,
    pub(crate) join_ref: Ref,
    /// Joined without `config`: changes arrive as events of their own.
    pub(crate) legacy: bool,
    /// Messages that were replayed and must not come twice.
    pub(crate) replayed: Vec<Box<str>>,
    /// Whether it may see who is present.
    pub(crate) sees_presence: AtomicBool,
}

impl Member {
    /// Sends something to this channel alone, as of its own `join_ref`.
    pub(crate) fn push(&self, event: &str, payload: &str) {
        self.outbox.send(protocol::push(self.version, &self.join_ref, &self.topic, event, payload));
    }

    pub(crate) fn shut(&self, message: &'static str) {
        self.outbox.order(Item::Shut { channel: self.channel, message });
    }
}

/// A topic with its members and who is present.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) key: TopicKey,
    /// `realtime:` and the name.
    pub(crate) joined: Arc<str>,
    /// In the order of their numbers, so that one of many thousands is found at once when it leaves.
    members: RwLock<Vec<Arc<Member>>>,
    presence: Mutex<Presence>,
}

impl Topic {
    pub(super) fn new(key: TopicKey) -> Self {
        Self {
            joined: format!("{PREFIX}{}", key.name).into(),
            key,
            members: RwLock::default(),
            presence: Mutex::default(),
        }
    }

    pub(super) fn add(&self, member: Arc<Member>) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let at = members.partition_point(|known| known.channel < member.channel);
        members.insert(at, member);
    }

    pub(super) fn remove(&self, channel: u64) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(at) = members.binary_search_by_key(&channel, |member| member.channel) {
            members.remove(at);
        }
    }

    fn members(&self) -> RwLockReadGuard<'_, Vec<Arc<Member>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members().is_empty() && self.presence().is_empty()
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message to every member but `except`. Each delivery is an event, and while there are too many of them
    /// whoever receives is closed.
    pub(crate) fn send(&self, broadcast: &Broadcast, except: Option<u64>, events: &Rate) {
        let members = self.members();
        let too_many = events.triggered();
        let mut delivered = 0;
        for member in members.iter() {
            if except == Some(member.channel) {
                continue;
            }
            if let Some(id) = &broadcast.id
                && member.replayed.contains(id)
            {
                continue;
            }
            delivered += 1;
            if too_many {
                member.shut(TOO_MANY_MESSAGES);
            } else if let Some(frame) = broadcast.frame(member.version) {
                member.outbox.send(frame.clone());
            }
        }
        events.add(delivered);
    }

    /// Tells a channel who is present, and whatever changes from then on.
    pub(crate) fn send_state(&self, member: &Member) {
        let presence = self.presence();
        member.sees_presence.store(true, Ordering::Relaxed);
        member.push("presence_state", &presence.state());
    }

    /// A channel says who it is, or says it anew.
    pub(crate) fn track(&self, hub: &Hub, origin: Origin, key: &Arc<str>, fields: Fields) -> Meta {
        let mut presence = self.presence();
        let (meta, diff) = presence.track(origin, key, fields);
        self.send_diff(&diff, &hub.presence);
        meta
    }

    /// A presence of another node arrives or changes.
    pub(crate) fn receive(&self, hub: &Hub, meta: Meta) {
        let mut presence = self.presence();
        if let Some(diff) = presence.receive(meta) {
            self.send_diff(&diff, &hub.presence);
        }
    }

    /// A channel is present no more. Tells whether it was.
    pub(crate) fn untrack(&self, hub: &Hub, origin: &Origin) -> bool {
        self.untrack_where(hub, |meta| meta.origin == *origin)
    }

    /// Whoever `gone` says is present no more.
    pub(crate) fn untrack_where(&self, hub: &Hub, gone: impl Fn(&Meta) -> bool) -> bool {
        let mut presence = self.presence();
        match presence.remove(gone) {
            Some(diff) => {
                self.send_diff(&diff, &hub.presence);
                true
            }
            None => false,
        }
    }

    /// The presences of one node.
    pub(crate) fn metas_of(&self, node: u64) -> Vec<Meta> {
        self.presence().metas().filter(|meta| meta.origin.node == node).cloned().collect()
    }

    /// Under the lock of the presences, so that no two diffs overtake each other.
    fn send_diff(&self, diff: &Diff, rate: &Rate) {
        let payload = diff.payload();
        let mut forms: Vec<(Version, &Ref, Frame)> = Vec::new();
        let members = self.members();
        let mut delivered = 0;
        for member in members.iter().filter(|member| member.sees_presence.load(Ordering::Relaxed)) {
            delivered += 1;
            let known = forms.iter().position(|(version, join_ref, _)| {
                *version == member.version && (*version == Version::V1 || **join_ref == member.join_ref)
            });
            let at = known.unwrap_or_else(|| {
                let frame = protocol::push(
                    member.version,
                    &member.join_ref,
                    &member.topic,
                    "presence_diff",
                    &payload,
                );
                forms.push((member.version, &member.join_ref, frame));
                forms.len() - 1
            });
            member.outbox.send(forms[at].2.clone());
        }
        rate.add(delivered);
    }
}
