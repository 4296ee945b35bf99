//! What a cluster is started with.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// How a cluster is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's folder; made if it does not exist.
    pub folder: PathBuf,
    /// Where PostgreSQL listens beside its socket. Port 0 takes a free one below the ephemeral range.
    pub tcp: Option<SocketAddr>,
    /// Settings of `postgresql.conf`, over our defaults; the last of a name wins.
    pub settings: Vec<(String, String)>,
    /// Gives up durability for speed: for data that may be lost with the machine's power.
    pub ephemeral: bool,
    /// Root only: the user (name, or uid, or uid:gid) that PostgreSQL runs as; `MONOBASE_PG_USER` when not set here.
    pub user: Option<String>,
    /// What a new data directory is made from.
    pub seed: Seed,
    /// A certificate and its key, PEM, instead of the self-signed one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How long a stop waits for running transactions and the last checkpoint before it becomes an immediate one,
    /// which loses nothing either but makes the next start recover.
    pub stop_timeout: Duration,
}

/// What a new data directory is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seed {
    /// The template inside of the release executable when there is one, else `initdb`.
    #[default]
    Default,
    /// `initdb`: a plain PostgreSQL with a system identifier of its own.
    Initdb,
    /// A copy of a template folder, as [`crate::template::capture`] makes it.
    Folder(PathBuf),
}

impl Options {
    /// A cluster in `folder`, on its socket alone.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            tcp: None,
            settings: Vec::new(),
            ephemeral: false,
            user: None,
            seed: Seed::Default,
            certificate: None,
            stop_timeout: Duration::from_secs(10),
        }
    }
}
