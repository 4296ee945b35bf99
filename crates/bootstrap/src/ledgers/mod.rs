//! The migration ledgers of the services whose tables we create: which versions exist, in which order, and how each
//! service records that one was applied.
//!
//! Other programs read these ledgers (a restored dump, an original service run beside us), so versions, names, hashes
//! and the shape of the ledger tables are the originals'; the SQL is ours.

pub mod auth;
pub mod realtime;
pub mod storage;

/// One migration of a service.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// What the ledger stores and what is compared: GoTrue's timestamp, Storage's numeric id, Realtime's timestamp.
    pub version: &'static str,
    /// The upstream name, for ledgers that store it and for our messages.
    pub name: &'static str,
    /// The upstream content hash, for ledgers that store it (Storage); empty elsewhere.
    pub hash: &'static str,
    /// Our SQL; empty where the upstream migration is part of the next one that has some.
    pub sql: &'static str,
}

/// A service's ledger and its migrations, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    /// The service, as in messages: `auth`, `storage`, `realtime`, `_realtime`.
    pub service: &'static str,
    /// The role that runs the migrations and therefore owns what they create.
    pub role: &'static str,
    /// `search_path` while they run (the role's own setting, which does not apply to a changed session role).
    pub search_path: &'static str,
    /// Creates the ledger table when it is missing; runs as `role`.
    pub create: &'static str,
    /// Returns one text column: the versions recorded so far.
    pub applied: &'static str,
    /// Renders the statement that records one migration as applied.
    pub record: fn(&Migration) -> String,
    /// The migrations, in the order in which they are applied.
    pub migrations: &'static [Migration],
    /// Versions that a newer original may have recorded and that change nothing for us: known, and left to it.
    pub left_out: &'static [&'static str],
}

/// Every ledger, in the order in which the services depend on each other.
pub const ALL: [&Ledger; 5] =
    [&auth::LEDGER, &storage::LEDGER, &storage::BLOBS, &realtime::LEDGER, &realtime::CONTROL_PLANE];
