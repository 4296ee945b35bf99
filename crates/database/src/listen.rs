//! Notifications, over a connection of their own that comes back by itself.

use std::time::Duration;

use tokio::sync::watch;

use crate::config::ConnectConfig;
use crate::connection::Connection;
use crate::error::Error;
use crate::ident::quote_ident;
use crate::pool::Pooler;

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Process id of the sender's session.
    pub process_id: i32,
    /// The channel.
    pub channel: String,
    /// The payload, often empty.
    pub payload: String,
}

/// What a [`Listener`] has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A notification.
    Notification(Notification),
    /// The connection was lost and is back: notifications may have been missed.
    Reconnected,
}

/// Pauses between attempts to reconnect: this, doubled each time, up to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long the connection may be silent before it is asked whether it still lives. A firewall that forgets an idle
/// connection tells neither side.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Listens on channels; reconnects by itself.
pub struct Listener {
    config: ConnectConfig,
    channels: Vec<String>,
    connection: Option<Connection>,
    pause: Duration,
    connected: watch::Sender<bool>,
}

impl Listener {
    /// Connects and listens. Fails when the first connection cannot be made, and with [`Error::Pooler`] when it goes
    /// through a transaction pooler, where notifications would never arrive.
    pub async fn connect(config: ConnectConfig, channels: &[&str]) -> Result<Self, Error> {
        let channels: Vec<String> = channels.iter().map(|channel| (*channel).to_owned()).collect();
        let connection = listen(&config, &channels).await?;
        Ok(Listener {
            config,
            channels,
            connection: Some(connection),
            pause: FIRST_PAUSE,
            connected: watch::Sender::new(true),
        })
    }

    /// Whether there is a connection at the moment.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// Waits for the next event. Lost connections are made anew, with growing pauses, for as long as it takes.
    ///
    /// Safe to drop and call again.
    pub async fn recv(&mut self) -> Event {
        loop {
            let Some(connection) = &mut self.connection else {
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                match listen(&self.config, &self.channels).await {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        self.pause = FIRST_PAUSE;
                        self.connected.send_replace(true);
                        return Event::Reconnected;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot listen for notifications yet");
                        continue;
                    }
                }
            };
            let lost = match tokio::time::timeout(PROBE_AFTER, connection.notification()).await {
                Ok(Ok(notification)) => return Event::Notification(notification),
                Ok(Err(error)) => error,
                Err(_) => match tokio::time::timeout(PROBE_LIMIT, connection.simple_query("")).await {
                    Ok(Ok(_)) => continue,
                    Ok(Err(error)) => error,
                    Err(_) => Error::Timeout {
                        what: "asking an idle connection for a sign of life",
                        limit: PROBE_LIMIT,
                    },
                },
            };
            tracing::warn!(error = %lost, "lost the connection that listens for notifications");
            self.connection = None;
            self.connected.send_replace(false);
        }
    }
}

async fn listen(config: &ConnectConfig, channels: &[String]) -> Result<Connection, Error> {
    let mut connection = Connection::connect(config).await?;
    if connection.pooler().await? == Pooler::Transaction {
        return Err(Error::Pooler { what: "listening for notifications" });
    }
    let statements: String =
        channels.iter().map(|channel| format!("listen {};", quote_ident(channel))).collect();
    connection.simple_query(&statements).await?;
    Ok(connection)
}
