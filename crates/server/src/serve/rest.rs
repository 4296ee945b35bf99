//! The rest service alone, as PostgREST runs: its file, its environment, its signals, its log.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use database::Pool;
use http::{HeaderValue, header};
use rest::Rest;
use rest::config::Origin;
use tokens::KeyRing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use super::{DRAIN, Dump, Variables, remove, serve_router, subscribe};
use crate::Error;
use crate::access_log::{self, AccessLog};
use crate::listen::{self, Families};
use crate::notifications::Subscription;
use crate::running::Running;

fn refused(error: rest::ConfigError) -> Error {
    Error::Settings { service: "rest", reason: error.to_string() }
}

/// Serves until the end.
pub(super) async fn serve(
    running: &mut Running,
    variables: &Variables,
    file: Option<PathBuf>,
) -> Result<(), Error> {
    let origin = Origin::new(variables.0.iter().cloned(), file);
    let settings = origin.read().map_err(refused)?;
    let login = settings.connect().map_err(refused)?;
    let ring = settings.keys().map_err(refused)?.map(KeyRing::new);
    let (host, port) = (settings.host.clone(), settings.port);
    let socket = settings.unix_socket.clone().map(|path| (path, settings.unix_socket_mode));
    let admin = settings.admin_port.map(|port| (settings.admin_host.clone(), port));
    let log = AccessLog::start(settings.log_level).map_err(|error| Error::Internal(error.to_string()))?;
    let channel = settings.channel_enabled.then(|| settings.channel.clone());
    let recovers = settings.automatic_recovery;
    let pool = Pool::new(login.clone(), settings.pool());
    running.pools.push(pool.clone());
    let limits = gateway::Limits { write_timeout: settings.stall_timeout, ..gateway::Limits::default() };
    tracing::info!("Starting PostgREST 13.0.7...");
    let rest = Rest::start_from(origin, settings, pool, ring);
    running.failure = Some(rest.failure());
    running.services.push(Box::pin(rest.clone().stop()));
    follow_signals(running, &rest)?;
    let router = rest.router().layer(axum::middleware::map_response(name_server));
    let router = router.layer(axum::middleware::from_fn_with_state(log, access_log::answer));
    let (entrance, whereabouts) = match socket {
        Some((path, mode)) => {
            let listener = listen::bind_unix(&path, mode, "the service")?;
            serve_router(running, listener, router, limits, DRAIN);
            running.services.push(Box::pin(remove(path.clone())));
            let whereabouts = format!("unix socket {path:?}");
            (rest::Entrance::Unix(path), whereabouts)
        }
        None => {
            let listener = listen_where(&host, port, "PGRST_SERVER_PORT")?;
            let bound = address(&listener)?;
            serve_router(running, listener, router, limits, DRAIN);
            running.addresses.api = Some(bound);
            (rest::Entrance::Tcp(bound), bound.to_string())
        }
    };
    let listening = channel.map(|channel| {
        let reloaded = rest.clone();
        let told = Box::new(move |payload: Option<&str>| reloaded.notified(payload));
        subscribe(running, login, Subscription { channel, told })
    });
    if let (Some(listening), false) = (&listening, recovers) {
        let (mut listening, rest) = (listening.clone(), rest.clone());
        running.tasks.push(tokio::spawn(async move {
            // Ends, too, when nobody listens any more.
            let lost = async {
                listening.wait_for(|on| *on).await?;
                listening.wait_for(|on| !*on).await.map(drop)
            };
            if lost.await.is_ok() {
                rest.give_up("automatic recovery is disabled, and the connection for notifications was lost");
            }
        }));
    }
    if let Some((host, port)) = admin {
        let router: Router = rest.admin_router(rest::Surroundings { entrance, listening });
        let listener = listen_where(&host, port, "PGRST_ADMIN_SERVER_PORT")?;
        tracing::info!("Admin server listening on {}", address(&listener)?);
        serve_router(running, listener, router, gateway::Limits::default(), DRAIN);
    }
    // Last, as PostgREST says it: who waits for this line finds everything there.
    tracing::info!("API server listening on {whereabouts}");
    Ok(())
}

/// What would be served with: the configuration as a file, or the catalogue as JSON.
pub(super) async fn dump(variables: &Variables, file: Option<PathBuf>, dump: Dump) -> Result<String, Error> {
    let settings = Origin::new(variables.0.iter().cloned(), file).read().map_err(refused)?;
    settings.keys().map_err(refused)?;
    match dump {
        Dump::Config => Ok(rest::dump::config(settings).await),
        Dump::Schema => {
            let login = settings.connect().map_err(refused)?;
            rest::dump::catalogue(settings, &login).await.map_err(|error| Error::Internal(error.to_string()))
        }
    }
}

/// How long the one that runs may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the admin port of the one that runs under this configuration.
pub(super) async fn ready(variables: &Variables, file: Option<PathBuf>) -> Result<String, Error> {
    let settings = Origin::new(variables.0.iter().cloned(), file).read().map_err(refused)?;
    let port =
        settings.admin_port.ok_or_else(|| Error::NotReady("admin-server-port is not set".to_owned()))?;
    let host = match settings.admin_host.as_str() {
        "!6" | "*6" | "::" => "::1",
        "!4" | "*4" | "*" | "0.0.0.0" => "127.0.0.1",
        name => name,
    };
    let url = if host.contains(':') {
        format!("http://[{host}]:{port}/ready")
    } else {
        format!("http://{host}:{port}/ready")
    };
    let asked = async {
        let mut socket = TcpStream::connect((host, port)).await?;
        socket.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        socket.take(4096).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Error::NotReady(format!("{url}: {error}"))),
        Err(_) => return Err(Error::NotReady(format!("{url} does not answer"))),
    };
    match answer.split(' ').nth(1) {
        Some("200") => Ok(format!("OK: {url}")),
        status => Err(Error::NotReady(format!("{url} answers {}", status.unwrap_or("nothing")))),
    }
}

/// SIGUSR1 reads the schema again, SIGUSR2 the configuration.
fn follow_signals(running: &mut Running, rest: &Rest) -> Result<(), Error> {
    let on = |kind: SignalKind| signal(kind).map_err(|error| Error::Internal(error.to_string()));
    let (mut schema, mut config) = (on(SignalKind::user_defined1())?, on(SignalKind::user_defined2())?);
    let rest = rest.clone();
    running.tasks.push(tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = schema.recv() => rest.reload(),
                Some(()) = config.recv() => rest.reload_config(),
                else => return,
            }
        }
    }));
    Ok(())
}

async fn name_server(mut response: Response) -> Response {
    response.headers_mut().entry(header::SERVER).or_insert(HeaderValue::from_static("postgrest/13.0.7"));
    response
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| Error::Internal(error.to_string()))
}

/// Listens where `server-host` says, in PostgREST's words: `*` is any address, `*4` and `*6` prefer a family and take the
/// other if there is no such, `!4` and `!6` insist.
fn listen_where(host: &str, port: u16, setting: &'static str) -> Result<TcpListener, Error> {
    const ANY_4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const ANY_6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let bind =
        |ip, families| listen::bind_families(SocketAddr::new(ip, port), families, "the service", setting);
    match host {
        "!4" => bind(ANY_4, Families::Own),
        "!6" => bind(ANY_6, Families::Own),
        "*4" => bind(ANY_4, Families::Own).or_else(|_| bind(ANY_6, Families::Both)),
        "*" | "*6" => bind(ANY_6, Families::Both).or_else(|_| bind(ANY_4, Families::Own)),
        name => {
            let refused = |reason: String| Error::Settings {
                service: "rest",
                reason: format!("server-host: {name:?} is no address: {reason}"),
            };
            let addresses = (name, port).to_socket_addrs().map_err(|error| refused(error.to_string()))?;
            let address = addresses.into_iter().next().ok_or_else(|| refused("it has none".to_owned()))?;
            bind(address.ip(), Families::Own)
        }
    }
}
