//! Several nodes of one installation, joined by Redis.
//!
//! Every node publishes on one channel what it sends and who is present with it, and hears what the others say. Nothing is
//! stored in Redis. A node that is not heard of for [`LOST`] is taken for dead, and its presences end; one that says goodbye
//! ends them at once. Whoever notices a gap in what another said asks for all of its presences anew.

mod message;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use redis::aio::ConnectionManager;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hub::{Body, Hub, Meta, Origin, TopicKey};
use message::{Message, Present, Topic, What};

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(2);
/// After how much silence a node is taken for dead.
const LOST: Duration = Duration::from_secs(10);
/// How long to wait before Redis is tried again.
const REST: Duration = Duration::from_secs(1);
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many messages may wait to be published; more are dropped, as broadcasts promise nothing.
const WAITING: usize = 65_536;
/// How many are published at a time.
const BATCH: usize = 256;

/// The way to the other nodes.
#[derive(Debug)]
pub(crate) struct Link {
    node: u64,
    number: AtomicU64,
    queue: mpsc::Sender<Message>,
}

impl Link {
    /// Tells the other nodes to send this to their members.
    pub(crate) fn broadcast(&self, name: &str, private: bool, body: &Body, id: Option<&str>) {
        let (user, payload) = message::split(body);
        let topic = Topic { name: name.into(), private };
        self.say(What::Broadcast { topic, id: id.map(Into::into), user }, payload);
    }

    /// Tells the other nodes of a presence.
    pub(crate) fn track(&self, topic: &TopicKey, meta: &Meta) {
        self.say(What::Track { topic: topic.into(), meta: meta.into() }, Bytes::new());
    }

    /// Tells the other nodes that a presence ended.
    pub(crate) fn untrack(&self, topic: &TopicKey, origin: &Origin) {
        self.say(What::Untrack { topic: topic.into(), channel: origin.channel }, Bytes::new());
    }

    fn say(&self, what: What, payload: Bytes) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let message = Message { node: self.node, number, what, payload };
        if self.queue.try_send(message).is_err() {
            metrics::counter!("realtime_cluster_messages_dropped").increment(1);
        }
    }
}

/// Connects a hub to the others. Ends with `stop`.
pub(crate) async fn run(url: String, channel: String, hub: Arc<Hub>, stop: CancellationToken) {
    let client = match redis::Client::open(url) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "REDIS_URL cannot be used: this node stays alone");
            return;
        }
    };
    let (sender, queue) = mpsc::channel(WAITING);
    hub.connect(Link { node: hub.node(), number: AtomicU64::new(0), queue: sender });
    let node = Node { client, channel, hub };
    tokio::join!(node.speak(queue, &stop), node.listen(&stop), node.beat(&stop));
    node.farewell().await;
}

struct Node {
    client: redis::Client,
    channel: String,
    hub: Arc<Hub>,
}

/// What is known of another node.
struct Other {
    heard: Instant,
    next: u64,
}

impl Node {
    fn say(&self, what: What) {
        if let Some(link) = self.hub.link() {
            link.say(what, Bytes::new());
        }
    }

    /// Publishes what is queued.
    async fn speak(&self, mut queue: mpsc::Receiver<Message>, stop: &CancellationToken) {
        let mut connection: Option<ConnectionManager> = None;
        let mut batch = Vec::new();
        while let Some(1..) = stop.run_until_cancelled(queue.recv_many(&mut batch, BATCH)).await {
            let mut pipeline = redis::pipe();
            for message in batch.drain(..) {
                pipeline.publish(&self.channel, message.encode()).ignore();
            }
            if connection.is_none() {
                connection = self.connect().await;
            }
            let Some(open) = &mut connection else { continue };
            let sent = tokio::time::timeout(PATIENCE, pipeline.query_async::<()>(open)).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::warn!("messages to other nodes were lost: Redis does not answer");
                connection = None;
            }
        }
    }

    async fn connect(&self) -> Option<ConnectionManager> {
        match tokio::time::timeout(PATIENCE, self.client.get_connection_manager()).await {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot reach Redis");
                tokio::time::sleep(REST).await;
                None
            }
            Err(_) => None,
        }
    }

    /// Hears the others, and notices when one falls silent.
    async fn listen(&self, stop: &CancellationToken) {
        let mut others: HashMap<u64, Other> = HashMap::new();
        while !stop.is_cancelled() {
            let heard = stop.run_until_cancelled(self.hear(&mut others)).await;
            if let Some(Err(error)) = heard {
                tracing::warn!(%error, "lost the connection to Redis");
                self.bury(&mut others);
                stop.run_until_cancelled(tokio::time::sleep(REST)).await;
            }
        }
    }

    async fn hear(&self, others: &mut HashMap<u64, Other>) -> redis::RedisResult<()> {
        let mut subscription = self.client.get_async_pubsub().await?;
        subscription.subscribe(&self.channel).await?;
        // What was said meanwhile was missed.
        self.say(What::Hello);
        self.say(self.state());
        let mut messages = subscription.into_on_message();
        let mut check = tokio::time::interval(BEAT);
        // Our own voice must be heard too: a connection that is silent for longer is dead.
        let mut last = Instant::now();
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else {
                        return Err(redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)));
                    };
                    last = Instant::now();
                    if let Some(message) = Message::decode(message.get_payload_bytes().to_vec().into()) {
                        self.take(message, others);
                    }
                }
                _ = check.tick() => {
                    self.bury(others);
                    if last.elapsed() > LOST {
                        return Err(redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)));
                    }
                }
            }
        }
    }

    fn take(&self, message: Message, others: &mut HashMap<u64, Other>) {
        let Message { node, number, what, payload } = message;
        if node == self.hub.node() {
            return;
        }
        let known = others.get(&node).map(|other| other.next);
        if what == What::Bye {
            others.remove(&node);
            self.end_presences(|meta| meta.origin.node == node);
            return;
        }
        others.insert(node, Other { heard: Instant::now(), next: number + 1 });
        if known.is_some_and(|next| number > next) {
            // Something was lost between.
            self.say(What::Hello);
        }
        match what {
            What::Broadcast { topic, id, user } => {
                if let Some(body) = message::join(user, payload) {
                    self.hub.send_here(&topic.name, topic.private, body, id, None);
                }
            }
            What::Track { topic, meta } => {
                let topic = self.hub.topic_or_new(&topic.key());
                topic.receive(&self.hub, meta.meta(node));
            }
            What::Untrack { topic, channel } => {
                if let Some(topic) = self.hub.topic(&topic.name, topic.private) {
                    topic.untrack(&self.hub, &Origin { node, channel });
                    self.hub.forget_if_empty(&topic);
                }
            }
            What::Hello => self.say(self.state()),
            What::State { present } => self.replace(node, &present),
            What::Alive | What::Bye => {}
        }
    }

    /// All who are present with us.
    fn state(&self) -> What {
        let topics = self.hub.topics();
        let present = topics.iter().filter_map(|topic| {
            let metas = topic.metas_of(self.hub.node());
            (!metas.is_empty()).then(|| (Topic::from(&topic.key), metas.iter().map(Present::from).collect()))
        });
        What::State { present: present.collect() }
    }

    /// Another node told all who are present with it: nobody else is.
    fn replace(&self, node: u64, present: &[(Topic, Vec<Present>)]) {
        let listed: HashMap<TopicKey, Vec<u64>> = present
            .iter()
            .map(|(topic, metas)| (topic.key(), metas.iter().map(|meta| meta.channel).collect()))
            .collect();
        for topic in self.hub.topics() {
            let still = listed.get(&topic.key).map(Vec::as_slice).unwrap_or_default();
            topic.untrack_where(&self.hub, |meta| {
                meta.origin.node == node && !still.contains(&meta.origin.channel)
            });
            self.hub.forget_if_empty(&topic);
        }
        for (topic, metas) in present {
            let topic = self.hub.topic_or_new(&topic.key());
            for meta in metas {
                topic.receive(&self.hub, meta.meta(node));
            }
            self.hub.forget_if_empty(&topic);
        }
    }

    /// Ends the presences of nodes that fell silent.
    fn bury(&self, others: &mut HashMap<u64, Other>) {
        let mut dead = Vec::new();
        others.retain(|node, other| {
            let alive = other.heard.elapsed() <= LOST;
            if !alive {
                dead.push(*node);
            }
            alive
        });
        if !dead.is_empty() {
            tracing::warn!(count = dead.len(), "other nodes fell silent: their presences end");
            self.end_presences(|meta| dead.contains(&meta.origin.node));
        }
    }

    fn end_presences(&self, gone: impl Fn(&Meta) -> bool) {
        for topic in self.hub.topics() {
            topic.untrack_where(&self.hub, &gone);
            self.hub.forget_if_empty(&topic);
        }
    }

    async fn beat(&self, stop: &CancellationToken) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beats.tick()).await.is_some() {
            self.say(What::Alive);
        }
    }

    /// The others need not wait to find out.
    async fn farewell(&self) {
        let message =
            Message { node: self.hub.node(), number: u64::MAX, what: What::Bye, payload: Bytes::new() };
        let goodbye = async {
            let mut connection = self.client.get_multiplexed_async_connection().await?;
            redis::cmd("PUBLISH")
                .arg(&self.channel)
                .arg(message.encode())
                .query_async::<()>(&mut connection)
                .await
        };
        if !matches!(tokio::time::timeout(REST, goodbye).await, Ok(Ok(()))) {
            tracing::warn!("could not say goodbye to the other nodes");
        }
    }
}
