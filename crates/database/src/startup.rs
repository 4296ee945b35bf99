//! Opening a connection: hosts in turn, TLS, signing in, and whether the server is one of those wanted.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::{
    ChannelBinding, ConnectConfig, Host, Keepalive, LoadBalance, SslMode, SslNegotiation, TargetSession,
};
use crate::decode;
use crate::error::Error;
use crate::socket::Socket;
use crate::tls::{self, Tls};
use crate::wire::{Message, Wire};

/// One place to dial, with its name resolved.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Unix { folder: std::path::PathBuf, port: u16 },
    Tcp { name: String, address: SocketAddr },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Unix { folder, port } => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
            Place::Tcp { name, address } if *name == address.ip().to_string() => write!(f, "{address}"),
            Place::Tcp { name, address } => write!(f, "{name} ({address})"),
        }
    }
}

/// How to reach the server again for a cancel request.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) place: Place,
    pub(crate) tls: Option<Tls>,
    pub(crate) negotiation: SslNegotiation,
    pub(crate) timeout: Duration,
}

/// An open, signed-in, acceptable connection.
pub(crate) struct Opened {
    pub(crate) wire: Wire,
    pub(crate) route: Route,
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
}

pub(crate) async fn open(config: &ConnectConfig) -> Result<Opened, Error> {
    let wants_tls = config.ssl_mode != SslMode::Disable
        && config.hosts.iter().any(|host| matches!(host, Host::Tcp { .. }));
    let tls = if wants_tls { Some(Tls::load(config).await?) } else { None };
    let mut hosts: Vec<&Host> = config.hosts.iter().collect();
    if config.load_balance == LoadBalance::Random {
        shuffle(&mut hosts);
    }
    // PreferStandby is two passes over the hosts: standbys, then anything.
    let passes: &[TargetSession] = match config.target {
        TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
        _ => std::slice::from_ref(&config.target),
    };
    let mut failures: Vec<(String, Error)> = Vec::new();
    for target in passes {
        for host in &hosts {
            match open_host(config, host, *target, tls.as_ref()).await {
                Ok(opened) => return Ok(opened),
                Err(Attempt { place, error, last }) => {
                    failures.push((place, error));
                    if last {
                        return Err(summary(failures));
                    }
                }
            }
        }
    }
    Err(summary(failures))
}

/// What one host's failure means for the others.
struct Attempt {
    place: String,
    error: Error,
    /// Whether the server has answered so that asking another one is pointless (a wrong password).
    last: bool,
}

/// One failure keeps its kind; several become one text.
fn summary(mut failures: Vec<(String, Error)>) -> Error {
    // The server's own words about us (a wrong password) count more than what came before them.
    let told = match failures.last() {
        Some((_, Error::Db(report))) => failures.len() == 1 || report.code.class() != "57",
        Some((_, Error::Tls(_) | Error::Authentication(_) | Error::Config(_))) => failures.len() == 1,
        _ => false,
    };
    if told && let Some((_, error)) = failures.pop() {
        return error;
    }
    let reasons: Vec<String> = failures
        .iter()
        .map(|(place, error)| match error {
            Error::Io(error) => format!("{place}: {error}"),
            Error::Connect(reason) => format!("{place}: {reason}"),
            other => format!("{place}: {other}"),
        })
        .collect();
    Error::Connect(reasons.join("; ").into())
}

fn shuffle<T>(items: &mut [T]) {
    use std::hash::{BuildHasher, Hasher};
    // Each RandomState has other keys: random enough to spread connections.
    for at in (1..items.len()).rev() {
        let random = std::hash::RandomState::new().build_hasher().finish();
        items.swap(at, (random % (at as u64 + 1)) as usize);
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout { what: "connecting to PostgreSQL", limit }),
    }
}

async fn open_host(
    config: &ConnectConfig,
    host: &Host,
    target: TargetSession,
    tls: Option<&Tls>,
) -> Result<Opened, Attempt> {
    let unresolved = match host {
        Host::Tcp { name, port, .. } => format!("{name}:{port}"),
        Host::Unix { folder, port } => format!("{}/.s.PGSQL.{port}", folder.display()),
    };
    let places = match within(config.connect_timeout, resolve(host)).await {
        Ok(places) => places,
        Err(error) => return Err(Attempt { place: unresolved, error, last: false }),
    };
    let mut failure = Attempt { place: unresolved, error: Error::Connect("no address".into()), last: false };
    for place in places {
        let opened = within(config.connect_timeout, async {
            let mut opened = open_place(config, &place, tls).await?;
            accept(&mut opened.wire, target).await?;
            Ok(opened)
        });
        match opened.await {
            Ok(opened) => return Ok(opened),
            Err(error) => {
                let last = match &error {
                    // Starting up, shutting down, too many connections: the next host may do better.
                    Error::Db(report) => !matches!(report.code.class(), "57" | "53" | "08"),
                    Error::Authentication(_) => true,
                    _ => false,
                };
                failure = Attempt { place: place.to_string(), error, last };
                if last {
                    break;
                }
            }
        }
    }
    Err(failure)
}

async fn resolve(host: &Host) -> Result<Vec<Place>, Error> {
    Ok(match host {
        Host::Unix { folder, port } => vec![Place::Unix { folder: folder.clone(), port: *port }],
        Host::Tcp { name, address: Some(address), port } => {
            vec![Place::Tcp { name: name.clone(), address: SocketAddr::new(*address, *port) }]
        }
        Host::Tcp { name, address: None, port } => tokio::net::lookup_host((name.as_str(), *port))
            .await
            .map_err(|error| Error::Connect(format!("cannot resolve \"{name}\": {error}").into()))?
            .map(|address| Place::Tcp { name: name.clone(), address })
            .collect(),
    })
}

/// Tries plaintext and TLS in the order that `sslmode` asks for.
async fn open_place(config: &ConnectConfig, place: &Place, tls: Option<&Tls>) -> Result<Opened, Error> {
    let (Place::Tcp { .. }, Some(tls)) = (place, tls) else {
        return sign_in(config, place, Encryption::None).await;
    };
    match config.ssl_mode {
        SslMode::Disable => sign_in(config, place, Encryption::None).await,
        SslMode::Allow => match sign_in(config, place, Encryption::None).await {
            Err(Error::Db(report)) if report.code.class() == "28" => {
                sign_in(config, place, Encryption::Required(tls)).await.map_err(|_| Error::Db(report))
            }
            other => other,
        },
        SslMode::Prefer => match sign_in(config, place, Encryption::IfOffered(tls)).await {
            // The handshake failed, or the server's rules want plaintext.
            Err(Error::Tls(_)) => sign_in(config, place, Encryption::None).await,
            Err(Error::Db(report)) if report.code.as_str() == "28000" => {
                sign_in(config, place, Encryption::None).await.map_err(|_| Error::Db(report))
            }
            other => other,
        },
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            sign_in(config, place, Encryption::Required(tls)).await
        }
    }
}

#[derive(Clone, Copy)]
enum Encryption<'a> {
    None,
    IfOffered(&'a Tls),
    Required(&'a Tls),
}

/// Dials a place. The second value is the channel binding data when the stream is TLS.
async fn dial(
    place: &Place,
    encryption: Encryption<'_>,
    negotiation: SslNegotiation,
    keepalive: Keepalive,
) -> Result<(Socket, Option<Vec<u8>>), Error> {
    let (name, address) = match place {
        Place::Unix { folder, port } => return Ok((Socket::Unix(Socket::unix(folder, *port).await?), None)),
        Place::Tcp { name, address } => (name, *address),
    };
    let mut stream = Socket::tcp(address, keepalive).await?;
    let (tls, required) = match encryption {
        Encryption::None => return Ok((Socket::Tcp(stream), None)),
        Encryption::IfOffered(tls) => (tls, false),
        Encryption::Required(tls) => (tls, true),
    };
    if negotiation == SslNegotiation::Postgres && !offers_tls(&mut stream).await? {
        if required {
            return Err(Error::Tls("the server does not support TLS, but sslmode requires it".into()));
        }
        return Ok((Socket::Tcp(stream), None));
    }
    let stream = tls.handshake(name, stream).await?;
    let binding = tls::server_end_point(&stream);
    Ok((Socket::Tls(Box::new(stream)), binding))
}

async fn offers_tls(stream: &mut TcpStream) -> Result<bool, Error> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    // Exactly one byte: what an attacker has put behind it must not be taken for something said under TLS.
    match stream.read_u8().await? {
        b'S' => Ok(true),
        b'N' | b'E' => Ok(false),
        other => Err(Error::Protocol(format!("answer {other:#x} to the request for TLS").into())),
    }
}

/// Sends a cancel request over a connection of its own, encrypted like the one it concerns.
pub(crate) async fn cancel(route: &Route, process_id: i32, secret_key: i32) -> Result<(), Error> {
    within(route.timeout, async {
        let encryption = route.tls.as_ref().map_or(Encryption::None, Encryption::Required);
        let (mut socket, _) = dial(&route.place, encryption, route.negotiation, Keepalive::default()).await?;
        let mut request = BytesMut::new();
        frontend::cancel_request(process_id, secret_key, &mut request);
        socket.write_all(&request).await?;
        socket.flush().await?;
        // The server closes when it has passed the request on. How it closes does not matter.
        let mut rest = [0; 16];
        while matches!(socket.read(&mut rest).await, Ok(count) if count > 0) {}
        Ok(())
    })
    .await
}

async fn sign_in(config: &ConnectConfig, place: &Place, encryption: Encryption<'_>) -> Result<Opened, Error> {
    let (socket, binding) = dial(place, encryption, config.ssl_negotiation, config.keepalive).await?;
    let tls = match (&socket, encryption) {
        (Socket::Tls(_), Encryption::IfOffered(tls) | Encryption::Required(tls)) => Some(tls.clone()),
        _ => None,
    };
    let encrypted = tls.is_some();
    // Nothing large comes from a server before it knows us.
    let mut wire = Wire::new(socket, 1 << 20);
    let mut parameters: Vec<(&str, &str)> =
        vec![("user", config.user()), ("database", config.database()), ("client_encoding", "UTF8")];
    if let Some(name) = &config.application_name {
        parameters.push(("application_name", name));
    }
    if let Some(options) = &config.options {
        parameters.push(("options", options));
    }
    parameters.extend(config.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    frontend::startup_message(parameters, &mut wire.output)?;
    wire.flush().await?;
    authenticate(&mut wire, config, encrypted, binding).await?;

    let (mut process_id, mut secret_key) = (0, 0);
    loop {
        let mut message = wire.message().await?;
        match message.tag {
            b'K' if message.body.len() >= 8 => {
                process_id = message.body.get_i32();
                secret_key = message.body.get_i32();
            }
            b'Z' => break,
            b'E' => return Err(server_error(&message)),
            // NegotiateProtocolVersion
            b'v' => {}
            tag => return Err(unexpected(tag)),
        }
    }
    wire.max_message_size = config.max_message_size;
    let route = Route {
        place: place.clone(),
        tls,
        negotiation: config.ssl_negotiation,
        timeout: config.connect_timeout,
    };
    Ok(Opened { wire, route, process_id, secret_key })
}

fn server_error(message: &Message) -> Error {
    match decode::report(&message.body) {
        Some(report) => Error::Db(Box::new(report)),
        None => Error::Protocol("malformed error report".into()),
    }
}

fn unexpected(tag: u8) -> Error {
    Error::Protocol(format!("message {:?} while connecting", char::from(tag)).into())
}

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

async fn authenticate(
    wire: &mut Wire,
    config: &ConnectConfig,
    encrypted: bool,
    binding: Option<Vec<u8>>,
) -> Result<(), Error> {
    let password = || {
        config.password.as_deref().ok_or_else(|| {
            Error::Authentication(
                format!("the server asks for a password of user \"{}\"", config.user()).into(),
            )
        })
    };
    let unbound = |how: &str| {
        if config.channel_binding == ChannelBinding::Require {
            let text = format!("channel_binding=require, but the server wants {how}");
            return Err(Error::Authentication(text.into()));
        }
        Ok(())
    };
    let mut message = wire.message().await?;
    match authentication_code(&message)? {
        Authentication::Ok => unbound("no authentication"),
        Authentication::Cleartext => {
            unbound("a plain password")?;
            if !encrypted && matches!(wire.socket(), Socket::Tcp(_)) {
                tracing::warn!(user = config.user(), "the server takes the password in the clear");
            }
            frontend::password_message(password()?.as_bytes(), &mut wire.output)?;
            finish(wire).await
        }
        Authentication::Md5 => {
            unbound("an MD5 password")?;
            if message.body.len() != 8 {
                return Err(Error::Protocol("malformed MD5 request".into()));
            }
            message.body.advance(4);
            let salt = message.body.get_u32().to_be_bytes();
            let hash = md5_hash(config.user().as_bytes(), password()?.as_bytes(), salt);
            frontend::password_message(hash.as_bytes(), &mut wire.output)?;
            finish(wire).await
        }
        Authentication::Sasl => {
            let offered: Vec<&[u8]> = message.body[4..].split(|byte| *byte == 0).collect();
            let offers = |name: &str| offered.contains(&name.as_bytes());
            let binding = binding.filter(|_| config.channel_binding != ChannelBinding::Disable);
            let (mechanism, binding) = match binding {
                Some(data) if offers(SCRAM_PLUS) => {
                    (SCRAM_PLUS, sasl::ChannelBinding::tls_server_end_point(data))
                }
                _ if !offers(SCRAM) => {
                    return Err(Error::Authentication("the server offers no mechanism that we know".into()));
                }
                // "We could, but you do not offer it" lets the server see that somebody took the offer away.
                Some(_) => (SCRAM, sasl::ChannelBinding::unrequested()),
                None => (SCRAM, sasl::ChannelBinding::unsupported()),
            };
            if mechanism == SCRAM {
                unbound("SCRAM without it")?;
            }
            scram(wire, mechanism, ScramSha256::new(password()?.as_bytes(), binding)).await
        }
        Authentication::Other(name) => {
            Err(Error::Authentication(format!("the server wants {name}, which is not supported").into()))
        }
    }
}

enum Authentication {
    Ok,
    Cleartext,
    Md5,
    Sasl,
    Other(&'static str),
}

fn authentication_code(message: &Message) -> Result<Authentication, Error> {
    match message.tag {
        b'R' => {}
        b'E' => return Err(server_error(message)),
        tag => return Err(unexpected(tag)),
    }
    let code = message.body.get(..4).map_or(-1, |mut code: &[u8]| code.get_i32());
    Ok(match code {
        0 => Authentication::Ok,
        3 => Authentication::Cleartext,
        5 => Authentication::Md5,
        10 => Authentication::Sasl,
        2 => Authentication::Other("Kerberos 5"),
        7 | 8 => Authentication::Other("GSSAPI"),
        9 => Authentication::Other("SSPI"),
        _ => Authentication::Other("an unknown way of signing in"),
    })
}

async fn finish(wire: &mut Wire) -> Result<(), Error> {
    wire.flush().await?;
    match authentication_code(&wire.message().await?)? {
        Authentication::Ok => Ok(()),
        _ => Err(Error::Protocol("unexpected request while signing in".into())),
    }
}

/// The SASL data of a continuation with the given code.
async fn continuation(wire: &mut Wire, code: i32) -> Result<Bytes, Error> {
    wire.flush().await?;
    let mut message = wire.message().await?;
    match message.tag {
        b'R' if message.body.len() >= 4 && message.body.get_i32() == code => Ok(message.body),
        b'E' => Err(server_error(&message)),
        tag => Err(unexpected(tag)),
    }
}

async fn scram(wire: &mut Wire, mechanism: &str, mut exchange: ScramSha256) -> Result<(), Error> {
    let refused = |error: std::io::Error| Error::Authentication(error.to_string().into());
    frontend::sasl_initial_response(mechanism, exchange.message(), &mut wire.output)?;
    let challenge = continuation(wire, 11).await?;
    // Thousands of rounds of hashing, as many as the server asks for.
    let exchange_task = tokio::task::spawn_blocking(move || {
        exchange.update(&challenge)?;
        Ok(exchange)
    });
    let mut exchange = exchange_task
        .await
        .map_err(|error| Error::Authentication(error.to_string().into()))?
        .map_err(refused)?;
    frontend::sasl_response(exchange.message(), &mut wire.output)?;
    let proof = continuation(wire, 12).await?;
    // The server proves here that it knows the password, too.
    exchange.finish(&proof).map_err(refused)?;
    finish(wire).await
}

/// Whether the server is one of those that `target_session_attrs` asks for.
async fn accept(wire: &mut Wire, target: TargetSession) -> Result<(), Error> {
    if target == TargetSession::Any {
        return Ok(());
    }
    let (standby, read_only) = match (
        wire.parameters.get("in_hot_standby").map(|value| value == "on"),
        wire.parameters.get("default_transaction_read_only").map(|value| value == "on"),
    ) {
        (Some(standby), Some(read_only)) => (standby, standby || read_only),
        // Poolers do not pass these on.
        _ => ask(wire).await?,
    };
    let (acceptable, is) = match target {
        TargetSession::Any | TargetSession::PreferStandby => (true, ""),
        TargetSession::ReadWrite => (!read_only, "read-only"),
        TargetSession::ReadOnly => (read_only, "read-write"),
        TargetSession::Primary => (!standby, "a standby"),
        TargetSession::Standby => (standby, "no standby"),
    };
    if acceptable { Ok(()) } else { Err(Error::Connect(format!("the server is {is}").into())) }
}

async fn ask(wire: &mut Wire) -> Result<(bool, bool), Error> {
    let sql = "select pg_is_in_recovery()::text, current_setting('transaction_read_only')";
    frontend::query(sql, &mut wire.output)?;
    wire.flush().await?;
    let mut answer = (false, false);
    let mut failure = None;
    loop {
        let message = wire.message().await?;
        match message.tag {
            b'D' => {
                if let Some(row) = crate::result::Row::decode(message.body) {
                    answer = (row.text(0) == Some("true"), row.text(1) == Some("on"));
                }
            }
            b'E' => failure = Some(server_error(&message)),
            b'Z' => return failure.map_or(Ok(answer), Err),
            b'T' | b'C' => {}
            tag => return Err(unexpected(tag)),
        }
    }
}

/// Says goodbye; the server notices the end of the stream anyway.
pub(crate) fn terminate(output: &mut BytesMut) {
    output.put_slice(&[b'X', 0, 0, 0, 4]);
}
