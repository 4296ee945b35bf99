//! A channel of Redis, on which nodes speak and listen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use redis::aio::ConnectionManager;
use tokio::sync::mpsc;

/// How long to wait before Redis is tried again.
pub(crate) const REST: Duration = Duration::from_secs(1);
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many messages are published at a time.
const BATCH: usize = 256;

/// One channel.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    client: redis::Client,
    channel: Arc<str>,
}

impl Bus {
    /// The channel on which the nodes of a tenant talk. `None`, with an error in the log, for an address that is none.
    pub(crate) fn open(url: &str, tenant: &str) -> Option<Self> {
        match redis::Client::open(url) {
            Ok(client) => Some(Self { client, channel: format!("monobase:realtime:{tenant}").into() }),
            Err(error) => {
                tracing::error!(%error, "REDIS_URL cannot be used: this node stays alone");
                None
            }
        }
    }

    /// Another channel of the same nodes.
    pub(crate) fn aside(&self, name: &str) -> Self {
        Self { client: self.client.clone(), channel: format!("{}:{name}", self.channel).into() }
    }

    /// Publishes what is queued until nothing more can come. What Redis does not take in time is lost.
    pub(crate) async fn speak<T>(&self, mut queue: mpsc::Receiver<T>, encode: impl Fn(T) -> Vec<u8>) {
        let mut connection: Option<ConnectionManager> = None;
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let mut pipeline = redis::pipe();
            for message in batch.drain(..) {
                pipeline.publish(&*self.channel, encode(message)).ignore();
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

    /// Publishes one message on a connection of its own.
    pub(crate) async fn say(&self, message: Vec<u8>) -> redis::RedisResult<()> {
        let saying = async {
            let mut connection = self.client.get_multiplexed_async_connection().await?;
            redis::cmd("PUBLISH").arg(&*self.channel).arg(message).query_async::<()>(&mut connection).await
        };
        tokio::time::timeout(REST, saying).await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// What is published from now on. Ends with the connection.
    pub(crate) async fn hear(&self) -> redis::RedisResult<impl Stream<Item = Bytes> + Send + Unpin + use<>> {
        let opening = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(&*self.channel).await?;
            Ok(subscription)
        };
        let opened = tokio::time::timeout(PATIENCE, opening).await;
        let subscription = opened.unwrap_or_else(|_| Err(timed_out()))?;
        Ok(Box::pin(
            subscription.into_on_message().map(|message| message.get_payload_bytes().to_vec().into()),
        ))
    }
}

/// The connection to Redis has fallen silent.
pub(crate) fn timed_out() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// The connection to Redis has ended.
pub(crate) fn ended() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()
}
