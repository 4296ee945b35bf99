//! A private PostgreSQL: found or unpacked, created, tuned, supervised and stopped.
//!
//! [`Engine`] is the installed software, the same for all clusters of a machine. [`Cluster`] is one running server
//! over one data folder. PostgreSQL runs as a child that cannot outlive this process, never as root, reachable over a
//! socket that only its owner may open and, when asked for, over TCP with TLS.
//!
//! ```no_run
//! # async fn example() -> Result<(), embedded_postgres::Error> {
//! use embedded_postgres::{Cluster, Engine, EngineSource, Options};
//!
//! let engine = Engine::locate(EngineSource::Auto)?;
//! let cluster = Cluster::start(&engine, Options::new(".monobase/postgres")).await?;
//! let superuser = cluster.connect_config("supabase_admin");
//! // …
//! cluster.stop().await;
//! # Ok(()) }
//! ```
//!
//! The folder of a cluster:
//!
//! ```text
//! lock                 held (flock) by the process that runs the cluster
//! format               version of this layout; a newer one is refused
//! superuser.password   of `supabase_admin`, made here, readable by our user alone
//! data/                PostgreSQL's own data directory; appears by one rename, complete
//! data.incomplete/     a first start that was interrupted; made again by the next
//! run/                 the socket
//! ```
//!
//! Deliberately absent: anything that deletes a complete data directory, and `pg_ctl`.

mod archive;
mod cache;
mod cluster;
mod create;
mod engine;
mod error;
mod identity;
mod launch;
mod leftover;
pub mod licenses;
mod log;
mod options;
pub mod payload;
mod pins;
mod port;
mod process;
mod settings;
mod socket;
mod supervisor;
pub mod template;
mod tls;
mod tree;

pub use cache::folder as cache_folder;
pub use cluster::Cluster;
pub use engine::{Engine, EngineSource};
pub use error::Error;
pub use options::{Options, Seed};
pub use supervisor::State;

/// The bootstrap superuser of every cluster, named as Supabase's images name it: owner checks in the field test for
/// exactly this name.
pub const SUPERUSER: &str = "supabase_admin";
