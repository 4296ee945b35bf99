//! Logical replication: a slot, and the stream of changes that comes out of it.
//!
//! A [`ReplicationConnection`] speaks the replication commands (and plain SQL). [`ReplicationConnection::start`] turns
//! it into a [`ReplicationStream`], which yields what the output plugin writes; [`pgoutput`] reads that of PostgreSQL's
//! own plugin. Needs a login with the REPLICATION attribute, `wal_level = logical`, and no pooler in between.

mod lsn;
pub mod pgoutput;
mod stream;

use crate::config::ConnectConfig;
use crate::connection::Connection;
use crate::error::Error;
use crate::ident::{quote_ident, quote_literal};
use crate::result::ResultSet;

pub use lsn::{Lsn, ParseLsnError};
pub use stream::{POSTGRES_EPOCH_MICROS, ReplicationEvent, ReplicationStream};

/// A connection to a server's WAL sender for one database.
pub struct ReplicationConnection {
    connection: Connection,
}

/// What `IDENTIFY_SYSTEM` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemIdentity {
    /// Identifies the cluster: the same on its standbys, another one after a new `initdb`.
    pub system_id: String,
    /// The current timeline.
    pub timeline: u32,
    /// How far the write-ahead log has been flushed.
    pub flushed: Lsn,
}

/// What becomes of the snapshot that a new slot could export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotSnapshot {
    /// None is kept.
    Nothing,
    /// It is exported: another session may import it until this connection does something else.
    Export,
    /// The transaction that is open on this connection uses it.
    Use,
}

/// A slot that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationSlot {
    /// Its name.
    pub name: String,
    /// Transactions that commit after this point come out of it.
    pub consistent_point: Lsn,
    /// The exported snapshot's name, with [`SlotSnapshot::Export`].
    pub snapshot: Option<String>,
}

impl ReplicationConnection {
    /// Connects to the WAL sender of the configuration's database.
    pub async fn connect(config: &ConnectConfig) -> Result<Self, Error> {
        let config = config.clone().with_setting("replication", "database");
        Ok(ReplicationConnection { connection: Connection::connect(&config).await? })
    }

    /// Runs SQL with the simple protocol, the only one that a WAL sender takes.
    pub async fn simple_query(&mut self, sql: &str) -> Result<Vec<ResultSet>, Error> {
        self.connection.simple_query(sql).await
    }

    /// Which server this is and where its log stands.
    pub async fn identify_system(&mut self) -> Result<SystemIdentity, Error> {
        let results = self.connection.simple_query("IDENTIFY_SYSTEM").await?;
        let row = results.first().and_then(|result| result.rows.first());
        row.and_then(|row| {
            Some(SystemIdentity {
                system_id: row.text(0)?.to_owned(),
                timeline: row.text(1)?.parse().ok()?,
                flushed: row.text(2)?.parse().ok()?,
            })
        })
        .ok_or_else(|| Error::Protocol("malformed answer to IDENTIFY_SYSTEM".into()))
    }

    /// Makes a logical slot that goes with this connection.
    ///
    /// The server first waits for the transactions that are under way to end, for as long as that takes.
    pub async fn create_temporary_slot(
        &mut self,
        name: &str,
        plugin: &str,
        snapshot: SlotSnapshot,
    ) -> Result<ReplicationSlot, Error> {
        let snapshot = match snapshot {
            SlotSnapshot::Nothing => "nothing",
            SlotSnapshot::Export => "export",
            SlotSnapshot::Use => "use",
        };
        let command = format!(
            "CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL {} (SNAPSHOT '{snapshot}')",
            quote_ident(name),
            quote_ident(plugin),
        );
        let results = self.connection.simple_query(&command).await?;
        let row = results.first().and_then(|result| result.rows.first());
        row.and_then(|row| {
            Some(ReplicationSlot {
                name: row.text(0)?.to_owned(),
                consistent_point: row.text(1)?.parse().ok()?,
                snapshot: row.text(2).map(str::to_owned),
            })
        })
        .ok_or_else(|| Error::Protocol("malformed answer to CREATE_REPLICATION_SLOT".into()))
    }

    /// Starts streaming a logical slot from `start` (the slot's own position when that is later), with options of its
    /// output plugin.
    pub async fn start(
        mut self,
        slot: &str,
        start: Lsn,
        options: &[(&str, &str)],
    ) -> Result<ReplicationStream, Error> {
        let options: Vec<String> = options
            .iter()
            .map(|(name, value)| format!("{} {}", quote_ident(name), quote_literal(value).trim_start()))
            .collect();
        let mut command = format!("START_REPLICATION SLOT {} LOGICAL {start}", quote_ident(slot));
        if !options.is_empty() {
            command.push_str(&format!(" ({})", options.join(", ")));
        }
        self.connection.start_copy_both(&command).await?;
        Ok(ReplicationStream::new(self.connection, start))
    }

    /// Process id of the WAL sender.
    pub fn process_id(&self) -> i32 {
        self.connection.process_id()
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.connection.is_encrypted()
    }

    /// The server's version as a number: 180004 for 18.4.
    pub fn server_version(&self) -> u32 {
        self.connection.server_version()
    }
}
