//! Several nodes of one installation, joined by Redis.
//!
//! Every node publishes on one channel what it sends and who is present with it, and hears what the others say. Nothing is
//! stored in Redis. A node that is not heard of for [`LOST`] is taken for dead, and its presences end; one that says goodbye
//! ends them at once. Whoever notices a gap in what another said asks for all of its presences anew.
//!
//! The database's changes travel on a channel of their own ([`crate::changes`]).

mod bus;
mod message;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hub::{Body, Hub, Meta, Origin, TopicKey};
use crate::service::Inner;
use bus::REST;
pub(crate) use bus::{Bus, ended, timed_out};
use message::{Message, Present, Topic, What};

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(2);
/// After how much silence a node is taken for dead.
const LOST: Duration = Duration::from_secs(10);
/// How many messages may wait to be published; more are dropped, as broadcasts promise nothing.
const WAITING: usize = 65_536;

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

    /// Tells the other nodes that the tenant's row has changed (`adopt`), or that all sockets are to begin anew.
    pub(crate) fn tenant(&self, adopt: bool, disconnect: bool) {
        self.say(What::Tenant { adopt, disconnect }, Bytes::new());
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
pub(crate) async fn run(bus: Bus, hub: Arc<Hub>, service: Weak<Inner>, stop: CancellationToken) {
    let (sender, queue) = mpsc::channel(WAITING);
    hub.connect(Link { node: hub.node(), number: AtomicU64::new(0), queue: sender });
    let node = Node { bus, hub, service };
    let speaking = node.bus.speak(queue, |message: Message| message.encode());
    let speaking = stop.run_until_cancelled(speaking);
    tokio::join!(speaking, node.listen(&stop), node.beat(&stop));
    node.farewell().await;
}

struct Node {
    bus: Bus,
    hub: Arc<Hub>,
    service: Weak<Inner>,
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
        let mut messages = self.bus.hear().await?;
        // What was said meanwhile was missed.
        self.say(What::Hello);
        self.say(self.state());
        let mut check = tokio::time::interval(BEAT);
        // Our own voice must be heard too: a connection that is silent for longer is dead.
        let mut last = Instant::now();
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return Err(ended()) };
                    last = Instant::now();
                    if let Some(message) = Message::decode(message) {
                        self.take(message, others);
                    }
                }
                _ = check.tick() => {
                    self.bury(others);
                    if last.elapsed() > LOST {
                        return Err(timed_out());
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
            What::Tenant { adopt, disconnect } => {
                if let Some(service) = self.service.upgrade() {
                    // The database is not waited for here.
                    let tasks = service.tasks.clone();
                    tasks.spawn(async move { service.follow(adopt, disconnect).await });
                }
            }
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
        if let Err(error) = self.bus.say(message.encode()).await {
            tracing::warn!(%error, "could not say goodbye to the other nodes");
        }
    }
}
