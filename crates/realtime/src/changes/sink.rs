//! The way of a change to one channel.

use std::sync::{Arc, Mutex, PoisonError};

use crate::hub::Member;
use crate::protocol::{self, Frame, Ref, Status, Version, quoted};

/// One change, for any number of channels: its JSON is written once, and each message around it once for all channels
/// that want it alike.
#[derive(Debug)]
pub struct Change {
    /// `INSERT`, `UPDATE` or `DELETE`: the event of the legacy protocol.
    kind: &'static str,
    data: Box<str>,
    /// The message made last. Channels that want the same come one after the other more often than not.
    last: Mutex<Option<Rendered>>,
}

#[derive(Debug)]
struct Rendered {
    version: Version,
    legacy: bool,
    topic: Arc<str>,
    ids: Box<[u64]>,
    frame: Frame,
}

impl Change {
    /// A change, with the text of its JSON object (`schema`, `table`, `type`, `commit_timestamp`, `columns`, …).
    pub fn new(kind: &'static str, data: impl Into<Box<str>>) -> Self {
        Self { kind, data: data.into(), last: Mutex::default() }
    }

    fn frame(&self, member: &Member, ids: &[u64]) -> Frame {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.version == member.version
            && last.legacy == member.legacy
            && (last.legacy || *last.ids == *ids)
            && last.topic == member.topic
        {
            return last.frame.clone();
        }
        let frame = if member.legacy {
            protocol::push(member.version, &Ref::NULL, &member.topic, self.kind, &self.data)
        } else {
            let mut payload = String::with_capacity(self.data.len() + 32 + ids.len() * 10);
            payload.push_str("{\"ids\":[");
            for (index, id) in ids.iter().enumerate() {
                if index > 0 {
                    payload.push(',');
                }
                payload.push_str(&id.to_string());
            }
            payload.push_str("],\"data\":");
            payload.push_str(&self.data);
            payload.push('}');
            protocol::push(member.version, &Ref::NULL, &member.topic, "postgres_changes", &payload)
        };
        *last = Some(Rendered {
            version: member.version,
            legacy: member.legacy,
            topic: member.topic.clone(),
            ids: ids.into(),
            frame: frame.clone(),
        });
        frame
    }
}

/// Leads to one channel of one socket. Nothing sent through it ever waits; after the channel is gone it goes nowhere.
#[derive(Debug, Clone)]
pub struct ChangeSink(Arc<Member>);

impl ChangeSink {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self(member)
    }

    /// A number that no other channel of this process has or had.
    pub fn channel(&self) -> u64 {
        self.0.channel
    }

    /// The channel's topic without `realtime:`.
    pub fn topic(&self) -> &str {
        self.0.topic.strip_prefix(crate::hub::PREFIX).unwrap_or(&self.0.topic)
    }

    /// Delivers a change that matched the bindings of these ids.
    pub fn change(&self, ids: &[u64], change: &Change) {
        self.0.outbox.send(change.frame(&self.0, ids));
    }

    /// Tells the channel how its subscription fares.
    pub fn system(&self, status: Status, message: &str) {
        let payload = format!(
            "{{\"channel\":{},\"extension\":\"postgres_changes\",\"message\":{},\"status\":\"{}\"}}",
            quoted(self.topic()),
            quoted(message),
            status.as_str()
        );
        self.0.push("system", &payload);
    }

    /// Whether the socket is gone.
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_closed()
    }
}
