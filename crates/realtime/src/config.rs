//! What the service can be told.

use std::time::Duration;

use serde_json::{Map, Value};

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The one tenant's name, in tenant APIs and metrics.
    pub tenant: String,
    /// What clients may use.
    pub limits: Limits,
    /// What one socket may leave unread.
    pub queue: QueueLimits,
    /// Only private channels may be joined.
    pub private_only: bool,
    /// Claims that every token must have, with these values (`JWT_CLAIM_VALIDATORS`).
    pub claim_validators: Map<String, Value>,
    /// The longest header value, in bytes (`MAX_HEADER_LENGTH`).
    pub max_header_length: usize,
    /// Sockets at a time (`MAX_CONNECTIONS`).
    pub max_connections: usize,
    /// A socket that sent nothing for so long is closed.
    pub idle_timeout: Duration,
    /// A socket that has left its last channel is closed after this (`NO_CHANNEL_TIMEOUT_IN_MS`).
    pub no_channel_timeout: Duration,
    /// How long the evaluation of policies may take.
    pub authorization_timeout: Duration,
    /// Added to the names of replication slots (`SLOT_NAME_SUFFIX`).
    pub slot_suffix: String,
    /// The publication whose tables can be subscribed to.
    pub publication: String,
    /// Whether old messages are removed (`RUN_JANITOR`).
    pub janitor: bool,
    /// Shared by the nodes of an installation (`REDIS_URL`).
    pub redis_url: Option<String>,
    /// Told by the health API (`REGION`).
    pub region: String,
    /// The entry of the header `baggage` that names a request (`REQUEST_ID_BAGGAGE_KEY`).
    pub request_id_key: String,
}

/// What clients may use. Rates are averages over a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sockets with a channel (`TENANT_MAX_CONCURRENT_USERS`).
    pub max_concurrent_users: usize,
    /// Channels a socket (`TENANT_MAX_CHANNELS_PER_CLIENT`).
    pub max_channels_per_client: usize,
    /// Messages taken and delivered a second (`TENANT_MAX_EVENTS_PER_SECOND`).
    pub max_events_per_second: u64,
    /// Joins a second (`TENANT_MAX_JOINS_PER_SECOND`).
    pub max_joins_per_second: u64,
    /// Presence messages a second (`TENANT_MAX_PRESENCE_EVENTS_PER_SECOND`).
    pub max_presence_events_per_second: u64,
    /// The longest message of a client, in bytes.
    pub max_message_size: usize,
    /// The longest request body of the broadcast endpoints, in bytes.
    pub max_body_size: usize,
    /// The longest payload of one broadcast by the endpoint of one event, in thousands of bytes.
    pub max_payload_size_in_kb: usize,
}

/// What one socket may leave unread before it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant: "realtime-dev".to_owned(),
            limits: Limits::default(),
            queue: QueueLimits { messages: 8192, bytes: 32 << 20 },
            private_only: false,
            claim_validators: Map::new(),
            max_header_length: 4096,
            max_connections: 65_536,
            idle_timeout: Duration::from_secs(60),
            no_channel_timeout: Duration::from_secs(600),
            authorization_timeout: Duration::from_secs(5),
            slot_suffix: String::new(),
            publication: "supabase_realtime".to_owned(),
            janitor: true,
            redis_url: None,
            region: "us-east-1".to_owned(),
            request_id_key: "request-id".to_owned(),
        }
    }
}

impl Default for Limits {
    /// Far above the original's (200 users, 100 events and joins a second), which are a hosted plan's.
    fn default() -> Self {
        Self {
            max_concurrent_users: 100_000,
            max_channels_per_client: 100,
            max_events_per_second: 1_000_000,
            max_joins_per_second: 10_000,
            max_presence_events_per_second: 10_000,
            max_message_size: 8_000_000,
            max_body_size: 8_000_000,
            max_payload_size_in_kb: 3000,
        }
    }
}
