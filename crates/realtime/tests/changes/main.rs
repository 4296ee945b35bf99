//! Changes of the database, from a statement to a socket.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod broadcasts;
mod filters;
mod payloads;
mod policies;
mod service;
mod subscribing;
mod unprivileged;
