//! Turns a plain PostgreSQL (15 or newer) into a Supabase database, and keeps it one.
//!
//! All schema SQL of the product lives here, as files below `sql/`; no service creates tables. [`apply`] serves a first start,
//! every later start, the template data directory of a release and the tests alike:
//!
//! - our own steps (`sql/core`), one transaction each, recorded in `_monobase.migrations`;
//! - the services' migrations (`sql/auth`, `sql/storage`, `sql/realtime`), run as the services' own roles and recorded in the
//!   ledgers that the original programs read ([`ledgers`]);
//! - passwords and database settings, compared at every start and written only when they differ.
//!
//! The row in `_monobase.install` holds a fingerprint of all of it: a start on a database that is up to date reads one row.

mod apply;
mod check;
mod error;
mod extensions;
pub mod ledgers;
mod options;
mod passwords;
mod probe;
mod report;
mod services;
mod session;
mod state;
mod steps;

pub use apply::{adopt, apply, migrate};
pub use check::check;
pub use error::Error;
pub use extensions::{OLDEST_WITH_CONTROL_PATH, install_extensions};
pub use options::{Class, LOGIN_ROLES, Options, Passwords, Services};
pub use report::{Difference, Outcome, Report};
pub use state::schema_digest;

/// Makes the partitions of `realtime.messages` for the days to come and the publication through which they are read. Run by
/// the realtime service, again and again; needs the owner of both or a superuser.
pub const REALTIME_UPKEEP: &str = include_str!("../sql/realtime/upkeep.sql");

/// Drops the partitions of `realtime.messages` that are older than three days. Run by the realtime service.
pub const REALTIME_EXPIRY: &str = include_str!("../sql/realtime/expiry.sql");
