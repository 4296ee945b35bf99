//! The URL form: `postgresql://user:password@host:port,host:port/database?sslmode=require`.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::parameters::Parameters;
use super::{
    ChannelBinding, ConfigError, ConnectConfig, DEFAULT_CONNECT_TIMEOUT, Host, Keepalive, LoadBalance,
    SslMode, SslNegotiation, SslRoots, TargetSession,
};

/// Parses what follows `postgresql://`.
pub(super) fn parse(text: &str) -> Result<Parameters, ConfigError> {
    let mut parameters = Parameters::default();
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (authority, database) = text.split_once('/').unwrap_or((text, ""));
    // A raw "@" in a password is forgiven: host names have none.
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, authority),
    };
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        parameters.set("user", decode(user)?)?;
        parameters.set("password", decode(password)?)?;
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(bracketed) => {
                let (address, after) = bracketed.split_once(']').ok_or_else(|| {
                    ConfigError(format!("missing \"]\" in \"{host}\" of the connection URL"))
                })?;
                (address, after.strip_prefix(':').unwrap_or(after))
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        let name = decode(name)?;
        if name.contains(',') {
            return Err(ConfigError("a host name contains a comma".into()));
        }
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return Err(ConfigError(format!(
                "invalid port \"{port}\" in the connection URL (special characters of a password must be \
                 percent-encoded)"
            )));
        }
        names.push(name);
        ports.push(port);
    }
    if names.iter().any(|name| !name.is_empty()) {
        parameters.set("host", names.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.set("port", ports.join(","))?;
    }
    if !database.is_empty() {
        parameters.set("dbname", decode(database)?)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| ConfigError(format!("missing \"=\" after \"{pair}\" in the connection URL")))?;
        parameters.set(&decode(name)?, decode(value)?)?;
    }
    Ok(parameters)
}

fn decode(text: &str) -> Result<String, ConfigError> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |digit: Option<u8>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
        if byte == b'%' && !(hex(bytes.next()) && hex(bytes.next())) {
            return Err(ConfigError("invalid percent-encoding in the connection URL".into()));
        }
    }
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| ConfigError("the connection URL is no UTF-8 when decoded".into()))?;
    if decoded.contains('\0') {
        return Err(ConfigError("the connection URL contains %00".into()));
    }
    Ok(decoded.into_owned())
}

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');

fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, ESCAPED)
}

/// Writes a configuration as a URL that parses to the same.
pub(super) fn render(config: &ConnectConfig, password: Option<&str>) -> String {
    let mut url = format!("postgresql://{}", encode(&config.user));
    // Writing to a String cannot fail.
    if let Some(password) = password {
        let _ = write!(url, ":{}", encode(password));
    }
    url.push('@');
    let mut query: Vec<(String, String)> = Vec::new();
    let mut addresses = Vec::new();
    for (at, host) in config.hosts.iter().enumerate() {
        if at > 0 {
            url.push(',');
        }
        let _ = match host {
            Host::Tcp { name, port, .. } if name.contains(':') => write!(url, "[{name}]:{port}"),
            Host::Tcp { name, port, .. } => write!(url, "{}:{port}", encode(name)),
            Host::Unix { folder, port } => write!(url, "{}:{port}", encode(&folder.to_string_lossy())),
        };
        addresses.push(match host {
            Host::Tcp { address: Some(address), .. } => address.to_string(),
            _ => String::new(),
        });
    }
    if let Some(database) = &config.database {
        let _ = write!(url, "/{}", encode(database));
    }
    let mut add = |name: &str, value: &str| query.push((name.to_owned(), value.to_owned()));
    if addresses.iter().any(|address| !address.is_empty()) {
        add("hostaddr", &addresses.join(","));
    }
    if let Some(name) = &config.application_name {
        add("application_name", name);
    }
    if let Some(options) = &config.options {
        add("options", options);
    }
    match config.ssl_mode {
        SslMode::Prefer => {}
        SslMode::Disable => add("sslmode", "disable"),
        SslMode::Allow => add("sslmode", "allow"),
        SslMode::Require => add("sslmode", "require"),
        SslMode::VerifyCa => add("sslmode", "verify-ca"),
        SslMode::VerifyFull => add("sslmode", "verify-full"),
    }
    if config.ssl_negotiation == SslNegotiation::Direct {
        add("sslnegotiation", "direct");
    }
    match &config.ssl_roots {
        SslRoots::Default => {}
        SslRoots::System => add("sslrootcert", "system"),
        SslRoots::File(path) => add("sslrootcert", &path.to_string_lossy()),
    }
    if let (Some(certificate), Some(key)) = (&config.ssl_certificate, &config.ssl_key) {
        add("sslcert", &certificate.to_string_lossy());
        add("sslkey", &key.to_string_lossy());
    }
    if !config.ssl_sni {
        add("sslsni", "0");
    }
    match config.channel_binding {
        ChannelBinding::Prefer => {}
        ChannelBinding::Disable => add("channel_binding", "disable"),
        ChannelBinding::Require => add("channel_binding", "require"),
    }
    match config.target {
        TargetSession::Any => {}
        TargetSession::ReadWrite => add("target_session_attrs", "read-write"),
        TargetSession::ReadOnly => add("target_session_attrs", "read-only"),
        TargetSession::Primary => add("target_session_attrs", "primary"),
        TargetSession::Standby => add("target_session_attrs", "standby"),
        TargetSession::PreferStandby => add("target_session_attrs", "prefer-standby"),
    }
    if config.load_balance == LoadBalance::Random {
        add("load_balance_hosts", "random");
    }
    if config.connect_timeout != DEFAULT_CONNECT_TIMEOUT {
        add("connect_timeout", &config.connect_timeout.as_secs().max(1).to_string());
    }
    let keepalive = config.keepalive;
    if !keepalive.on {
        add("keepalives", "0");
    }
    if keepalive.idle != Keepalive::default().idle {
        add("keepalives_idle", &keepalive.idle.as_secs().to_string());
    }
    if let Some(interval) = keepalive.interval {
        add("keepalives_interval", &interval.as_secs().to_string());
    }
    if let Some(count) = keepalive.count {
        add("keepalives_count", &count.to_string());
    }
    if let Some(limit) = keepalive.unacknowledged {
        add("tcp_user_timeout", &limit.as_millis().to_string());
    }
    if config.transaction_pooler {
        add("pgbouncer", "true");
    }
    for (name, value) in &config.settings {
        add(&format!("setting.{name}"), value);
    }
    for (at, (name, value)) in query.iter().enumerate() {
        let _ = write!(url, "{}{}={}", if at == 0 { '?' } else { '&' }, encode(name), encode(value));
    }
    url
}
