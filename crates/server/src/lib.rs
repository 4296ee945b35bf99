//! The composition root: starts the services in order, joins them behind the front door, and stops them in reverse.

mod error;
mod options;
mod running;

pub use error::Error;
pub use options::{Component, Progress, ServeOptions, StartOptions, Step};
pub use running::{Address, Addresses, Running, serve, start};
