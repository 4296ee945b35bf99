//! The service over real sockets, on a real database.
#![allow(clippy::unwrap_used, missing_docs)]

mod broadcasting;
mod channels;
mod client;
mod connecting;
mod encrypted;
mod expiry;
mod killed;
mod limits;
mod nodes;
mod presence;
mod private;
mod service;
mod tenants;
mod unprivileged;
