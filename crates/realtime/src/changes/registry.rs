//! Everybody's wishes, and the listeners that came of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Binding;
use super::index::{Claims, Listener, TableIndex};
use super::sink::ChangeSink;

/// What one channel wants.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) number: u64,
    /// Counts up when the claims change.
    pub(crate) version: u32,
    pub(crate) claims: Arc<Claims>,
    pub(crate) bindings: Arc<[Binding]>,
    pub(crate) sink: ChangeSink,
    /// The tables that its listeners are on.
    pub(crate) tables: Box<[u32]>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be looked into.
    Pending,
    Active,
    /// Told that it cannot be; looked into again when the publication changes.
    Refused,
}

/// All orders of the process. Shared by the channels that give them and the task that fulfils them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    /// Something is pending.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    orders: BTreeMap<u64, Order>,
    pending: HashSet<u64>,
    listeners: HashMap<u32, BTreeMap<(u64, usize), Arc<Listener>>>,
    indexes: HashMap<u32, Arc<TableIndex>>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an order; its number.
    pub(crate) fn add(&self, claims: Arc<Claims>, bindings: Vec<Binding>, sink: ChangeSink) -> u64 {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        let order = Order {
            number,
            version: 0,
            claims,
            bindings: bindings.into(),
            sink,
            tables: Box::default(),
            state: State::Pending,
        };
        inner.orders.insert(number, order);
        inner.pending.insert(number);
        drop(inner);
        self.wake.notify_one();
        number
    }

    /// Replaces the claims of an order. Until they are looked into, it listens under the former ones.
    pub(crate) fn set_claims(&self, number: u64, claims: Arc<Claims>) {
        let mut inner = self.lock();
        if let Some(order) = inner.orders.get_mut(&number) {
            order.version += 1;
            order.claims = claims;
            order.state = State::Pending;
            inner.pending.insert(number);
        }
        drop(inner);
        self.wake.notify_one();
    }

    pub(crate) fn remove(&self, number: u64) {
        let mut inner = self.lock();
        inner.pending.remove(&number);
        if let Some(order) = inner.orders.remove(&number) {
            inner.unlisten(number, &order.tables);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().orders.is_empty()
    }

    /// Whether anybody listens to anything.
    pub(crate) fn has_listeners(&self) -> bool {
        !self.lock().listeners.is_empty()
    }

    /// The orders to be looked into.
    pub(crate) fn pending(&self) -> Vec<Order> {
        let mut inner = self.lock();
        let numbers = std::mem::take(&mut inner.pending);
        let mut orders: Vec<Order> =
            numbers.iter().filter_map(|number| inner.orders.get(number).cloned()).collect();
        orders.sort_by_key(|order| order.number);
        orders
    }

    /// All orders, to be compared with a publication that has changed.
    pub(crate) fn all(&self) -> Vec<Order> {
        self.lock().orders.values().cloned().collect()
    }

    /// Makes an order listen, in place of what it listened to. Tells whether it is still wanted in that form.
    pub(crate) fn activate(&self, order: &Order, listeners: Vec<(u32, Listener)>) -> bool {
        let mut inner = self.lock();
        let Some(current) = inner.orders.get_mut(&order.number).filter(|now| now.version == order.version)
        else {
            return false;
        };
        let mut tables: Vec<u32> = listeners.iter().map(|(table, _)| *table).collect();
        tables.sort_unstable();
        tables.dedup();
        current.state = State::Active;
        let former = std::mem::replace(&mut current.tables, tables.into());
        inner.unlisten(order.number, &former);
        for (table, listener) in listeners {
            let key = (listener.subscription, listener.position);
            inner.listeners.entry(table).or_default().insert(key, Arc::new(listener));
            inner.indexes.remove(&table);
        }
        true
    }

    /// Takes note that an order cannot be fulfilled. Tells whether it is still wanted in that form.
    pub(crate) fn refuse(&self, order: &Order) -> bool {
        let mut inner = self.lock();
        let Some(current) = inner.orders.get_mut(&order.number).filter(|now| now.version == order.version)
        else {
            return false;
        };
        current.state = State::Refused;
        let former = std::mem::take(&mut current.tables);
        inner.unlisten(order.number, &former);
        true
    }

    /// Puts orders back that could not be looked into.
    pub(crate) fn put_back(&self, numbers: impl IntoIterator<Item = u64>) {
        let mut inner = self.lock();
        for number in numbers {
            if let Some(order) = inner.orders.get_mut(&number) {
                order.state = State::Pending;
                inner.pending.insert(number);
            }
        }
    }

    /// The feed was lost: nobody listens, and everybody who was not refused is to be looked into again.
    pub(crate) fn forget_listeners(&self) {
        let mut inner = self.lock();
        inner.listeners.clear();
        inner.indexes.clear();
        let Inner { orders, pending, .. } = &mut *inner;
        for (number, order) in orders {
            order.tables = Box::default();
            order.state = State::Pending;
            pending.insert(*number);
        }
    }

    /// The listeners of a table, if it has any.
    pub(crate) fn index(&self, table: u32) -> Option<Arc<TableIndex>> {
        let mut inner = self.lock();
        if let Some(index) = inner.indexes.get(&table) {
            return Some(index.clone());
        }
        let listeners = inner.listeners.get(&table)?.values().cloned().collect();
        let index = Arc::new(TableIndex::new(listeners));
        inner.indexes.insert(table, index.clone());
        Some(index)
    }
}

impl Order {
    /// Whether it listens now.
    pub(crate) fn is_active(&self) -> bool {
        self.state == State::Active
    }
}

impl Inner {
    fn unlisten(&mut self, number: u64, tables: &[u32]) {
        for table in tables {
            self.indexes.remove(table);
            if let Some(listeners) = self.listeners.get_mut(table) {
                let own: Vec<_> =
                    listeners.range((number, 0)..(number + 1, 0)).map(|(key, _)| *key).collect();
                own.iter().for_each(|key| drop(listeners.remove(key)));
                if listeners.is_empty() {
                    self.listeners.remove(table);
                }
            }
        }
    }
}
