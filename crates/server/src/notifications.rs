//! The one LISTEN connection of the process.

use std::future::Future;
use std::pin::Pin;

use database::{ConnectConfig, ListenEvent, Listener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens on a channel.
pub(crate) struct Subscription {
    /// The channel's name.
    pub(crate) channel: String,
    /// Told the payload; `None` after a reconnection, when notifications may have been missed.
    pub(crate) told: Told,
}

/// Is told a payload.
pub(crate) type Told = Box<dyn Fn(Option<&str>) + Send + Sync>;

/// Owns the connection and the task that reads it.
#[derive(Debug)]
pub(crate) struct Notifications {
    task: JoinHandle<()>,
    connected: watch::Receiver<bool>,
}

impl Notifications {
    /// Connects; from the return on no notification is missed.
    pub(crate) async fn start(
        config: ConnectConfig,
        subscriptions: Vec<Subscription>,
    ) -> Result<Self, database::Error> {
        let channels: Vec<&str> =
            subscriptions.iter().map(|subscription| subscription.channel.as_str()).collect();
        let mut listener = Listener::connect(config, &channels).await?;
        let connected = listener.connected();
        let task = tokio::spawn(async move {
            loop {
                let event = listener.recv().await;
                for subscription in &subscriptions {
                    match &event {
                        ListenEvent::Notification(notification)
                            if notification.channel == subscription.channel =>
                        {
                            (subscription.told)(Some(&notification.payload));
                        }
                        ListenEvent::Notification(_) => {}
                        ListenEvent::Reconnected => (subscription.told)(None),
                    }
                }
            }
        });
        Ok(Self { task, connected })
    }

    /// Whether there is a connection at the moment.
    pub(crate) fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stop that is run later.
pub(crate) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;
