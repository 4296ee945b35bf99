//! The changes that one node reads, on their way to the others.
//!
//! Of several nodes one reads the log: the one that holds an advisory lock. It publishes what it reads as it reads it, and the
//! others take it up as if it came out of a slot of their own; who sees a change is decided where the subscriber is. What is
//! published is numbered, so that whoever missed something begins anew, and tells its clients so. A reader that falls silent
//! for [`LOST`] is taken for dead: then the lock is tried for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use database::replication::pgoutput::Message;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cluster::{Bus, ended};

/// How often the reader says that it reads, and whoever follows that it does.
const BEAT: Duration = Duration::from_secs(2);
/// After how much silence a reader is taken for dead, and after how much of all followers they are taken for gone.
const LOST: Duration = Duration::from_secs(5);
/// How long a reader may take to answer whoever begins to follow.
const INTRODUCTION: Duration = Duration::from_millis(1500);
/// How much is published at a time, in bytes, of a transaction that is longer.
const CHUNK: usize = 256 << 10;
/// How many chunks may wait for Redis. More are lost, and followers notice.
const WAITING: usize = 1024;
/// How long the last word may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why what another node reads is not followed any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// Redis does not answer.
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    /// Something was published that has not arrived.
    #[error("changes were lost between two nodes")]
    Gap,
    /// The reader is silent, or has said that it reads no more.
    #[error("the node that read the changes is gone")]
    Gone,
    /// Something else than our own nodes publishes on the channel.
    #[error("a message of another node is malformed")]
    Malformed,
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// Some of the log, as messages of `pgoutput`.
    Chunk { reader: u64, number: u64, parts: Bytes },
    /// The reader reads; the number of its next chunk.
    Reading { reader: u64, next: u64 },
    /// The reader reads no more.
    Stopped { reader: u64 },
    /// A node follows.
    Following,
}

impl Word {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        match self {
            Word::Chunk { reader, number, parts } => {
                out.put_u8(b'c');
                out.put_u64(*reader);
                out.put_u64(*number);
                out.put_slice(parts);
            }
            Word::Reading { reader, next } => {
                out.put_u8(b'r');
                out.put_u64(*reader);
                out.put_u64(*next);
            }
            Word::Stopped { reader } => {
                out.put_u8(b's');
                out.put_u64(*reader);
            }
            Word::Following => out.put_u8(b'f'),
        }
        out
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        Some(match bytes.try_get_u8().ok()? {
            b'c' => Word::Chunk {
                reader: bytes.try_get_u64().ok()?,
                number: bytes.try_get_u64().ok()?,
                parts: bytes,
            },
            b'r' => Word::Reading { reader: bytes.try_get_u64().ok()?, next: bytes.try_get_u64().ok()? },
            b's' => Word::Stopped { reader: bytes.try_get_u64().ok()? },
            b'f' => Word::Following,
            _ => return None,
        })
    }
}

/// One message of the log within a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// As it came.
    News(Bytes),
    /// What a table looks like, repeated for those who begin to follow.
    Known(Bytes),
}

fn put_part(part: &Part, out: &mut Vec<u8>) {
    let (kind, body) = match part {
        Part::News(body) => (0, body),
        Part::Known(body) => (1, body),
    };
    out.put_u8(kind);
    // No message of the server is longer than its own length field can say.
    out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.put_slice(body);
}

/// Takes the next part off a chunk.
pub(crate) fn next_part(parts: &mut Bytes) -> Result<Option<Part>, RelayError> {
    if parts.is_empty() {
        return Ok(None);
    }
    let mut read = || {
        let kind = parts.try_get_u8().ok()?;
        let length = usize::try_from(parts.try_get_u32().ok()?).ok()?;
        if length > parts.len() {
            return None;
        }
        let body = parts.split_to(length);
        match kind {
            0 => Some(Part::News(body)),
            1 => Some(Part::Known(body)),
            _ => None,
        }
    };
    read().map(Some).ok_or(RelayError::Malformed)
}

/// Numbers what is published, in the order in which it is.
#[derive(Debug)]
struct Outlet {
    reader: u64,
    next: Mutex<u64>,
    queue: mpsc::Sender<Word>,
}

impl Outlet {
    fn chunk(&self, parts: Vec<u8>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let word = Word::Chunk { reader: self.reader, number: *next, parts: parts.into() };
        // Counted even when it is lost, so that the loss is noticed.
        *next += 1;
        self.put(word);
    }

    fn reading(&self) {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(Word::Reading { reader: self.reader, next: *next });
    }

    fn put(&self, word: Word) {
        if self.queue.try_send(word).is_err() {
            metrics::counter!("realtime_changes_relay_dropped").increment(1);
        }
    }
}

/// Collects what the reader reads into chunks.
#[derive(Debug)]
pub(crate) struct Publisher {
    outlet: Arc<Outlet>,
    chunk: Vec<u8>,
    relations: HashMap<u32, Bytes>,
    /// The tables that the chunk has told of.
    told: HashSet<u32>,
}

impl Publisher {
    /// A message of the log. It is published with the end of its transaction, if not before.
    pub(crate) fn push(&mut self, body: &Bytes, message: &Message) {
        match message {
            Message::Relation(relation) => {
                self.relations.insert(relation.oid, body.clone());
                self.told.insert(relation.oid);
            }
            Message::Insert { relation, .. }
            | Message::Update { relation, .. }
            | Message::Delete { relation, .. } => {
                if self.told.insert(*relation)
                    && let Some(known) = self.relations.get(relation)
                {
                    put_part(&Part::Known(known.clone()), &mut self.chunk);
                }
            }
            Message::Begin { .. } | Message::Commit { .. } | Message::Logical { .. } => {}
            _ => return,
        }
        put_part(&Part::News(body.clone()), &mut self.chunk);
        if self.chunk.len() > CHUNK || matches!(message, Message::Commit { .. }) {
            self.told.clear();
            self.outlet.chunk(std::mem::take(&mut self.chunk));
        }
    }
}

/// The reading node's side.
#[derive(Debug)]
pub(crate) struct Relay {
    outlet: Arc<Outlet>,
    followed: Arc<Mutex<Instant>>,
    speaking: JoinHandle<()>,
    hearing: JoinHandle<()>,
}

impl Relay {
    pub(crate) fn start(bus: &Bus) -> Self {
        let (queue, words) = mpsc::channel(WAITING);
        let outlet =
            Arc::new(Outlet { reader: uuid::Uuid::new_v4().as_u64_pair().0, next: Mutex::new(0), queue });
        // Whoever followed the one before has a moment to say so.
        let followed = Arc::new(Mutex::new(Instant::now()));
        let speaking = {
            let bus = bus.clone();
            tokio::spawn(async move { bus.speak(words, |word: Word| word.encode()).await })
        };
        let hearing = tokio::spawn(answer(bus.clone(), outlet.clone(), followed.clone()));
        Self { outlet, followed, speaking, hearing }
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher {
            outlet: self.outlet.clone(),
            chunk: Vec::new(),
            relations: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// Whether another node wants what is read.
    pub(crate) fn is_followed(&self) -> bool {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.elapsed() < 3 * LOST
    }

    /// Says that nothing is read any more. To be called when the lock is free.
    pub(crate) async fn end(mut self) {
        self.hearing.abort();
        let _ = (&mut self.hearing).await;
        self.outlet.put(Word::Stopped { reader: self.outlet.reader });
        // The queue ends with its last sender: publisher and answers are gone.
        self.outlet = Arc::new(Outlet { reader: 0, next: Mutex::new(0), queue: mpsc::channel(1).0 });
        let _ = tokio::time::timeout(FAREWELL, &mut self.speaking).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.speaking.abort();
        self.hearing.abort();
    }
}

/// Says now and then that the node reads, and at once to whoever begins to follow.
async fn answer(bus: Bus, outlet: Arc<Outlet>, followed: Arc<Mutex<Instant>>) {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut words = match bus.hear().await {
            Ok(words) => words,
            Err(error) => {
                tracing::warn!(%error, "other nodes that want the changes are not heard");
                tokio::time::sleep(BEAT).await;
                continue;
            }
        };
        outlet.reading();
        loop {
            tokio::select! {
                word = words.next() => match word {
                    Some(word) => {
                        if Word::decode(word) == Some(Word::Following) {
                            *followed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                            outlet.reading();
                        }
                    }
                    None => break,
                },
                _ = beats.tick() => outlet.reading(),
            }
        }
    }
}

/// A following node's side.
pub(crate) struct Following {
    bus: Bus,
    words: Box<dyn Stream<Item = Bytes> + Send + Unpin>,
    reader: u64,
    /// The number of the next chunk.
    next: u64,
    /// When the reader was heard last.
    heard: Instant,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// Begins to follow whoever reads; `None` when nobody says that it does.
///
/// What is committed after this has answered will come.
pub(crate) async fn follow(bus: &Bus) -> Result<Option<Following>, RelayError> {
    let mut words = bus.hear().await?;
    bus.say(Word::Following.encode()).await?;
    let until = Instant::now() + INTRODUCTION;
    loop {
        let word = match tokio::time::timeout_at(until, words.next()).await {
            Ok(word) => Word::decode(word.ok_or_else(ended)?).ok_or(RelayError::Malformed)?,
            Err(_) => return Ok(None),
        };
        if let Word::Reading { reader, next } = word {
            let (bus, words) = (bus.clone(), Box::new(words));
            return Ok(Some(Following { bus, words, reader, next, heard: Instant::now() }));
        }
    }
}

impl Following {
    /// The parts of the next chunk.
    pub(crate) async fn next(&mut self) -> Result<Bytes, RelayError> {
        loop {
            let word = match tokio::time::timeout_at(self.heard + LOST, self.words.next()).await {
                Ok(word) => Word::decode(word.ok_or_else(ended)?).ok_or(RelayError::Malformed)?,
                Err(_) => return Err(RelayError::Gone),
            };
            if word != Word::Following {
                self.heard = Instant::now();
            }
            match word {
                Word::Chunk { reader, number, parts } if reader == self.reader => {
                    if number > self.next {
                        return Err(RelayError::Gap);
                    }
                    if number == self.next {
                        self.next += 1;
                        return Ok(parts);
                    }
                }
                Word::Reading { reader, next } if reader == self.reader => {
                    if next > self.next {
                        return Err(RelayError::Gap);
                    }
                    return Ok(Bytes::new());
                }
                Word::Stopped { reader } if reader != self.reader => {}
                Word::Following => {}
                // Another reads.
                Word::Chunk { .. } | Word::Reading { .. } | Word::Stopped { .. } => {
                    return Err(RelayError::Gone);
                }
            }
        }
    }

    /// Says now and then that this node follows.
    pub(crate) async fn keep(bus: Bus) -> RelayError {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            if let Err(error) = bus.say(Word::Following.encode()).await {
                return error.into();
            }
        }
    }

    /// The way to the reader.
    pub(crate) fn bus(&self) -> Bus {
        self.bus.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use database::replication::Lsn;
    use database::replication::pgoutput::{Relation, ReplicaIdentity, Tuple};
    use proptest::prelude::*;

    use super::*;

    fn publisher() -> (Publisher, mpsc::Receiver<Word>) {
        let (queue, words) = mpsc::channel(8);
        let outlet = Arc::new(Outlet { reader: 7, next: Mutex::new(0), queue });
        (Publisher { outlet, chunk: Vec::new(), relations: HashMap::new(), told: HashSet::new() }, words)
    }

    fn transaction(publisher: &mut Publisher, with_relation: bool) {
        let relation = Relation {
            oid: 5,
            schema: "s".into(),
            name: "t".into(),
            identity: ReplicaIdentity::Default,
            columns: [].into(),
        };
        let lsn = Lsn::default();
        publisher.push(&Bytes::from_static(b"B"), &Message::Begin { final_lsn: lsn, committed: 1, xid: 2 });
        if with_relation {
            publisher.push(&Bytes::from_static(b"R"), &Message::Relation(relation));
        }
        for _ in 0..2 {
            let insert = Message::Insert { relation: 5, new: Tuple([].into()) };
            publisher.push(&Bytes::from_static(b"I"), &insert);
        }
        let commit = Message::Commit { commit_lsn: lsn, end_lsn: lsn, committed: 1 };
        publisher.push(&Bytes::from_static(b"C"), &commit);
    }

    fn parts(word: Word) -> (u64, Vec<Part>) {
        let Word::Chunk { reader: 7, number, mut parts } = Word::decode(word.encode().into()).unwrap() else {
            panic!("no chunk")
        };
        let mut found = Vec::new();
        while let Some(part) = next_part(&mut parts).unwrap() {
            found.push(part);
        }
        (number, found)
    }

    #[test]
    fn each_chunk_can_be_read_by_itself() {
        let (mut publisher, mut words) = publisher();
        transaction(&mut publisher, true);
        transaction(&mut publisher, false);
        let news = |body: &'static [u8]| Part::News(Bytes::from_static(body));
        let known = Part::Known(Bytes::from_static(b"R"));
        let (first, second) = (parts(words.try_recv().unwrap()), parts(words.try_recv().unwrap()));
        assert_eq!(first, (0, vec![news(b"B"), news(b"R"), news(b"I"), news(b"I"), news(b"C")]));
        assert_eq!(second, (1, vec![news(b"B"), known, news(b"I"), news(b"I"), news(b"C")]));
    }

    proptest! {
        #[test]
        fn what_is_published_is_understood(
            reader: u64, number: u64, parts in prop::collection::vec(any::<u8>(), 0..64), kind in 0..4,
        ) {
            let word = match kind {
                0 => Word::Chunk { reader, number, parts: parts.into() },
                1 => Word::Reading { reader, next: number },
                2 => Word::Stopped { reader },
                _ => Word::Following,
            };
            prop_assert_eq!(Word::decode(word.encode().into()), Some(word));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = Bytes::from(bytes);
            let _ = Word::decode(bytes.clone());
            while let Ok(Some(_)) = next_part(&mut bytes) {}
        }
    }
}
