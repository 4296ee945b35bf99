//! The services' own settings, made from the one configuration.
//!
//! Each service reads its original's environment names, so the configuration is written down as such names: the
//! process's own come first, as a base for what `config.toml` has no key for, and the resolved configuration is laid
//! over them. That is what the CLI does for its containers, too.

pub mod auth;
mod auth_factors;
mod auth_federation;
mod auth_sending;
pub mod gateway;
pub mod realtime;
pub mod rest;
pub mod storage;
