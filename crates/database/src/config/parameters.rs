//! The named parameters that both forms of a connection string come down to, and what they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    ChannelBinding, ConfigError, ConnectConfig, Host, LoadBalance, SslMode, SslNegotiation, SslRoots,
    TargetSession,
};

/// Parameter names of libpq that this client understands, or accepts because they change nothing for it.
const KNOWN: &[&str] = &[
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "sslcert",
    "sslcompression",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Parameters that other drivers put into their URLs. They are accepted so that a URL can be pasted as it is.
const FOREIGN: &[&str] = &[
    "connection_limit",
    "pgbouncer",
    "pool_timeout",
    "prepared_statements",
    "prepareThreshold",
    "schema",
    "socket_timeout",
    "ssl",
    "sslaccept",
    "statement_cache_size",
    "supa",
    "uselibpqcompat",
    "workaround",
];

/// The parameters as written.
#[derive(Debug, Default, Clone)]
pub(super) struct Parameters {
    values: BTreeMap<String, String>,
    /// Settings in the form `name=value` that are no parameters of the connection itself.
    pub(super) settings: Vec<(String, String)>,
}

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Takes a parameter from the connection string.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), ConfigError> {
        if let Some(setting) = name.strip_prefix("setting.") {
            self.settings.push((setting.to_owned(), value));
            return Ok(());
        }
        if !KNOWN.contains(&name) && !FOREIGN.contains(&name) {
            return Err(ConfigError(format!("unknown connection parameter \"{name}\"")));
        }
        if value.contains('\0') {
            return Err(ConfigError(format!("the connection parameter \"{name}\" contains a NUL character")));
        }
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Takes a parameter where the connection string left it out.
    pub(super) fn complete(&mut self, name: &str, value: Option<String>) {
        if self.get(name).is_none()
            && let Some(value) = value.filter(|value| !value.is_empty() && !value.contains('\0'))
        {
            self.values.insert(name.to_owned(), value);
        }
    }

    pub(super) fn resolve(
        mut self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ConnectConfig, ConfigError> {
        let user = self.get("user").unwrap_or("postgres").to_owned();
        let hosts = self.hosts()?;
        let mut config = ConnectConfig::new(Host::Unix { folder: PathBuf::new(), port: 0 }, &user);
        config.database = self.get("dbname").map(str::to_owned);
        config.password = match self.get("password") {
            Some(password) => Some(password.to_owned()),
            None => super::environment::password_file(
                self.get("passfile").map(PathBuf::from).or_else(|| home(lookup, ".pgpass")),
                hosts.first(),
                config.database(),
                &user,
            ),
        };
        config.hosts = hosts;
        config.application_name =
            self.get("application_name").or_else(|| self.get("fallback_application_name")).map(str::to_owned);
        config.options = self.get("options").map(str::to_owned);
        if let Some(encoding) = self.get("client_encoding")
            && !["utf8", "utf-8", "unicode", "auto"].contains(&encoding.to_ascii_lowercase().as_str())
        {
            return Err(ConfigError(format!("client_encoding must be UTF8, not {encoding}")));
        }
        if self.get("gssencmode") == Some("require") {
            return Err(ConfigError("gssencmode=require is not supported: use TLS".into()));
        }
        if let Some(seconds) = self.get("connect_timeout") {
            let seconds: i64 = number("connect_timeout", seconds)?;
            if seconds > 0 {
                config.connect_timeout = Duration::from_secs(seconds.unsigned_abs());
            }
        }
        self.keepalive(&mut config)?;
        self.tls(&mut config, lookup)?;
        config.target = match self.get("target_session_attrs") {
            None | Some("any") => TargetSession::Any,
            Some("read-write") => TargetSession::ReadWrite,
            Some("read-only") => TargetSession::ReadOnly,
            Some("primary") => TargetSession::Primary,
            Some("standby") => TargetSession::Standby,
            Some("prefer-standby") => TargetSession::PreferStandby,
            Some(other) => return Err(invalid("target_session_attrs", other)),
        };
        config.load_balance = match self.get("load_balance_hosts") {
            None | Some("disable") => LoadBalance::Disable,
            Some("random") => LoadBalance::Random,
            Some(other) => return Err(invalid("load_balance_hosts", other)),
        };
        config.transaction_pooler = self.get("pgbouncer") == Some("true");
        config.settings = std::mem::take(&mut self.settings);
        Ok(config)
    }

    fn keepalive(&self, config: &mut ConnectConfig) -> Result<(), ConfigError> {
        // As in libpq, 0 is "whatever the system does".
        let positive = |name: &str| match self.get(name) {
            Some(text) => number::<u32>(name, text).map(|value| Some(value).filter(|value| *value > 0)),
            None => Ok(None),
        };
        let keepalive = &mut config.keepalive;
        keepalive.on = self.get("keepalives") != Some("0");
        if let Some(seconds) = positive("keepalives_idle")? {
            keepalive.idle = Duration::from_secs(seconds.into());
        }
        keepalive.interval =
            positive("keepalives_interval")?.map(|seconds| Duration::from_secs(seconds.into()));
        keepalive.count = positive("keepalives_count")?;
        keepalive.unacknowledged =
            positive("tcp_user_timeout")?.map(|milliseconds| Duration::from_millis(milliseconds.into()));
        Ok(())
    }

    fn tls(
        &self,
        config: &mut ConnectConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        config.ssl_roots = match self.get("sslrootcert") {
            None => match home(lookup, ".postgresql/root.crt") {
                Some(path) if path.is_file() => SslRoots::File(path),
                _ => SslRoots::Default,
            },
            Some("system") => SslRoots::System,
            Some(path) => SslRoots::File(path.into()),
        };
        config.ssl_mode = match (self.get("sslmode"), &config.ssl_roots) {
            // As libpq has it: the system's authorities vouch for every host on earth, so the name must be checked.
            (None | Some("verify-full"), SslRoots::System) => SslMode::VerifyFull,
            (Some(weaker), SslRoots::System) => {
                return Err(ConfigError(format!(
                    "sslrootcert=system needs sslmode=verify-full, not {weaker}"
                )));
            }
            (None, _) if self.get("ssl") == Some("true") => SslMode::Require,
            (None, _) => SslMode::Prefer,
            (Some("disable"), _) => SslMode::Disable,
            (Some("allow"), _) => SslMode::Allow,
            (Some("prefer"), _) => SslMode::Prefer,
            // Some drivers write no-verify for what libpq calls require.
            (Some("require" | "no-verify"), _) => SslMode::Require,
            (Some("verify-ca"), _) => SslMode::VerifyCa,
            (Some("verify-full"), _) => SslMode::VerifyFull,
            (Some(other), _) => return Err(invalid("sslmode", other)),
        };
        config.ssl_negotiation = match self.get("sslnegotiation") {
            None | Some("postgres") => SslNegotiation::Postgres,
            Some("direct") if config.ssl_mode >= SslMode::Require => SslNegotiation::Direct,
            Some("direct") => {
                return Err(ConfigError("sslnegotiation=direct needs sslmode=require or stronger".into()));
            }
            Some(other) => return Err(invalid("sslnegotiation", other)),
        };
        config.channel_binding = match self.get("channel_binding") {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("disable") => ChannelBinding::Disable,
            Some("require") => ChannelBinding::Require,
            Some(other) => return Err(invalid("channel_binding", other)),
        };
        config.ssl_certificate = self.get("sslcert").map(PathBuf::from);
        config.ssl_key = self.get("sslkey").map(PathBuf::from);
        if config.ssl_certificate.is_some() != config.ssl_key.is_some() {
            return Err(ConfigError("sslcert and sslkey must be given together".into()));
        }
        config.ssl_sni = self.get("sslsni") != Some("0");
        Ok(())
    }

    fn hosts(&self) -> Result<Vec<Host>, ConfigError> {
        let list = |name| match self.values.get(name) {
            Some(text) if !text.is_empty() => text.split(',').map(str::trim).collect(),
            _ => Vec::new(),
        };
        let (names, addresses, ports): (Vec<&str>, Vec<&str>, Vec<&str>) =
            (list("host"), list("hostaddr"), list("port"));
        let count = names.len().max(addresses.len()).max(1);
        if !addresses.is_empty() && !names.is_empty() && addresses.len() != names.len() {
            return Err(ConfigError(format!("{} hosts but {} addresses", names.len(), addresses.len())));
        }
        if ports.len() > 1 && ports.len() != count {
            return Err(ConfigError(format!("{count} hosts but {} ports", ports.len())));
        }
        (0..count)
            .map(|at| {
                let port = match *ports.get(at).or(ports.first()).unwrap_or(&"") {
                    "" => 5432,
                    text => text
                        .parse()
                        .ok()
                        .filter(|port| *port > 0)
                        .ok_or_else(|| ConfigError(format!("invalid port \"{text}\"")))?,
                };
                let address: Option<std::net::IpAddr> = match *addresses.get(at).unwrap_or(&"") {
                    "" => None,
                    text => Some(
                        text.parse()
                            .map_err(|_| ConfigError(format!("\"{text}\" is no address (hostaddr)")))?,
                    ),
                };
                let name = *names.get(at).unwrap_or(&"");
                Ok(match (name, address) {
                    ("", Some(address)) => {
                        Host::Tcp { name: address.to_string(), address: Some(address), port }
                    }
                    ("", None) => default_host(port),
                    (name, None) if name.starts_with(['/', '@']) => Host::Unix { folder: name.into(), port },
                    (name, address) => Host::Tcp { name: name.to_owned(), address, port },
                })
            })
            .collect()
    }
}

/// Where libpq looks when it is told nothing: Debian's socket folder where there is one.
fn default_host(port: u16) -> Host {
    let folder = Path::new("/var/run/postgresql");
    if folder.join(format!(".s.PGSQL.{port}")).exists() {
        Host::Unix { folder: folder.into(), port }
    } else {
        Host::Tcp { name: "localhost".into(), address: None, port }
    }
}

fn home(lookup: &dyn Fn(&str) -> Option<String>, path: &str) -> Option<PathBuf> {
    lookup("HOME").map(|home| Path::new(&home).join(path))
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, ConfigError> {
    text.trim().parse().map_err(|_| invalid(name, text))
}

fn invalid(name: &str, value: &str) -> ConfigError {
    ConfigError(format!("invalid value \"{value}\" for connection parameter \"{name}\""))
}
