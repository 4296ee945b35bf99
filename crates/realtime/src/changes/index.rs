//! Who listens to a table, found by filter.

use std::collections::HashMap;
use std::sync::Arc;

use database::replication::pgoutput::Relation;

use super::params::Events;
use super::predicate::{Predicate, Verdict};
use super::row::{Action, Field, RowChange};
use super::sink::ChangeSink;

/// Under whose name a listener looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Claims {
    pub(crate) role: Box<str>,
    /// All claims, as they were signed. Policies may read any of them, so nothing less tells two users apart.
    pub(crate) json: Box<str>,
}

/// One binding of one channel, on one table.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) subscription: u64,
    /// Its position among the channel's bindings.
    pub(crate) position: usize,
    /// What its client knows it by.
    pub(crate) id: u64,
    pub(crate) claims: Arc<Claims>,
    pub(crate) events: Events,
    /// All have to hold.
    pub(crate) predicates: Box<[Predicate]>,
    /// The only columns wanted, beside the key's.
    pub(crate) select: Option<Box<[Box<str>]>>,
    pub(crate) sink: ChangeSink,
}

impl Listener {
    pub(crate) fn wants(&self, action: Action) -> bool {
        match self.events {
            Events::All => true,
            Events::Only(wanted) => wanted == action,
        }
    }
}

/// A listener that a change may concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) listener: u32,
    /// Whether the server has to be asked about some of its filters.
    pub(crate) ask: bool,
}

/// Listeners by the value that they want in a column.
type ByValue = HashMap<Box<str>, Vec<u32>>;

/// The listeners of one table. Does not change: it is made anew when somebody comes or goes.
#[derive(Debug, Default)]
pub(crate) struct TableIndex {
    /// By subscription and position.
    pub(crate) listeners: Box<[Arc<Listener>]>,
    /// The distinct claims among them.
    pub(crate) groups: Box<[Arc<Claims>]>,
    /// For each listener its group.
    pub(crate) group_of: Box<[u32]>,
    /// Listeners that want one of certain values in a column, by column and value.
    exact: Vec<(Box<str>, ByValue)>,
    /// The others.
    rest: Vec<u32>,
}

impl TableIndex {
    pub(crate) fn new(mut listeners: Vec<Arc<Listener>>) -> Self {
        listeners.sort_by_key(|listener| (listener.subscription, listener.position));
        let mut groups: Vec<Arc<Claims>> = Vec::new();
        let mut numbers: HashMap<Arc<Claims>, u32> = HashMap::new();
        let mut index = TableIndex::default();
        let mut group_of = Vec::with_capacity(listeners.len());
        for (number, listener) in (0u32..).zip(&listeners) {
            let group = *numbers.entry(listener.claims.clone()).or_insert_with(|| {
                groups.push(listener.claims.clone());
                groups.len() as u32 - 1
            });
            group_of.push(group);
            match listener.predicates.iter().find_map(|predicate| Some((predicate, predicate.exact()?))) {
                Some((predicate, values)) => index.insert_exact(&predicate.column, values, number),
                None => index.rest.push(number),
            }
        }
        index.listeners = listeners.into();
        index.groups = groups.into();
        index.group_of = group_of.into();
        index
    }

    fn insert_exact(&mut self, column: &str, values: &[Box<str>], number: u32) {
        let at = self.exact.iter().position(|(known, _)| **known == *column).unwrap_or_else(|| {
            self.exact.push((column.into(), HashMap::new()));
            self.exact.len() - 1
        });
        for value in values {
            let listeners = self.exact[at].1.entry(value.clone()).or_default();
            // A list may name a value twice.
            if listeners.last() != Some(&number) {
                listeners.push(number);
            }
        }
    }

    /// The roles among the claims.
    pub(crate) fn roles(&self) -> Vec<Box<str>> {
        let mut roles: Vec<Box<str>> = self.groups.iter().map(|claims| claims.role.clone()).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// Whoever the change may concern by event and filters, in the listeners' order.
    pub(crate) fn candidates(&self, change: &RowChange) -> Vec<Candidate> {
        let mut found: Vec<u32> = self.rest.clone();
        for (column, by_value) in &self.exact {
            if let Some(Field::Text(text)) = filtered_field(change, column)
                && let Some(listeners) = by_value.get(text)
            {
                found.extend_from_slice(listeners);
            }
        }
        if !self.exact.is_empty() {
            found.sort_unstable();
        }
        found.into_iter().filter_map(|number| self.judge(number, change)).collect()
    }

    /// Everyone who wants such an event, whatever their filters.
    pub(crate) fn all(&self, action: Action) -> impl Iterator<Item = u32> {
        (0u32..)
            .zip(&self.listeners)
            .filter(move |(_, listener)| listener.wants(action))
            .map(|(number, _)| number)
    }

    fn judge(&self, number: u32, change: &RowChange) -> Option<Candidate> {
        let listener = &self.listeners[number as usize];
        if !listener.wants(change.action) {
            return None;
        }
        let mut ask = false;
        for predicate in &listener.predicates {
            match predicate.judge(filtered_field(change, &predicate.column)) {
                Verdict::Pass => {}
                Verdict::Fail => return None,
                Verdict::Ask => ask = true,
            }
        }
        Some(Candidate { listener: number, ask })
    }
}

/// The value that filters look at: the new one, or for a deletion what the replica identity tells of the old one.
pub(crate) fn filtered_field<'a>(change: &'a RowChange, column: &str) -> Option<Field<'a>> {
    let at = position(&change.relation, column)?;
    match change.action {
        Action::Delete => change.old_field(at, change.relation.columns[at].in_identity),
        _ => change.new_field(at),
    }
}

pub(crate) fn position(relation: &Relation, column: &str) -> Option<usize> {
    relation.columns.iter().position(|known| *known.name == *column)
}
