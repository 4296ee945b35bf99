//! The composition root: starts the services in order, joins them behind the front door, and stops them in reverse.
//!
//! [`start`] brings up the whole: the database first (embedded or outside), then its schemas and the project's
//! migrations, then the services, each a router in this process. The front door listens from the first moment on and
//! lets requests wait for what is still starting. [`serve`] runs one service alone, as the original program would be
//! run. Everything that runs is owned by the [`Running`] that both return.
//!
//! Only this crate knows every service and the configuration: a service's own settings are made here ([`settings`]).

pub mod control;

mod access_log;
mod adopt;
mod error;
mod first_start;
mod format;
mod health;
mod info;
mod listen;
mod mailbox;
mod notifications;
mod options;
mod outgoing;
mod postgres;
mod reload;
mod roles;
mod running;
mod seeded_buckets;
mod serve;
pub mod settings;
mod signals;
mod start;
mod third_party;

pub use adopt::adopt;
pub use error::Error;
pub use gateway::workers::start as start_workers;
pub use info::Info;
pub use options::{Progress, StartOptions, Step};
pub use running::{Addresses, Running};
pub use serve::{Dump, ServeOptions, dump, ready, serve};
pub use start::start;
