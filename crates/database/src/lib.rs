//! Access to PostgreSQL: one physical [`Connection`], a [`Pool`] of them, and the request transaction.
//!
//! The client speaks the wire protocol itself, on the codecs of `postgres-protocol` and the value types of
//! `postgres-types`. What the generic clients do not offer is the reason why it exists: parameters as text of
//! unknown type, a whole transaction in one round trip, rows whose large values are read piecewise, and
//! prepared statements that are kept apart by role, because plans under row level security depend on it.
//!
//! A [`Connection`] owns its socket; there is no task behind it. A future that is dropped half way leaves the
//! connection marked, and the pool drains or closes it before anyone else gets it.

mod batch;
mod cache;
mod cancel;
mod config;
mod connection;
mod decode;
mod der;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod ident;
mod listen;
pub mod migrate;
mod pace;
mod pipeline;
mod pool;
mod pooler;
pub mod replication;
mod request;
mod result;
mod socket;
mod startup;
mod statement;
mod stream;
mod tls;
mod transaction;
mod typed;
mod wire;

pub use bytes::Bytes;
pub use cache::Description;
pub use cancel::CancelToken;
pub use config::{
    ChannelBinding, ConfigError, ConnectConfig, Host, LoadBalance, SslMode, SslNegotiation, SslRoots,
    TargetSession,
};
pub use connection::{Connection, NoticeHook, TransactionStatus};
pub use error::{DbError, Error, Severity, SqlState};
pub use listen::{Event as ListenEvent, Listener, Notification};
pub use pipeline::PipelinedRequest;
pub use pool::{
    Pool, PoolConfig, PoolStatus, PooledConnection, Pooler, PreparedStatements, SessionReset, this_thread,
};
pub use postgres_types as types;
pub use postgres_types::{FromSql, ToSql, Type};
pub use request::{Access, End, Isolation, RequestContext, RequestTransaction};
pub use result::{Column, CommandTag, ResultSet, Row};
pub use statement::{Format, Param, Statement};
pub use stream::{RowStream, StreamEvent};
pub use transaction::{Transaction, TransactionOptions};
pub use typed::{Execution, RowIndex, TypedRow};
