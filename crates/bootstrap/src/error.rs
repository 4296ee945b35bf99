//! Why a database could not be bootstrapped.

/// A failure of [`apply`](crate::apply), [`adopt`](crate::adopt) or [`check`](crate::check). Whatever was committed before it
/// stays and is not repeated by the next run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Connecting, or a query of our own, failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// PostgreSQL before 15.
    #[error("PostgreSQL {found} is too old: 15 or newer is needed")]
    ServerTooOld {
        /// Its version.
        found: String,
    },
    /// The connection's role cannot do it.
    #[error("role {user} cannot bootstrap this database: {}", missing.join("; "))]
    NotSuperuser {
        /// Who connected.
        user: String,
        /// What is missing, one sentence each.
        missing: Vec<String>,
    },
    /// Required extensions are not installed on the server.
    #[error("the server does not offer the extensions {}: install its contrib package", names.join(", "))]
    MissingExtensions {
        /// Their names.
        names: Vec<String>,
    },
    /// Something of the user's has a name that we need.
    #[error("this database is not empty where a Supabase database needs room: {}", conflicts.join("; "))]
    InTheWay {
        /// What, and what to do about it.
        conflicts: Vec<String>,
    },
    /// A ledger holds versions that this program does not know.
    #[error(
        "the {ledger} migrations of this database are newer than this program: unknown {}; use a newer program",
        versions.join(", ")
    )]
    UnknownVersions {
        /// `core`, `auth`, `storage` or `realtime`.
        ledger: String,
        /// The versions that are unknown.
        versions: Vec<String>,
    },
    /// The layout of `_monobase` is newer than this program.
    #[error("this database belongs to monobase {version}, which is newer than this program")]
    Newer {
        /// The version that wrote it.
        version: String,
    },
    /// [`adopt`](crate::adopt) was called on a database that is ours, or on a plain one.
    #[error("there is nothing to adopt: {0}")]
    NothingToAdopt(&'static str),
    /// Another node has been at work for minutes.
    #[error("another node is still migrating this database: wait for it, or end its session")]
    Busy,
    /// A step failed; its transaction was rolled back.
    #[error("step {step} failed: {source}")]
    Step {
        /// `core/010 roles` or `auth/20210710035447 alter_users`.
        step: String,
        /// Why.
        #[source]
        source: database::Error,
    },
    /// The server answered a query of ours in a form that cannot be.
    #[error("unexpected answer to {0}")]
    UnexpectedAnswer(&'static str),
    /// A password that cannot be turned into a verifier.
    #[error("the password of role {role} cannot be used: {reason}")]
    Password {
        /// The role.
        role: String,
        /// Why.
        reason: &'static str,
    },
}
