//! Tables and functions as an HTTP API, compatible with PostgREST 13.0.7.
//!
//! A request goes one way: [`parse`] turns URL, headers and body into a request tree; `plan` resolves its names against the
//! [`catalog`]; `sql` turns the plan into one statement; `execute` runs it in one transaction under the client's role;
//! `respond` shapes the answer. Everything but `execute` is a pure function. The database builds the JSON, the bytes are
//! passed through.

mod admin;
pub mod catalog;
pub mod claim_path;
pub mod config;
mod cors;
pub mod dump;
pub mod error;
pub mod execute;
mod fuzzy;
mod handler;
mod identity;
mod openapi;
pub mod parse;
pub mod plan;
mod respond;
mod service;
pub mod sql;
mod sqlstate;
mod timing;

pub use admin::{Entrance, Surroundings};
pub use config::{Config, ConfigError, LogLevel};
pub use error::Error;
pub use handler::{Role, Unlogged};
pub use service::Rest;
