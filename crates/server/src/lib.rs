//! The composition root: starts the services in order, joins them behind the front door, and stops them in reverse.

pub mod control;
mod error;
mod info;
mod options;
mod running;

pub use error::Error;
pub use info::Info;
pub use options::{Progress, ServeOptions, StartOptions, Step};
pub use running::{Address, Addresses, Running, serve, start};
