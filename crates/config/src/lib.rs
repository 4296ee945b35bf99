//! Configuration: `supabase/config.toml`, `.env` files, the environment and flags become one
//! [`Config`], each value with its [`Origin`].
//!
//! Later sources win: defaults, the file, `.env` files, the environment, flags. Within the
//! environment a `SUPABASE_<SECTION>_<KEY>` name wins over a service's own, and that over a generic
//! one. Two rules stand above: in development the environment never chooses where data lives
//! ([`DatabaseLocation`]), and published secrets protect nothing that others can reach
//! ([`Config::check_start`]).
//!
//! Services do not know this crate. `server` maps a `Config` to theirs.

mod aliases;
mod dotenv;
mod environment;
mod error;
pub mod file;
mod keys;
mod load;
mod location;
mod origin;
mod paths;
mod reader;
#[cfg(test)]
mod reference;
mod secret;
mod services;
mod show;
#[cfg(test)]
mod tests;
mod units;

pub use environment::{Environment, VariableSource};
pub use error::{ConfigError, Location, Notice};
pub use keys::{Keys, S3Keys};
pub use load::{Config, Flags, Listen};
pub use location::DatabaseLocation;
pub use origin::{Entry, Origin};
pub use paths::Paths;
pub use reader::{Foreign, Named};
pub use secret::Secret;
pub use services::Service;
pub use units::{ByteSize, GoDuration, NotADuration, NotASize};
