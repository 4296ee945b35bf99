//! The service over real HTTP on a real database.

#![allow(clippy::unwrap_used)]

mod accounts;
mod administration;
mod edges;
mod failing_triggers;
mod links;
mod passwords;
mod refreshing;
mod service;
mod signing_out;
mod signing_up;
