//! The front door: one address for all services, with Kong 2.8.1's behaviour as the self-hosted stack configures it.
//!
//! A request passes `path` (canonical spelling) → `routes` (which service) → `cors` (preflights end here) → `identity`
//! (API key, and the token it stands for) → `forward` (headers that only the door may write) → the service, which is
//! an `axum::Router` in the same process at its own root path. On the way back the door adds its headers and keeps the
//! books (`observe`). `listener` and `connection` own the sockets and their limits; they also serve a single router
//! without any door (`Alone`).

mod alone;
mod body;
mod config;
mod connection;
mod cors;
mod door;
mod error;
mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod identity;
mod journal;
mod listener;
mod observe;
mod path;
mod query;
mod routes;
pub mod workers;

pub use alone::{Alone, Uncounted};
pub use body::{Cut, Meter, Outbound};
pub use config::{Config, Limits, Trusted};
pub use door::{Exchange, Gateway, Mount, Surroundings, Upstream};
pub use forward::Peer;
pub use health::{Health, Report, State};
pub use identity::{Consumer, Roles};
pub use listener::{Accept, Handler, serve};
pub use routes::Service;
