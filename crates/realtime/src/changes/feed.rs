//! The life of the feed: it begins when somebody wants changes or joins a channel, survives the loss of its slot, of the
//! database and of its publication, and ends when nobody is left.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use database::replication::Lsn;
use database::{Connection, Error};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::index::Listener;
use super::params::{self, Wish};
use super::reader::{self, Item, Opened, ReadError, Source};
use super::registry::{Order, Registry};
use super::relay::{self, Relay, RelayError};
use super::resolve::{self, Published, Refused};
use super::settled;
use super::upkeep::Upkeep;
use crate::cluster::Bus;
use crate::hub::Hub;
use crate::protocol::Status;

/// What the client is told when its subscription is active.
const SUBSCRIBED: &str = "Subscribed to PostgreSQL";

/// Pauses before the feed is opened again: this, doubled each time, up to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the feed stays open without a channel.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the publication is looked at where no event trigger tells of its changes.
const PUBLICATION_INTERVAL: Duration = Duration::from_secs(60);
/// How often a node asks whether the one that reads is gone.
const TAKE_OVER_INTERVAL: Duration = Duration::from_secs(1);
/// How many items make a batch at most.
const BATCH: usize = 1024;

/// The task that feeds all subscriptions.
pub(crate) struct Feed {
    pub(crate) registry: Arc<Registry>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) source: Source,
    /// The way to the other nodes, of which one alone reads.
    pub(crate) bus: Option<Bus>,
    /// The publication of the tables to which clients subscribe.
    pub(crate) publication: String,
    pub(crate) upkeep: Upkeep,
    pub(crate) delivery: Delivery,
    pub(crate) stop: CancellationToken,
    /// Whether broadcasts of the database arrive.
    pub(crate) live: Arc<AtomicBool>,
    /// Orders whose channels know that the feed cannot be opened.
    pub(crate) told: HashSet<u64>,
}

/// Why a session ended without a failure.
enum Over {
    /// Nobody needs it.
    Idle,
    /// Its publications are not those that exist now.
    Outdated,
    Stopped,
    /// Another node reads, and cannot be heard yet.
    Taken,
}

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Database(#[from] Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Relay(#[from] RelayError),
}

/// Ends a task with its owner.
struct Owned<T>(Option<JoinHandle<T>>);

impl<T> Owned<T> {
    /// Waits for its outcome; none if it panicked or is over already.
    async fn outcome(&mut self) -> Option<T> {
        self.0.take()?.await.ok()
    }

    /// Ends it, and waits until it has.
    async fn end(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// A running session.
struct Session {
    items: mpsc::Receiver<Item>,
    done: watch::Sender<Lsn>,
    reader: Owned<ReadError>,
    /// Tells the other nodes, if this one reads.
    relay: Option<Relay>,
    publications: Vec<String>,
    published: Vec<Published>,
    /// Whether changes of the publication are told in the log.
    told_of_publications: bool,
}

impl Feed {
    /// Runs until it is stopped.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        let mut pause = FIRST_PAUSE;
        loop {
            if stop.run_until_cancelled(self.wanted()).await.is_none() {
                return;
            }
            let begun = tokio::time::Instant::now();
            let outcome = self.session().await;
            self.live.store(false, Ordering::Relaxed);
            self.registry.forget_listeners();
            let wait = match outcome {
                Ok(Over::Stopped) => return,
                Ok(Over::Idle) => {
                    tracing::debug!("nobody is left who wants changes: the slot was given up");
                    continue;
                }
                Ok(Over::Outdated) => {
                    tracing::info!("the publications have changed: the slot is made anew");
                    continue;
                }
                Ok(Over::Taken) => TAKE_OVER_INTERVAL,
                Err(failure) => {
                    tracing::warn!(error = %failure, "the stream of changes is lost");
                    self.tell_failure(&failure);
                    if begun.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    fn is_wanted(&self) -> bool {
        !self.registry.is_empty() || *self.hub.channels().borrow() > 0
    }

    /// Waits until somebody is there.
    async fn wanted(&self) {
        let mut channels = self.hub.channels();
        while !self.is_wanted() {
            tokio::select! {
                _ = channels.changed() => {}
                () = self.registry.wake.notified() => {}
            }
        }
    }

    /// The server's own objection to a slot is news for clients; a server that is away for a moment is not.
    fn tell_failure(&mut self, failure: &Failure) {
        let (Failure::Database(Error::Db(report)) | Failure::Read(ReadError::Database(Error::Db(report)))) =
            failure
        else {
            return;
        };
        // Shutting down, starting, not there any more: it will be back. A publication too.
        if matches!(report.code.class(), "57" | "08" | "53") || report.code == *"42704" {
            return;
        }
        let message = format!("Unable to subscribe to changes: {}", report.message);
        for order in self.registry.all() {
            if self.told.insert(order.number) {
                order.sink.system(Status::Error, &message);
            }
        }
    }

    async fn session(&mut self) -> Result<Over, Failure> {
        // The publication of the messages has to be there before the stream is.
        if let Err(error) = self.upkeep.run(self.delivery.catalogue(), false).await {
            tracing::warn!(%error, "messages of the database may not be heard");
        }
        let Some(mut session) = self.open().await? else { return Ok(Over::Taken) };
        self.told.clear();
        self.live.store(true, Ordering::Relaxed);
        let outcome = match self.fulfil(&session).await {
            Ok(()) => self.serve(&mut session).await,
            Err(failure) => Err(failure),
        };
        let Session { mut reader, relay, .. } = session;
        if let Some(relay) = relay {
            // The lock is free when the others are told.
            reader.end().await;
            relay.end().await;
        }
        outcome
    }

    /// Begins to read, or to follow the node that does; `None` while there is neither.
    async fn open(&mut self) -> Result<Option<Session>, Failure> {
        let (sender, items) = reader::queue();
        let (done, seen) = watch::channel(Lsn::default());
        let (reader, relay, publications) = match self.source.open().await? {
            Opened::Stream(stream) => {
                tracing::info!(slot = %stream.slot, publications = ?stream.publications, "reading changes");
                let publications = stream.publications.clone();
                let relay = self.bus.as_ref().map(Relay::start);
                let publisher = relay.as_ref().map(Relay::publisher);
                let reading = stream.read(sender, seen, self.hub.clone(), publisher);
                (tokio::spawn(reading), relay, Some(publications))
            }
            Opened::Taken => {
                let Some(bus) = &self.bus else { return Ok(None) };
                let Some(following) = relay::follow(bus).await? else { return Ok(None) };
                tracing::info!("another node reads changes: following it");
                (tokio::spawn(reader::follow(following, sender)), None, None)
            }
        };
        let reader = Owned(Some(reader));
        let mut connection = self.delivery.catalogue().acquire().await?;
        let published = resolve::published(&mut connection, &self.publication).await?;
        let told_of_publications = has_event_trigger(&mut connection).await?;
        let publications = match publications {
            Some(publications) => publications,
            None => existing(&mut connection, &self.source.publications).await?,
        };
        Ok(Some(Session { items, done, reader, relay, publications, published, told_of_publications }))
    }

    async fn serve(&mut self, session: &mut Session) -> Result<Over, Failure> {
        let stop = self.stop.clone();
        let mut channels = self.hub.channels();
        let mut looks = tokio::time::interval_at(
            tokio::time::Instant::now() + PUBLICATION_INTERVAL,
            PUBLICATION_INTERVAL,
        );
        let registry = self.registry.clone();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let followed = session.relay.as_ref().is_some_and(Relay::is_followed);
            let idle = !self.is_wanted() && !followed;
            tokio::select! {
                () = stop.cancelled() => return Ok(Over::Stopped),
                count = session.items.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        let error = session.reader.outcome().await.unwrap_or(ReadError::Ended);
                        return Err(error.into());
                    }
                    if self.take(session, &mut batch).await? && !self.look_at_publication(session).await? {
                        return Ok(Over::Outdated);
                    }
                }
                () = registry.wake.notified() => self.fulfil(session).await?,
                _ = looks.tick(), if !session.told_of_publications && !idle => {
                    if !self.look_at_publication(session).await? {
                        return Ok(Over::Outdated);
                    }
                }
                _ = channels.changed() => {}
                () = tokio::time::sleep(IDLE_TIMEOUT), if idle => return Ok(Over::Idle),
                // Followers leave without a word.
                () = tokio::time::sleep(IDLE_TIMEOUT), if followed => {}
            }
        }
    }

    /// Deals with a batch; tells whether the publication is to be looked at.
    async fn take(&mut self, session: &Session, items: &mut Vec<Item>) -> Result<bool, Failure> {
        let mut rows = Vec::with_capacity(items.len());
        // Their memory counts until they are delivered.
        let mut permits = Vec::with_capacity(items.len());
        let mut position = None;
        let mut look = false;
        let mut unsettled = Vec::new();
        for item in items.drain(..) {
            match item {
                Item::Row(change, permit) => {
                    rows.push(change);
                    permits.push(permit);
                }
                Item::Relation(relation, transaction) => {
                    unsettled.extend(transaction);
                    self.delivery.forget(relation.oid);
                    // A publication of all tables, or of a schema, has got one more.
                    look |= !session.published.iter().any(|table| table.oid == relation.oid)
                        && !super::messages::is_messages(&relation);
                }
                Item::Publication(transaction) => {
                    unsettled.extend(transaction);
                    look = true;
                }
                Item::Commit(end) => position = Some(end),
            }
        }
        settled::settle(self.delivery.catalogue(), &unsettled).await?;
        if !rows.is_empty() && self.registry.has_listeners() {
            let begun = tokio::time::Instant::now();
            let delivered = self.delivery.deliver(&self.registry, &rows).await?;
            self.hub.database_events.add(delivered as u64);
            metrics::histogram!("realtime_changes_batch_seconds").record(begun.elapsed().as_secs_f64());
            metrics::counter!("realtime_changes_read").increment(rows.len() as u64);
            metrics::counter!("realtime_changes_delivered").increment(delivered as u64);
        }
        drop(permits);
        if let Some(position) = position {
            session.done.send_replace(position);
        }
        Ok(look)
    }

    /// Looks into pending orders.
    async fn fulfil(&mut self, session: &Session) -> Result<(), Failure> {
        let orders = self.registry.pending();
        self.fulfil_orders(session, &orders).await
    }

    async fn fulfil_orders(&mut self, session: &Session, orders: &[Order]) -> Result<(), Failure> {
        for (at, order) in orders.iter().enumerate() {
            match self.listeners(session, order).await {
                Ok(listeners) => {
                    let same = order.is_active() && listens_to(&listeners) == order.tables;
                    if self.registry.activate(order, listeners) && !same {
                        order.sink.system(Status::Ok, SUBSCRIBED);
                    }
                }
                Err(Refused::Client(message)) => {
                    if self.registry.refuse(order) {
                        order.sink.system(Status::Error, &message);
                    }
                }
                Err(Refused::Database(error)) => {
                    self.registry.put_back(orders[at..].iter().map(|order| order.number));
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// The listeners that an order asks for. One entry that cannot be fulfilled fails them all.
    async fn listeners(&mut self, session: &Session, order: &Order) -> Result<Vec<(u32, Listener)>, Refused> {
        let mut listeners = Vec::new();
        for (position, binding) in order.bindings.iter().enumerate() {
            let wish: Wish = params::parse(&binding.params).map_err(Refused::Client)?;
            let before = listeners.len();
            for meant in session.published.iter().filter(|table| wish.means(&table.schema, &table.name)) {
                let role = order.claims.role.clone();
                let Some(table) = self.delivery.table(meant.oid, std::slice::from_ref(&role), &[]).await?
                else {
                    continue;
                };
                let mut connection = self.delivery.evaluators().acquire().await?;
                let predicates = resolve::check(&mut connection, &table, &wish, &order.claims).await?;
                listeners.push((
                    meant.oid,
                    Listener {
                        subscription: order.number,
                        position,
                        id: binding.id,
                        claims: order.claims.clone(),
                        events: wish.events,
                        predicates,
                        select: wish.select.clone().map(Into::into),
                        sink: order.sink.clone(),
                    },
                ));
            }
            if listeners.len() == before {
                return Err(Refused::Client(resolve::nothing_published(&wish)));
            }
        }
        Ok(listeners)
    }

    /// Compares the publication with what is known of it. False when the stream has to be started anew.
    async fn look_at_publication(&mut self, session: &mut Session) -> Result<bool, Failure> {
        let mut connection = self.delivery.catalogue().acquire().await?;
        let published = resolve::published(&mut connection, &self.publication).await?;
        let exist = existing(&mut connection, &self.source.publications).await?;
        drop(connection);
        if exist != session.publications {
            return Ok(false);
        }
        if published != session.published {
            session.published = published;
            let orders = self.registry.all();
            self.fulfil_orders(session, &orders).await?;
        }
        Ok(true)
    }
}

fn listens_to(listeners: &[(u32, Listener)]) -> Box<[u32]> {
    let mut tables: Vec<u32> = listeners.iter().map(|(table, _)| *table).collect();
    tables.sort_unstable();
    tables.dedup();
    tables.into()
}

/// Which of the wanted publications there are.
async fn existing(connection: &mut Connection, publications: &[String]) -> Result<Vec<String>, Error> {
    let rows = connection
        .query(
            "select pubname::text from pg_catalog.pg_publication where pubname = any ($1::text[]) order by pubname",
            &[&publications],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn has_event_trigger(connection: &mut Connection) -> Result<bool, Error> {
    let row = connection
        .query_one(
            "select exists (select from pg_catalog.pg_event_trigger \
             where evtname = 'realtime_publication_watch' and evtenabled in ('O', 'A'))",
            &[],
        )
        .await?;
    row.get(0)
}
