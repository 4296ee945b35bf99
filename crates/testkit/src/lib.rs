//! Throw-away databases for tests.
//!
//! - Tier 1, [`database`]: one cluster a test process, started when the first test asks, and one database a test, copied from
//!   a bootstrapped template. Takes tens of milliseconds. Roles and server settings are shared by all tests of the process: do
//!   not change them.
//! - Tier 2, [`Cluster`]: a cluster of its own, for tests that alter roles or settings, or kill.
//!
//! Both run on the embedded engine and on Debian's PostgreSQL 15: [`servers`] names those that are installed. What is costly
//! (initdb, bootstrap) is done once and kept in the cache folder, by the digest of all bootstrap SQL.
//!
//! [`Redis`] is a Redis of one's own.
//!
//! Servers die with the test process however it ends. fsync is off. Everything here panics on failure: a test cannot go on.

mod cluster;
mod install;
mod pool;
mod process;
mod redis;
mod template;

pub use cluster::{Cluster, PASSWORD, SUPERUSER};
pub use install::{Server, servers};
pub use pool::{TestDatabase, database, database_on};
pub use redis::Redis;
