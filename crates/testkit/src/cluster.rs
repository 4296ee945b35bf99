//! Tier 2: a cluster of its own.

use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use database::{ConnectConfig, Connection};
use nix::sys::signal::Signal;

use crate::install::Server;
use crate::process::{Folder, Postmaster, give_away};
use crate::template::{Content, unpack};

/// The password of every login role. Over the socket it is not asked for.
pub const PASSWORD: &str = "postgres";

/// The role that a bootstrapped cluster was initialised with.
pub const SUPERUSER: &str = "supabase_admin";

/// `app.settings.jwt_secret` of test databases.
pub(crate) const JWT_SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

/// A running cluster that nobody else uses. Stopped and removed when dropped.
pub struct Cluster {
    // Dropped in this order: the process before its files.
    postmaster: Postmaster,
    folder: Folder,
    server: Server,
    settings: Vec<(String, String)>,
}

impl Cluster {
    /// One with a bootstrapped database `postgres`.
    pub async fn bootstrapped(server: Server) -> Self {
        Self::start(server, Content::Bootstrapped, &[]).await
    }

    /// One as `initdb` leaves it, with `superuser` as its first role.
    pub async fn plain(server: Server, superuser: &'static str) -> Self {
        Self::start(server, Content::Plain(superuser), &[]).await
    }

    /// A bootstrapped one with server settings of its own.
    pub async fn with_settings(server: Server, settings: &[(&str, &str)]) -> Self {
        Self::start(server, Content::Bootstrapped, settings).await
    }

    async fn start(server: Server, content: Content, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        tokio::task::spawn_blocking(move || Self::start_blocking(server, content, settings))
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    pub(crate) fn start_blocking(server: Server, content: Content, own: Vec<(String, String)>) -> Self {
        let mut settings = server.settings();
        settings.extend(own);
        let folder = Folder::new();
        unpack(server, content, &folder.path().join("data"));
        let postmaster =
            Postmaster::start(&server.require().bin, &folder.path().join("data"), folder.path(), &settings);
        Self { postmaster, folder, server, settings }
    }

    /// Which PostgreSQL it is.
    pub fn server(&self) -> Server {
        self.server
    }

    /// How to connect over its socket, without a password.
    pub fn config(&self, user: &str, database: &str) -> ConnectConfig {
        ConnectConfig::unix(self.folder.path(), 5432, user).with_database(database)
    }

    /// A connection over its socket.
    pub async fn connect(&self, user: &str, database: &str) -> Connection {
        Connection::connect(&self.config(user, database))
            .await
            .unwrap_or_else(|error| panic!("cannot connect as {user} to {database}: {error}"))
    }

    /// The folder of its socket (port 5432), for other programs.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its data directory.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("postgres.log")).unwrap_or_default()
    }

    /// Process id of the postmaster.
    pub fn pid(&self) -> i32 {
        self.postmaster.pid()
    }

    /// Lets it take encrypted connections with a password at `address` (of this machine itself; port 5432), beside its socket.
    /// Certificate and key are PEM. It restarts.
    pub async fn encrypt(&mut self, address: Ipv4Addr, certificate: &str, key: &str) {
        let data = self.data_folder();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            std::fs::write(&path, text)
                .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o600)))
                .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
            give_away(&path);
        }
        let rules = data.join("pg_hba.conf");
        let mut text = std::fs::read_to_string(&rules)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", rules.display()));
        for database in ["all", "replication"] {
            text.push_str(&format!("hostssl {database} all {address}/32 scram-sha-256\n"));
        }
        std::fs::write(&rules, text)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", rules.display()));
        self.settings.push(("listen_addresses".to_owned(), address.to_string()));
        self.settings.push(("ssl".to_owned(), "on".to_owned()));
        self.restart().await;
    }

    /// Kills it as a crash would, and starts it again. Commits of the last moments are lost, unless `synchronous_commit` is on.
    pub async fn crash(&mut self) {
        self.restart_after(Signal::SIGKILL);
    }

    /// Stops it in order, and starts it again.
    pub async fn restart(&mut self) {
        self.restart_after(Signal::SIGINT);
    }

    fn restart_after(&mut self, signal: Signal) {
        self.postmaster.stop(signal);
        self.postmaster = Postmaster::start(
            &self.server.require().bin,
            &self.data_folder(),
            self.folder.path(),
            &self.settings,
        );
    }
}
