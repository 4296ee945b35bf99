//! Notifications, over a connection of their own that comes back by itself.
use crate::config::ConnectConfig;
use crate::error::Error;

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

/// Listens on channels; reconnects by itself.
pub struct Listener {}

impl Listener {
    /// Connects and listens. Fails when the first connection cannot be made.
    pub async fn connect(config: ConnectConfig, channels: &[&str]) -> Result<Self, Error> {
        let _ = (config, channels);
        todo!()
    }
    /// Waits for the next event. Lost connections are made anew, with growing pauses, for as long as it takes.
    ///
    /// Safe to drop and call again.
    pub async fn recv(&mut self) -> Event {
        todo!()
    }
}
