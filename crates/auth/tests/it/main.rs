//! The service over real HTTP on a real database.

#![allow(clippy::unwrap_used)]

mod accounts;
mod administration;
mod authenticator;
mod edges;
mod factors;
mod failing_triggers;
mod links;
mod oauth_server;
mod passkeys;
mod passwords;
mod provider;
mod providers;
mod refreshing;
mod service;
mod signing_out;
mod signing_up;
mod totp;
mod wallets;
