//! Buckets and objects over HTTP, resumable uploads and S3.
//!
//! Three doors (REST in [`routes`], TUS, S3) lead to one set of operations, [`domain::Domain`]. An operation takes a
//! [`Context`] (who asks, and by which operation), asks PostgreSQL under the caller's role, and moves bytes to or from a
//! [`blob::Store`]. Metadata is the truth: an object exists when its row does, and its bytes are the blob that the row's
//! `version` names.
//!
//! An upload asks for permission and gives its connection back, streams into a blob that nobody can see, and becomes
//! visible by one commit. What a crash leaves behind is in the ledger of blobs, by which a sweeper removes it.
//!
//! Stable for the doors: [`blob`] (the store), [`domain`] (operations and their types), [`Context`], [`Error`],
//! [`Config`]. Everything else is private to this crate's REST door.

pub mod aws_chunked;
pub mod blob;
pub mod checksum;
pub mod config;
pub mod domain;
pub mod s3;
pub mod sigv4;

mod context;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http_parts;
mod outgoing;
mod render;
mod render_rate;
mod routes;
mod service;
mod sql;
mod sweeper;
mod tus;
mod webhook;

pub use config::{Config, ConfigError, Environment};
pub use context::{Caller, Context};
pub use error::{Code, Error, Result};
pub use service::Storage;
