//! The one reader of the log: a temporary slot, its stream, and what it means.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use database::replication::pgoutput::{DecodeError, Decoder, Message, OldTuple, Relation, Tuple};
use database::replication::{Lsn, ReplicationConnection, ReplicationEvent, ReplicationStream, SlotSnapshot};
use database::{ConnectConfig, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::messages;
use super::relay::{self, Following, Part, Publisher, RelayError};
use super::row::{Action, RowChange};
use crate::hub::Hub;

/// What the log tells, in its order.
#[derive(Debug)]
pub(crate) enum Item {
    /// A change of a row, which occupies memory until it is dropped.
    Row(RowChange, OwnedSemaphorePermit),
    /// A table may have changed, in or before this transaction.
    Relation(Arc<Relation>, Option<u32>),
    /// A publication has changed, in this transaction (if its beginning was heard).
    Publication(Option<u32>),
    /// The end of a transaction: everything before this position has been told.
    Commit(Lsn),
}

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The connection or the server failed.
    #[error(transparent)]
    Database(#[from] Error),
    /// What another node reads does not arrive any more.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The stream cannot be understood.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The server has ended the stream.
    #[error("the server has ended the stream of changes")]
    Ended,
}

/// The prefix of the messages in the log that tell of a changed publication (see the event trigger in `bootstrap`).
pub(crate) const PUBLICATION_MESSAGE: &str = "monobase.publication";

/// How many rows may wait for their delivery, and how many KiB of them. Then the stream is not read any further.
const QUEUE_ROWS: usize = 4096;
const QUEUE_KIB: usize = 64 << 10;

/// How often the server is told, at most, that it may forget what was read.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(1);

/// The publication of `realtime.messages`.
pub(crate) const MESSAGES_PUBLICATION: &str = "supabase_realtime_messages_publication";

/// What to read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The server, under a login that may replicate.
    pub(crate) database: ConnectConfig,
    /// The publications that are read, those of them that exist.
    pub(crate) publications: Vec<String>,
    /// The slot's name.
    pub(crate) slot: String,
    /// Whether nobody else may read this at the same time: other nodes are told what this one reads.
    pub(crate) exclusive: bool,
}

/// How opening a source went.
pub(crate) enum Opened {
    /// Changes that are committed from now on will come.
    Stream(Box<Stream>),
    /// Another node reads.
    Taken,
}

/// A started stream.
pub(crate) struct Stream {
    stream: ReplicationStream,
    start: Lsn,
    /// The publications that it reads: those that existed.
    pub(crate) publications: Vec<String>,
    pub(crate) slot: String,
}

/// The key of the advisory lock that the reading node holds: `mono` and `rtch` as one number.
const LOCK: u64 = 0x6d6f_6e6f_7274_6368;

impl Source {
    fn connect_config(&self) -> ConnectConfig {
        // What values look like as text is agreed on here.
        self.database
            .clone()
            .with_application_name("realtime_replication_connection")
            .with_setting("datestyle", "ISO, MDY")
            .with_setting("intervalstyle", "postgres")
            .with_setting("timezone", "UTC")
            .with_setting("extra_float_digits", "1")
            .with_setting("bytea_output", "hex")
    }

    /// Makes a slot and starts to read it.
    pub(crate) async fn open(&self) -> Result<Opened, Error> {
        let mut connection = ReplicationConnection::connect(&self.connect_config()).await?;
        if self.exclusive {
            // Held by this very session, so that lock and slot come and go together.
            let results =
                connection.simple_query(&format!("select pg_catalog.pg_try_advisory_lock({LOCK})")).await?;
            if results.first().and_then(|result| result.scalar()) != Some("t") {
                return Ok(Opened::Taken);
            }
        }
        let publications = self.publications(&mut connection).await?;
        let slot = self.make_slot(&mut connection).await?;
        let names: Vec<String> = publications.iter().map(|name| database::ident::quote_ident(name)).collect();
        let options =
            [("proto_version", "1"), ("publication_names", &*names.join(",")), ("messages", "true")];
        let (name, start) = (slot.name, slot.consistent_point);
        let stream = connection.start(&name, start, &options).await?;
        Ok(Opened::Stream(Box::new(Stream { stream, start, publications, slot: name })))
    }

    /// Which of the wanted publications there are. One that is not there would end the stream (before PostgreSQL 18).
    async fn publications(&self, connection: &mut ReplicationConnection) -> Result<Vec<String>, Error> {
        let wanted: Vec<String> =
            self.publications.iter().map(|name| database::ident::quote_literal(name)).collect();
        let sql = format!(
            "select pubname from pg_catalog.pg_publication where pubname in ({}) order by pubname",
            wanted.join(", ")
        );
        let results = connection.simple_query(&sql).await?;
        let rows = results.iter().flat_map(|result| &result.rows);
        Ok(rows.filter_map(|row| row.text(0).map(str::to_owned)).collect())
    }

    async fn make_slot(
        &self,
        connection: &mut ReplicationConnection,
    ) -> Result<database::replication::ReplicationSlot, Error> {
        let made = connection.create_temporary_slot(&self.slot, "pgoutput", SlotSnapshot::Nothing).await;
        match made {
            // Another server reads under that name, or a former connection of ours has not been noticed to be gone yet.
            Err(Error::Db(report)) if matches!(report.code.as_str(), "42710" | "55006") => {
                let name = format!("{}_{:08x}", self.slot.trim_end_matches('_'), random());
                tracing::warn!(taken = %self.slot, slot = %name, "the replication slot's name is taken: another is used");
                connection.create_temporary_slot(&name, "pgoutput", SlotSnapshot::Nothing).await
            }
            other => other,
        }
    }
}

fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    // Each state has other keys.
    std::hash::RandomState::new().build_hasher().finish() as u32
}

impl Stream {
    /// Reads until the stream ends. Rows go to `items`; what the database broadcasts goes to the hub at once, and all of it
    /// to the other nodes, if there are any.
    ///
    /// `done` says how far the items have been dealt with.
    pub(crate) async fn read(
        self,
        items: mpsc::Sender<Item>,
        mut done: watch::Receiver<Lsn>,
        hub: Arc<Hub>,
        mut publisher: Option<Publisher>,
    ) -> ReadError {
        let Stream { mut stream, start, .. } = self;
        let mut intake = Intake::new(items, Some(hub), start);
        let mut confirmed = Instant::now();
        loop {
            tokio::select! {
                event = stream.next() => match event {
                    Ok(Some(ReplicationEvent::Data { body, .. })) => {
                        let message = match intake.decoder.decode(body.clone()) {
                            Ok(message) => message,
                            Err(error) => return error.into(),
                        };
                        if let Some(publisher) = &mut publisher {
                            publisher.push(&body, &message);
                        }
                        if intake.message(message).await.is_none() {
                            return ReadError::Ended;
                        }
                    }
                    Ok(Some(ReplicationEvent::Keepalive { end, .. })) => {
                        // Nothing of ours is on its way: the server may forget all that others have written.
                        if *done.borrow() >= intake.position {
                            intake.position = intake.position.max(end);
                            if let Err(error) = stream.confirm(end).await {
                                return error.into();
                            }
                        }
                    }
                    Ok(None) => return ReadError::Ended,
                    Err(error) => return error.into(),
                },
                changed = done.changed() => {
                    if changed.is_err() {
                        return ReadError::Ended;
                    }
                    let position = *done.borrow_and_update();
                    let result = if confirmed.elapsed() >= CONFIRM_INTERVAL {
                        confirmed = Instant::now();
                        stream.confirm(position).await
                    } else {
                        stream.note(position);
                        Ok(())
                    };
                    if let Err(error) = result {
                        return error.into();
                    }
                }
            }
        }
    }
}

/// Takes up what another node reads, until it reads no more.
pub(crate) async fn follow(following: Following, items: mpsc::Sender<Item>) -> ReadError {
    let keeping = Following::keep(following.bus());
    tokio::select! {
        error = keeping => error.into(),
        error = take_up(following, items) => error,
    }
}

async fn take_up(mut following: Following, items: mpsc::Sender<Item>) -> ReadError {
    // What the database broadcasts comes through the hub of the node that reads.
    let mut intake = Intake::new(items, None, Lsn::default());
    loop {
        let mut parts = match following.next().await {
            Ok(parts) => parts,
            Err(error) => return error.into(),
        };
        loop {
            let (body, known) = match relay::next_part(&mut parts) {
                Ok(Some(Part::News(body))) => (body, false),
                Ok(Some(Part::Known(body))) => (body, true),
                Ok(None) => break,
                Err(error) => return error.into(),
            };
            let message = match intake.decoder.decode(body) {
                Ok(message) => message,
                Err(error) => return error.into(),
            };
            let taken = match message {
                Message::Relation(relation) if known => {
                    intake.know(relation);
                    Some(())
                }
                message => intake.message(message).await,
            };
            if taken.is_none() {
                return ReadError::Ended;
            }
        }
    }
}

/// Makes items of the log's messages.
struct Intake {
    decoder: Decoder,
    relations: HashMap<u32, Arc<Relation>>,
    /// When the current transaction was committed, microseconds since 2000, and its number. None before the first that was
    /// heard from its beginning.
    current: Option<(i64, u32)>,
    /// The end of the last transaction that was read.
    position: Lsn,
    memory: Arc<Semaphore>,
    items: mpsc::Sender<Item>,
    /// Where broadcasts of the database go, if they do.
    hub: Option<Arc<Hub>>,
}

impl Intake {
    fn new(items: mpsc::Sender<Item>, hub: Option<Arc<Hub>>, position: Lsn) -> Self {
        Self {
            decoder: Decoder::new(),
            relations: HashMap::new(),
            current: None,
            position,
            memory: Arc::new(Semaphore::new(QUEUE_KIB)),
            items,
            hub,
        }
    }

    /// What a table looks like, which may have been told before.
    fn know(&mut self, relation: Relation) {
        if self.relations.get(&relation.oid).is_none_or(|known| **known != relation) {
            self.relations.insert(relation.oid, Arc::new(relation));
        }
    }

    /// Takes a message. `None` when nobody takes the items any more, or it speaks of a table that was never told of.
    async fn message(&mut self, message: Message) -> Option<()> {
        match message {
            Message::Begin { committed, xid, .. } => self.current = Some((committed, xid)),
            Message::Commit { end_lsn, .. } => {
                self.position = end_lsn;
                return self.items.send(Item::Commit(end_lsn)).await.ok();
            }
            Message::Relation(relation) => {
                let relation = Arc::new(relation);
                self.relations.insert(relation.oid, relation.clone());
                return self.items.send(Item::Relation(relation, self.transaction())).await.ok();
            }
            Message::Insert { relation, new } => {
                let relation = self.relations.get(&relation)?.clone();
                if let Some(hub) = self.hub.as_ref().filter(|_| messages::is_messages(&relation)) {
                    match messages::broadcast(&relation, &new) {
                        Ok(broadcast) => {
                            hub.broadcast_from_database(
                                broadcast,
                                self.current.map(|(committed, _)| committed),
                            );
                        }
                        Err(error) => tracing::warn!(%error, "a row of realtime.messages is not broadcast"),
                    }
                }
                return self.row(Action::Insert, relation, Some(new), None).await;
            }
            Message::Update { relation, old, new } => {
                let relation = self.relations.get(&relation)?.clone();
                return self.row(Action::Update, relation, Some(new), old).await;
            }
            Message::Delete { relation, old } => {
                let relation = self.relations.get(&relation)?.clone();
                return self.row(Action::Delete, relation, None, Some(old)).await;
            }
            Message::Logical { prefix, .. } if &*prefix == PUBLICATION_MESSAGE => {
                return self.items.send(Item::Publication(self.transaction())).await.ok();
            }
            _ => {}
        }
        Some(())
    }

    fn transaction(&self) -> Option<u32> {
        Some(self.current?.1)
    }

    async fn row(
        &self,
        action: Action,
        relation: Arc<Relation>,
        new: Option<Tuple>,
        old: Option<OldTuple>,
    ) -> Option<()> {
        let Some((committed, transaction)) = self.current else { return Some(()) };
        let change = RowChange { action, relation, new, old, committed, transaction };
        let size = u32::try_from((change.bytes() / 1024 + 1).min(QUEUE_KIB)).ok()?;
        let permit = self.memory.clone().acquire_many_owned(size).await.ok()?;
        self.items.send(Item::Row(change, permit)).await.ok()
    }
}

/// A queue between the reader and who takes its items.
pub(crate) fn queue() -> (mpsc::Sender<Item>, mpsc::Receiver<Item>) {
    mpsc::channel(QUEUE_ROWS)
}
