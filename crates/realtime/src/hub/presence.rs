//! Who is present in a topic.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::protocol::quoted;

/// The channel that a presence belongs to, on the node where its socket is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) node: u64,
    pub(crate) channel: u64,
}

/// What a client tells about itself: the members of its object, each value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields(Box<str>);

impl Fields {
    /// From a JSON object. References are ours to give.
    pub(crate) fn parse(payload: &str) -> Option<Self> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(payload).ok()?;
        let mut text = String::with_capacity(payload.len());
        for (name, value) in fields {
            if name != "phx_ref" && name != "phx_ref_prev" {
                // Writing to a string cannot fail.
                let _ = write!(text, ",{}:{}", quoted(&name), value.get());
            }
        }
        Some(Self(text.into()))
    }
}

/// One presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) origin: Origin,
    pub(crate) key: Arc<str>,
    /// Unlike any other's, until the client tells something new.
    pub(crate) reference: Box<str>,
    pub(crate) previous: Option<Box<str>>,
    /// The client's fields, each after a comma.
    pub(crate) fields: Box<str>,
}

impl Meta {
    fn render(&self, out: &mut String) {
        let _ = write!(out, "{{\"phx_ref\":\"{}\"", self.reference);
        if let Some(previous) = &self.previous {
            let _ = write!(out, ",\"phx_ref_prev\":\"{previous}\"");
        }
        out.push_str(&self.fields);
        out.push('}');
    }
}

/// The presences of a topic, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    metas: Vec<Meta>,
}

/// What changed.
#[derive(Debug, Default)]
pub(crate) struct Diff {
    joins: Vec<Meta>,
    leaves: Vec<Meta>,
}

impl Diff {
    /// The payload of `presence_diff`.
    pub(crate) fn payload(&self) -> String {
        format!("{{\"joins\":{},\"leaves\":{}}}", by_key(&self.joins), by_key(&self.leaves))
    }
}

impl Presence {
    pub(super) fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    pub(super) fn metas(&self) -> impl Iterator<Item = &Meta> {
        self.metas.iter()
    }

    /// The payload of `presence_state`.
    pub(crate) fn state(&self) -> String {
        by_key(&self.metas)
    }

    /// A channel has one presence: telling again replaces it.
    pub(crate) fn track(&mut self, origin: Origin, key: &Arc<str>, fields: Fields) -> (Meta, Diff) {
        let known = self.metas.iter().position(|meta| meta.origin == origin);
        let meta = Meta {
            previous: known.map(|at| self.metas[at].reference.clone()),
            origin,
            key: key.clone(),
            reference: reference(),
            fields: fields.0,
        };
        (meta.clone(), self.put(known, meta))
    }

    /// A presence as another node tells it; none if it is known already.
    pub(crate) fn receive(&mut self, meta: Meta) -> Option<Diff> {
        let known = self.metas.iter().position(|known| known.origin == meta.origin);
        if known.is_some_and(|at| self.metas[at].reference == meta.reference) {
            return None;
        }
        Some(self.put(known, meta))
    }

    fn put(&mut self, known: Option<usize>, meta: Meta) -> Diff {
        let joins = vec![meta.clone()];
        let leaves = match known {
            Some(at) => vec![std::mem::replace(&mut self.metas[at], meta)],
            None => {
                self.metas.push(meta);
                Vec::new()
            }
        };
        Diff { joins, leaves }
    }

    /// Takes away; none if nothing was there.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Meta) -> bool) -> Option<Diff> {
        let leaves: Vec<Meta> = self.metas.extract_if(.., |meta| gone(meta)).collect();
        if self.metas.is_empty() {
            self.metas = Vec::new();
        }
        (!leaves.is_empty()).then_some(Diff { joins: Vec::new(), leaves })
    }
}

fn by_key(metas: &[Meta]) -> String {
    let mut keys: Vec<(&str, Vec<&Meta>)> = Vec::new();
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for meta in metas {
        let at = *places.entry(&meta.key).or_insert_with(|| {
            keys.push((&meta.key, Vec::new()));
            keys.len() - 1
        });
        keys[at].1.push(meta);
    }
    let mut out = String::from("{");
    for (index, (key, metas)) in keys.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(out, "{}:{{\"metas\":[", quoted(key));
        for (index, meta) in metas.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            meta.render(&mut out);
        }
        out.push_str("]}");
    }
    out.push('}');
    out
}

/// A reference that no other node gives either.
fn reference() -> Box<str> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static NODE: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| uuid::Uuid::new_v4().as_u64_pair().0);
    format!("{:x}-{:x}", *NODE, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}
