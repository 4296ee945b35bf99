//! Websocket channels: broadcast, presence and database changes.
//!
//! A socket ([`socket`]) is one task. It reads messages in either of Phoenix's serializer versions ([`protocol`]) and keeps
//! the channels that were joined through it. What reaches several sockets goes through the [`hub`]: it knows the members of
//! each topic, renders a message once for each version, and puts the same bytes into each member's bounded queue. Nobody
//! ever waits for a slow reader.
//!
//! Broadcast and presence never touch the database, unless a channel is private: then the policies on
//! `realtime.messages` decide ([`authorization`]), under the client's own claims. [`changes`] reads the database's log of
//! changes for all subscriptions at once.

mod authorization;
pub mod changes;
mod claims;
mod cluster;
mod config;
mod environment;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod http;
pub mod hub;
mod protocol;
mod replay;
mod service;
mod socket;
mod tenant;

pub use config::{Config, Limits, QueueLimits};
pub use environment::{Environment, EnvironmentError};
pub use hub::{DatabaseBroadcast, DatabasePayload};
pub use protocol::Status;
pub use service::{Realtime, SeedError, Surroundings};
