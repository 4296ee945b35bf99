//! Where and how to connect.
mod environment;
mod keyword;
mod parameters;
#[cfg(test)]
mod tests;
mod url;

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

/// How a dead peer is found out over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// Whether probes are sent at all.
    pub(crate) on: bool,
    /// Silence before the first probe.
    pub(crate) idle: Duration,
    /// Time between probes; `None` is the system's.
    pub(crate) interval: Option<Duration>,
    /// Probes without answer before the peer is given up; `None` is the system's.
    pub(crate) count: Option<u32>,
    /// How long sent data may go unacknowledged; `None` is the system's.
    pub(crate) unacknowledged: Option<Duration>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive {
            on: true,
            idle: Duration::from_secs(60),
            interval: None,
            count: None,
            unacknowledged: None,
        }
    }
}

/// Everything needed to open a connection.
///
/// Made from a connection string ([`FromStr`], [`ConnectConfig::parse_with`]) or from its parts, and refined with the
/// `with_` functions.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectConfig {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) application_name: Option<String>,
    pub(crate) options: Option<String>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_negotiation: SslNegotiation,
    pub(crate) ssl_roots: SslRoots,
    pub(crate) ssl_certificate: Option<PathBuf>,
    pub(crate) ssl_key: Option<PathBuf>,
    pub(crate) ssl_sni: bool,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) connect_timeout: Duration,
    pub(crate) target: TargetSession,
    pub(crate) load_balance: LoadBalance,
    pub(crate) keepalive: Keepalive,
    pub(crate) transaction_pooler: bool,
    pub(crate) max_message_size: usize,
}

/// How long opening a connection may take when the connection string does not say.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest message that is held in memory: what the server itself can make.
const DEFAULT_MAX_MESSAGE_SIZE: usize = 1 << 30;

impl ConnectConfig {
    /// Whether every server is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.hosts.iter().all(|host| match host {
            Host::Tcp { address: Some(address), .. } => address.is_loopback(),
            Host::Tcp { name, .. } => {
                name == "localhost"
                    || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Host::Unix { .. } => true,
        })
    }
}

impl ConnectConfig {
    fn new(host: Host, user: &str) -> Self {
        ConnectConfig {
            hosts: vec![host],
            user: user.to_owned(),
            password: None,
            database: None,
            application_name: None,
            options: None,
            settings: Vec::new(),
            ssl_mode: SslMode::default(),
            ssl_negotiation: SslNegotiation::default(),
            ssl_roots: SslRoots::default(),
            ssl_certificate: None,
            ssl_key: None,
            ssl_sni: true,
            channel_binding: ChannelBinding::default(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            target: TargetSession::default(),
            load_balance: LoadBalance::default(),
            keepalive: Keepalive::default(),
            transaction_pooler: false,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
        }
    }

    /// A server on the unix socket in `folder`.
    pub fn unix(folder: impl Into<PathBuf>, port: u16, user: &str) -> Self {
        Self::new(Host::Unix { folder: folder.into(), port }, user)
    }

    /// A server on TCP.
    pub fn tcp(host: &str, port: u16, user: &str) -> Self {
        Self::new(Host::Tcp { name: host.to_owned(), address: None, port }, user)
    }

    /// Reads a connection string: a URL (`postgresql://…`) or the keyword form (`host=… user=…`). What it leaves out
    /// comes from the libpq environment (`PGHOST`, `PGPASSWORD`, `PGSSLMODE` …), looked up through `lookup`.
    pub fn parse_with(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = text.trim();
        // A zero byte would end a field of the startup message early, and what follows would be read as others.
        if text.contains('\0') {
            return Err(ConfigError("the connection string contains a zero byte".into()));
        }
        let mut parameters = match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) => url::parse(rest)?,
            Some((scheme, _)) if !scheme.contains(['=', ' ']) => {
                return Err(ConfigError(format!(
                    "a connection URL begins with postgresql://, not with {scheme}://"
                )));
            }
            _ => keyword::parse(text)?,
        };
        environment::complete(&mut parameters, &lookup)?;
        parameters.resolve(&lookup)
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

    /// When TLS is used.
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// Whether the string itself says that a transaction pooler stands between (`pgbouncer=true`).
    pub fn names_transaction_pooler(&self) -> bool {
        self.transaction_pooler
    }

    /// The same as another user.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        if self.database.is_none() {
            self.database = Some(std::mem::take(&mut self.user));
        }
        self.user = user.to_owned();
        self
    }

    /// The same with a password, or without.
    #[must_use]
    pub fn with_password(mut self, password: Option<&str>) -> Self {
        self.password = password.map(str::to_owned);
        self
    }

    /// The same to another database.
    #[must_use]
    pub fn with_database(mut self, database: &str) -> Self {
        self.database = Some(database.to_owned());
        self
    }

    /// The same under an application name, unless it has one.
    #[must_use]
    pub fn with_fallback_application_name(mut self, name: &str) -> Self {
        self.application_name.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The same under an application name.
    #[must_use]
    pub fn with_application_name(mut self, name: &str) -> Self {
        self.application_name = Some(name.to_owned());
        self
    }

    /// The same with a setting of the session, sent as a startup parameter. (Transaction poolers refuse most.)
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another use of TLS.
    #[must_use]
    pub fn with_ssl_mode(mut self, mode: SslMode) -> Self {
        self.ssl_mode = mode;
        self
    }

    /// The same with other trusted authorities.
    #[must_use]
    pub fn with_ssl_roots(mut self, roots: SslRoots) -> Self {
        self.ssl_roots = roots;
        self
    }

    /// The same with another use of channel binding.
    #[must_use]
    pub fn with_channel_binding(mut self, binding: ChannelBinding) -> Self {
        self.channel_binding = binding;
        self
    }

    /// The same with other acceptable servers.
    #[must_use]
    pub fn with_target(mut self, target: TargetSession) -> Self {
        self.target = target;
        self
    }

    /// The same with a limit on opening a connection, for each host.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The same with a limit on the size of one message, and so of one row that is held in memory.
    #[must_use]
    pub fn with_max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// The connection string as a URL, password included.
    pub fn to_url(&self) -> String {
        url::render(self, self.password.as_deref())
    }
}

impl FromStr for ConnectConfig {
    type Err = ConfigError;

    /// Reads a connection string without looking at the environment.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse_with(text, |_| None)
    }
}

/// The URL with the password masked.
impl fmt::Display for ConnectConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&url::render(self, self.password.as_ref().map(|_| "***")))
    }
}

impl fmt::Debug for ConnectConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
