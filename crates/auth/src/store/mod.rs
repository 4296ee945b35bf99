//! The tables of schema `auth`, one file a table.
//!
//! Every function takes the connection it runs on, so that the caller decides about transactions.

pub(crate) mod amr;
pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod challenges;
pub(crate) mod client_states;
pub(crate) mod custom_providers;
pub(crate) mod factors;
pub(crate) mod flow_states;
pub(crate) mod identities;
pub(crate) mod oauth_authorizations;
pub(crate) mod oauth_clients;
pub(crate) mod one_time_tokens;
pub(crate) mod outbox;
pub(crate) mod passkeys;
pub(crate) mod refresh_tokens;
pub(crate) mod relay_states;
mod rows;
pub(crate) mod sessions;
pub(crate) mod sso_providers;
pub(crate) mod users;

/// Results of the database, not yet an answer to anybody.
pub(crate) type Result<T> = std::result::Result<T, database::Error>;
