//! What can go wrong, each with what to do about it.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Why an engine could not be found or a cluster could not be started. [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither appended to this executable nor in the cache.
    #[error("the PostgreSQL engine was not found in {}", .0.display())]
    NoEngine(PathBuf),
    /// The payload of this executable is damaged.
    #[error("the engine inside of this executable is damaged: {0}")]
    DamagedPayload(String),
    /// Something in the cache belongs to somebody else, who could change what we run.
    #[error("{} is owned or writable by another user", .0.display())]
    UntrustedFolder(PathBuf),
    /// The engine is on a file system that refuses to run programs.
    #[error("programs in {} may not be run", .0.display())]
    NotExecutable(PathBuf),
    /// Another process runs a cluster over this data folder.
    #[error("the data folder {} is in use{}", folder.display(), holder(*process))]
    Locked {
        /// The data folder.
        folder: PathBuf,
        /// Who holds the lock, when it said so.
        process: Option<u32>,
    },
    /// A PostgreSQL of an earlier run still works on the data and did not end when asked to.
    #[error("process {process}, a PostgreSQL of an earlier run, still uses {}", folder.display())]
    StillRunning {
        /// The data folder.
        folder: PathBuf,
        /// The process.
        process: u32,
    },
    /// The data was written by another major version of PostgreSQL.
    #[error("the data in {} is of PostgreSQL {found}, this engine is PostgreSQL {engine}", folder.display())]
    OtherMajor {
        /// The data folder.
        folder: PathBuf,
        /// What `PG_VERSION` says.
        found: String,
        /// The engine's major version.
        engine: String,
    },
    /// The folder was written by a newer monobase.
    #[error("the data folder {} has format {found}, this version knows formats up to {known}", folder.display())]
    NewerFormat {
        /// The data folder.
        folder: PathBuf,
        /// What the stamp says.
        found: String,
        /// The newest format known here.
        known: u32,
    },
    /// A plain PostgreSQL data directory where a cluster folder was expected.
    #[error("{} is a PostgreSQL data directory that monobase did not make", .0.display())]
    BareDataDirectory(PathBuf),
    /// Parts of the data directory are missing.
    #[error("the data in {} is incomplete: {missing} is missing", folder.display())]
    Incomplete {
        /// The data folder.
        folder: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// The TCP port is taken.
    #[error("{address} is already in use{}", by(owner.as_deref()))]
    PortTaken {
        /// The address that was asked for.
        address: SocketAddr,
        /// The process that listens there, when it can be seen.
        owner: Option<String>,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No space left.
    #[error("no space is left in {}", .0.display())]
    DiskFull(PathBuf),
    /// The data belongs to a user that we are not and cannot become.
    #[error("{} belongs to user {owner}, this process runs as user {ours}", folder.display())]
    OtherOwner {
        /// The data folder.
        folder: PathBuf,
        /// Who owns the data.
        owner: u32,
        /// Who we are.
        ours: u32,
    },
    /// The wanted user does not exist, or we may not become it.
    #[error("PostgreSQL cannot run as {user}: {reason}")]
    User {
        /// The user asked for.
        user: String,
        /// Why not.
        reason: String,
    },
    /// A setting that cannot be written to a configuration file.
    #[error("the setting {name} is not valid: {reason}")]
    Setting {
        /// Its name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// `initdb` or another tool failed.
    #[error("{tool} failed: {output}")]
    Tool {
        /// The program.
        tool: &'static str,
        /// What it wrote.
        output: String,
    },
    /// PostgreSQL ended while it started.
    #[error("PostgreSQL did not start: {0}")]
    StartFailed(String),
    /// The self-signed certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// A file could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as in `cannot read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn holder(process: Option<u32>) -> String {
    process.map(|id| format!(" by process {id}")).unwrap_or_default()
}

fn by(owner: Option<&str>) -> String {
    owner.map(|owner| format!(" by {owner}")).unwrap_or_default()
}

impl Error {
    /// What a person can do about it, one line.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NoEngine(_) => "assemble it with `make engine`, or name its folder in MONOBASE_ENGINE".into(),
            Error::DamagedPayload(_) => "download or build the executable again".into(),
            Error::UntrustedFolder(path) => {
                format!("remove {}, or name another folder in MONOBASE_CACHE", path.display())
            }
            Error::NotExecutable(_) => "name a folder that allows programs in MONOBASE_CACHE".into(),
            Error::Locked { .. } => "stop the other one with `monobase stop`, or choose another --data-dir".into(),
            Error::StillRunning { process, .. } => format!("end it with `kill -QUIT {process}` and start again"),
            Error::OtherMajor { found, .. } => format!(
                "nothing was changed: open it with a monobase whose engine is PostgreSQL {found}, dump it there and \
                 restore here, or choose another --data-dir"
            ),
            Error::NewerFormat { .. } => "nothing was changed: use the newer monobase that wrote it".into(),
            Error::BareDataDirectory(_) => {
                "nothing was changed: start it with its own PostgreSQL and use --db-url, or choose another --data-dir"
                    .into()
            }
            Error::Incomplete { .. } => {
                "nothing was changed: restore the folder from a backup, or move it away to start empty".into()
            }
            Error::PortTaken { .. } => "stop that program, or choose another port in [db] port".into(),
            Error::Address { .. } => "choose an address of this machine and a port above 1023".into(),
            Error::DiskFull(_) => "free some space and start again; nothing is lost".into(),
            Error::OtherOwner { owner, .. } => format!("start as user {owner} or as root"),
            Error::User { .. } => "name an existing user other than root in MONOBASE_PG_USER".into(),
            Error::StartFailed(_)
            | Error::Setting { .. }
            | Error::Tool { .. }
            | Error::Certificate(_)
            | Error::Io { .. } => return None,
        })
    }

    /// Wraps an I/O error; a full disk is always told as such.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull(path),
            _ => Error::Io { action, path, source },
        }
    }
}
