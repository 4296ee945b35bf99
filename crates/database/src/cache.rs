//! The statements that one connection keeps prepared.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use postgres_types::Type;
use smallvec::SmallVec;

use crate::pace::Paces;
use crate::result::Column;
use crate::statement::Param;

/// What keeps statements of equal text apart.
///
/// A plan under row level security belongs to a role, and names are resolved by the search path: the server would
/// plan anew each time either changed under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) role: &'a str,
    pub(crate) search_path: &'a str,
}

/// What a statement takes and returns.
#[derive(Debug, Clone)]
pub struct Description {
    /// Types of its parameters, as the server inferred them.
    pub params: Vec<Type>,
    /// Its columns and their types; none when it returns no rows.
    pub columns: Arc<[(Column, Type)]>,
}

/// A statement the server knows by `name`, or will once the batch in flight is through.
#[derive(Debug)]
pub(crate) struct Entry {
    role: Box<str>,
    search_path: Box<str>,
    sql: Box<str>,
    oids: SmallVec<[u32; 4]>,
    /// Empty where statements are not kept: the entry then only remembers what it was described as.
    pub(crate) name: Box<str>,
    pub(crate) columns: Option<Arc<[Column]>>,
    pub(crate) described: Option<Arc<Description>>,
    /// Whether the server has confirmed it.
    pub(crate) ready: bool,
    used: u64,
}

/// Identifies an entry. Two statements with the same one cannot be cached together, which costs a parse and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slot(u64);

impl Slot {
    /// For tables with places for less than all slots.
    pub(crate) fn number(self) -> usize {
        // What does not fit into a pointer is cut off, which leaves a hash.
        self.0 as usize
    }

    #[cfg(test)]
    pub(crate) const fn numbered(number: u64) -> Self {
        Slot(number)
    }
}

/// The slot is a hash already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

pub(crate) struct StatementCache {
    entries: HashMap<Slot, Entry, BuildHasherDefault<Identity>>,
    /// How long statements take; the connections of a pool share it.
    pub(crate) paces: Arc<Paces>,
    /// Names to close on the server, with the next batch.
    pub(crate) closing: Vec<Box<str>>,
    capacity: usize,
    /// Whether statements get names at all.
    pub(crate) named: bool,
    serial: u64,
    clock: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

impl StatementCache {
    pub(crate) fn new(capacity: usize, paces: Arc<Paces>) -> Self {
        StatementCache {
            entries: HashMap::default(),
            paces,
            closing: Vec::new(),
            capacity: capacity.max(1),
            named: true,
            serial: 0,
            clock: 0,
            hits: 0,
            misses: 0,
        }
    }

    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
    }

    pub(crate) fn slot(&self, scope: Scope<'_>, sql: &str, params: &[Param<'_>]) -> Slot {
        let mut hasher = self.paces.hasher.build_hasher();
        sql.hash(&mut hasher);
        scope.hash(&mut hasher);
        for param in params {
            hasher.write_u32(param.oid());
        }
        Slot(hasher.finish())
    }

    /// The entry in `slot` if it is this very statement.
    pub(crate) fn find(
        &mut self,
        slot: Slot,
        scope: Scope<'_>,
        sql: &str,
        params: &[Param<'_>],
    ) -> Option<&Entry> {
        self.clock += 1;
        let entry = self.entries.get_mut(&slot)?;
        let same = *entry.sql == *sql
            && *entry.role == *scope.role
            && *entry.search_path == *scope.search_path
            && entry.oids.iter().copied().eq(oids(params));
        if !same {
            return None;
        }
        entry.used = self.clock;
        Some(entry)
    }

    /// Makes room for a statement and names it.
    pub(crate) fn insert(&mut self, slot: Slot, scope: Scope<'_>, sql: &str, params: &[Param<'_>]) -> &Entry {
        self.remove(slot);
        if self.entries.len() >= self.capacity
            && let Some(oldest) =
                self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(slot, _)| *slot)
        {
            self.remove(oldest);
        }
        self.serial += 1;
        self.clock += 1;
        let name = if self.named { format!("s{}", self.serial).into() } else { Box::default() };
        let entry = Entry {
            role: scope.role.into(),
            search_path: scope.search_path.into(),
            sql: sql.into(),
            oids: oids(params).collect(),
            name,
            columns: None,
            described: None,
            ready: false,
            used: self.clock,
        };
        self.entries.entry(slot).insert_entry(entry).into_mut()
    }

    pub(crate) fn get(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(&slot)
    }

    /// Forgets a statement and has the server forget it. Closing one that the server does not know is no error.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if let Some(entry) = self.entries.remove(&slot)
            && !entry.name.is_empty()
        {
            self.closing.push(entry.name);
        }
    }

    /// Forgets what the server never confirmed.
    pub(crate) fn remove_pending(&mut self) {
        let closing = &mut self.closing;
        self.entries.retain(|_, entry| {
            if !entry.ready && !entry.name.is_empty() {
                closing.push(std::mem::take(&mut entry.name));
            }
            entry.ready
        });
    }

    /// Forgets everything: the server has (`DISCARD ALL`, `DEALLOCATE ALL`).
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.closing.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Types that the caller states, up to the last one that is stated.
pub(crate) fn oids<'a>(params: &'a [Param<'_>]) -> impl Iterator<Item = u32> + 'a {
    let stated = params.iter().rposition(|param| param.oid() != 0).map_or(0, |last| last + 1);
    params[..stated].iter().map(Param::oid)
}
