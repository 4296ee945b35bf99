//! Where and how to connect.
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A connection string or a setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

/// One place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address, over TCP.
    Tcp {
        /// Name for TLS and, without `address`, for resolution.
        name: String,
        /// Address to dial instead of resolving the name.
        address: Option<std::net::IpAddr>,
        /// Port.
        port: u16,
    },
    /// The folder of a unix socket.
    Unix {
        /// The folder.
        folder: PathBuf,
        /// The port, part of the socket's file name.
        port: u16,
    },
}

/// When to use TLS, as libpq has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only when the server refuses plaintext.
    Allow,
    /// When the server offers it.
    #[default]
    Prefer,
    /// Always, whoever the server is (but verified when a root certificate is given).
    Require,
    /// Always, with a certificate from a trusted authority.
    VerifyCa,
    /// Always, with a certificate from a trusted authority for this host name.
    VerifyFull,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslNegotiation {
    /// By asking first.
    #[default]
    Postgres,
    /// At once (PostgreSQL 17 and later).
    Direct,
}

/// Which authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SslRoots {
    /// `~/.postgresql/root.crt` when it is there, the system's otherwise.
    #[default]
    Default,
    /// The system's.
    System,
    /// A PEM file.
    File(PathBuf),
}

/// Whether SCRAM is bound to the TLS channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// When the server offers it.
    #[default]
    Prefer,
    /// Always: any other way to sign in is refused.
    Require,
}

/// Which servers are acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetSession {
    /// Any.
    #[default]
    Any,
    /// Takes writes.
    ReadWrite,
    /// Takes no writes.
    ReadOnly,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
    /// In recovery if there is one, any otherwise.
    PreferStandby,
}

/// In which order hosts are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadBalance {
    /// As written.
    #[default]
    Disable,
    /// Shuffled.
    Random,
}

/// Everything needed to open a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectConfig {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) connect_timeout: Duration,
}

impl ConnectConfig {
    /// A server on a unix socket in `folder`.
    pub fn unix(folder: impl Into<PathBuf>, port: u16, user: &str) -> Self {
        let _ = (folder.into(), port, user);
        todo!()
    }
    /// A server on TCP.
    pub fn tcp(host: &str, port: u16, user: &str) -> Self {
        let _ = (host, port, user);
        todo!()
    }
    /// Reads a connection string; what it leaves out comes from the libpq environment (`PGHOST` …), looked up
    /// through `lookup`.
    pub fn parse_with(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let _ = (text, lookup);
        todo!()
    }
    /// The hosts, in order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }
    /// The password.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
    /// The database; the user's name when none was given.
    pub fn database(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.user)
    }
    /// The same as another user.
    #[must_use]
    pub fn with_user(self, user: &str) -> Self {
        let _ = user;
        todo!()
    }
    /// The same with a password, or without.
    #[must_use]
    pub fn with_password(self, password: Option<&str>) -> Self {
        let _ = password;
        todo!()
    }
    /// The same to another database.
    #[must_use]
    pub fn with_database(self, database: &str) -> Self {
        let _ = database;
        todo!()
    }
    /// The same under an application name.
    #[must_use]
    pub fn with_application_name(self, name: &str) -> Self {
        let _ = name;
        todo!()
    }
    /// The same with a setting of the session (a startup parameter).
    #[must_use]
    pub fn with_setting(self, name: &str, value: &str) -> Self {
        let _ = (name, value);
        todo!()
    }
    /// The same with a limit on opening a connection.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }
    /// The whole connection string, password included, as a URL.
    pub fn to_url(&self) -> String {
        todo!()
    }
}

impl FromStr for ConnectConfig {
    type Err = ConfigError;
    /// Reads a URL (`postgresql://…`) or the keyword form (`host=… user=…`), without the environment.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, |_| None)
    }
}

/// The URL with the password masked.
impl fmt::Display for ConnectConfig {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl fmt::Debug for ConnectConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
