//! Other nodes of the same installation.

use crate::hub::{Body, Meta, Origin, TopicKey};

/// The way to the other nodes.
#[derive(Debug)]
pub(crate) struct Link {}

impl Link {
    /// Tells the other nodes to send this to their members.
    pub(crate) fn broadcast(&self, _name: &str, _private: bool, _body: &Body, _id: Option<&str>) {}

    /// Tells the other nodes of a presence.
    pub(crate) fn track(&self, _topic: &TopicKey, _meta: &Meta) {}

    /// Tells the other nodes that a presence ended.
    pub(crate) fn untrack(&self, _topic: &TopicKey, _origin: &Origin) {}
}
