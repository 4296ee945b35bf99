//! One service alone, as the original program runs: at the root path, from its own environment names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use config::Service;
use database::{ConnectConfig, Connection, Pool, PoolConfig};
use tokens::{KeyError, KeyRing, KeySet};
use tokio::sync::watch;

use crate::notifications::{Notifications, Subscription};
use crate::running::{Addresses, Running};
use crate::signals::Signals;
use crate::{Error, Info, Progress, Step, listen};

mod auth_alone;
mod rest;

/// How long requests in flight may take to finish at a stop: as long as the original auth server gives them.
const DRAIN: Duration = Duration::from_secs(60);

/// How to serve.
#[derive(Debug, Default)]
pub struct ServeOptions {
    /// Told about each step.
    pub progress: Progress,
    /// The original's configuration file, where it has one.
    pub file: Option<PathBuf>,
    /// A folder of files of variables, read in the order of their names and again when they change. Auth only.
    pub folder: Option<PathBuf>,
}

/// What a service can print instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// Its configuration, with what the database says.
    Config,
    /// What it knows of the database, as JSON.
    Schema,
}

/// What a service alone would work with.
pub async fn dump(service: Service, options: ServeOptions, dump: Dump) -> Result<String, Error> {
    match service {
        Service::Rest => rest::dump(&Variables::of_process(), options.file, dump).await,
        other => Err(Error::CannotDump(other.to_string())),
    }
}

/// The process's environment, which is all the configuration that most services alone have.
struct Variables(Vec<(String, String)>);

impl Variables {
    fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

/// Asks a service that runs alone whether it is ready; the answer names where it was asked.
pub async fn ready(service: Service, options: ServeOptions) -> Result<String, Error> {
    match service {
        Service::Rest => rest::ready(&Variables::of_process(), options.file).await,
        other => Err(Error::CannotDump(other.to_string())),
    }
}

/// Runs one service alone until SIGTERM or SIGINT.
pub async fn serve(service: Service, options: ServeOptions) -> Result<(), Error> {
    let signals = Signals::listen().map_err(|error| Error::Internal(error.to_string()))?;
    let variables = Variables::of_process();
    options.progress.step(Step::Services);
    let mut running = nothing(signals);
    let outcome = match service {
        Service::Rest => rest::serve(&mut running, &variables, options.file).await,
        Service::Auth => auth_alone::serve(&mut running, &options).await,
        other if options.file.is_some() => Err(Error::NoFile(other.to_string())),
        Service::Realtime => serve_realtime(&mut running, &variables).await,
        Service::Storage => serve_storage(&mut running, &variables).await,
        Service::Imgproxy => serve_imgproxy(&mut running, &variables).await,
        other => Err(Error::CannotServe(other.to_string())),
    };
    match outcome {
        Ok(()) => running.wait().await,
        Err(error) => {
            running.stop().await;
            Err(error)
        }
    }
}

async fn serve_realtime(running: &mut Running, variables: &Variables) -> Result<(), Error> {
    let refused = |reason: String| Error::Settings { service: "realtime", reason };
    let environment = realtime::Environment::from_env(|name| variables.get(name))
        .map_err(|error| refused(error.to_string()))?;
    let login = ConnectConfig::parse_with(&environment.database_url, |name| variables.get(name))
        .map_err(|error| Error::DatabaseUrl(error.to_string()))?;
    let keys = |secret: &str, jwks: Option<&str>| {
        let set = match jwks {
            Some(jwks) => KeySet::from_jwks(jwks),
            None => Ok(KeySet::empty()),
        };
        set.and_then(|set| set.with_secret(secret, None))
            .map(|set| KeyRing::new(set).for_any_hmac())
            .map_err(|error| refused(error.to_string()))
    };
    let ring = keys(&environment.jwt_secret, environment.jwt_jwks.as_deref())?;
    // Before the pool registers its own.
    let figures = measured(running)?;
    let metrics =
        environment.secrets.metrics_secret.as_deref().map(|secret| keys(secret, None)).transpose()?;
    let management = realtime::http::Management {
        api: Some(keys(&environment.jwt_secret, None)?),
        metrics,
        render: Some(Arc::new(move || figures.render())),
        secrets: environment.secrets,
    };
    for ledger in [&bootstrap::ledgers::realtime::CONTROL_PLANE, &bootstrap::ledgers::realtime::LEDGER] {
        let applied = bootstrap::migrate(&login, ledger).await?;
        tracing::info!(
            applied = applied.len(),
            service = ledger.service,
            "the realtime tables are up to date"
        );
    }
    let limits = PoolConfig {
        name: "realtime_authorization",
        max_size: environment.pool_size.max(1),
        ..PoolConfig::default()
    };
    // Policies are never evaluated in sessions that may become more than a client.
    let evaluation = login
        .clone()
        .with_user(&environment.evaluation_user)
        .with_password(Some(&environment.evaluation_password));
    Connection::connect(&evaluation).await.map_err(|error| {
        refused(format!(
            "{} cannot sign in, under whom policies are evaluated: {error} (DB_AUTHENTICATOR_USER and \
             DB_AUTHENTICATOR_PASSWORD; by default authenticator and DB_PASSWORD)",
            environment.evaluation_user
        ))
    })?;
    let pool = Pool::new(login.clone(), crate::settings::realtime::administration());
    let authorization = Pool::new(evaluation.clone(), limits);
    running.pools.extend([pool.clone(), authorization.clone()]);
    let surroundings = realtime::Surroundings {
        pool,
        authorization,
        replication: login,
        evaluation,
        ring,
        management,
        upkeep: crate::settings::realtime::UPKEEP,
    };
    let realtime = realtime::Realtime::start(environment.config, surroundings);
    if variables.get("SEED_SELF_HOST").as_deref() == Some("true") {
        let part = |name: &str| variables.get(name).unwrap_or_default();
        let login = [
            ("db_host", part("DB_HOST")),
            ("db_name", part("DB_NAME")),
            ("db_user", part("DB_USER")),
            ("db_port", part("DB_PORT")),
            ("db_password", part("DB_PASSWORD")),
        ];
        let seeded = realtime.seed(&environment.jwt_secret, &login).await;
        seeded.map_err(|error| refused(error.to_string()))?;
    }
    let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), environment.port);
    let bound = open(running, address, realtime.router(), DRAIN, "PORT")?;
    running.services.push(Box::pin(realtime.stop()));
    running.addresses.api = Some(bound);
    Ok(())
}

async fn serve_storage(running: &mut Running, variables: &Variables) -> Result<(), Error> {
    let refused = |reason: String| Error::Settings { service: "storage", reason };
    let environment = storage::Environment::from_env(|name| variables.get(name))
        .map_err(|error| refused(error.to_string()))?;
    let parse = |url: &str| {
        ConnectConfig::parse_with(url, |name| variables.get(name))
            .map_err(|error| Error::DatabaseUrl(error.to_string()))
    };
    let login = parse(&environment.database_url)?;
    let keys = match environment.jwks.as_deref().map(KeySet::from_jwks) {
        // A set without keys is as good as none: the secret is there.
        None | Some(Err(KeyError::Empty)) => Ok(KeySet::empty()),
        Some(keys) => keys,
    };
    let keys = keys
        .and_then(|keys| keys.with_secret(&environment.jwt_secret, None))
        .map_err(|error| refused(error.to_string()))?;
    let ring = if environment.any_hmac { KeyRing::new(keys).for_any_hmac() } else { KeyRing::new(keys) };
    for ledger in [&bootstrap::ledgers::storage::LEDGER, &bootstrap::ledgers::storage::BLOBS] {
        let applied = bootstrap::migrate(&login, ledger).await?;
        tracing::info!(
            applied = applied.len(),
            service = ledger.service,
            "the storage tables are up to date"
        );
    }
    let limits = PoolConfig {
        name: "storage",
        max_size: environment.pool_size,
        acquire_timeout: environment.pool_timeout,
        ..PoolConfig::default()
    };
    let pool = match &environment.pool_url {
        Some(url) => Pool::new(parse(url)?, limits),
        None => Pool::new(login, limits),
    };
    running.pools.push(pool.clone());
    let metrics = measured(running)?;
    let (store, adopts) = crate::settings::storage::open(environment.backend)?;
    let storage = storage::Storage::start(environment.config, pool, ring, store, adopts);
    let (host, port) = environment.listen;
    let ip = match host.as_str() {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        text => text.parse().map_err(|_| refused(format!("SERVER_HOST: {text:?} is no address")))?,
    };
    let limits = gateway::Limits {
        idle_timeout: environment.keep_alive,
        head_timeout: environment.headers_timeout,
        ..gateway::Limits::default()
    };
    let listener = listen::bind(SocketAddr::new(ip, port), "the service", "SERVER_PORT")?;
    let bound = listener.local_addr().map_err(|error| Error::Internal(error.to_string()))?;
    let metrics: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(move || metrics.render());
    let figures = metrics.clone();
    let router = storage.router().route("/metrics", axum::routing::get(move || async move { figures() }));
    serve_router(running, listener, router, limits, DRAIN);
    for door in crate::settings::storage::doors(|name| variables.get(name))? {
        open(running, door.address, door.router(&storage), DRAIN, door.setting)?;
    }
    let admin = storage.admin_router(metrics);
    open(running, SocketAddr::new(ip, environment.admin_port), admin, DRAIN, "SERVER_ADMIN_PORT")?;
    running.services.push(Box::pin(storage.stop()));
    running.addresses.api = Some(bound);
    Ok(())
}

/// How long imgproxy's requests in flight may take to finish at a stop, as long as the original gives them.
const IMGPROXY_DRAIN: Duration = Duration::from_secs(5);

async fn serve_imgproxy(running: &mut Running, variables: &Variables) -> Result<(), Error> {
    let refused = |reason: String| Error::Settings { service: "imgproxy", reason };
    let environment = imgproxy::Environment::from_env(|name| variables.get(name))
        .map_err(|error| refused(error.to_string()))?;
    let address = |name: &str, bind: &str| {
        let (host, port) = bind.rsplit_once(':').unwrap_or(("", bind));
        let port: u16 = port.parse().map_err(|_| refused(format!("{name}: {port:?} is no port")))?;
        let ip = match host.trim_start_matches('[').trim_end_matches(']') {
            "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            text => text.parse().map_err(|_| refused(format!("{name}: {text:?} is no address")))?,
        };
        Ok::<_, Error>(SocketAddr::new(ip, port))
    };
    let door = address("IMGPROXY_BIND", &environment.bind)?;
    if let Some(bind) = &environment.metrics_bind {
        let metrics = measured(running)?;
        let figures = Router::new().fallback(move || std::future::ready(metrics.render()));
        open(
            running,
            address("IMGPROXY_PROMETHEUS_BIND", bind)?,
            figures,
            DRAIN,
            "IMGPROXY_PROMETHEUS_BIND",
        )?;
    }
    let mut limits = gateway::Limits {
        head_timeout: environment.read_timeout,
        // None at all would be a connection for each request.
        idle_timeout: environment.keep_alive.max(Duration::from_secs(1)),
        ..gateway::Limits::default()
    };
    if environment.max_clients > 0 {
        limits.max_connections = environment.max_clients;
    }
    let service =
        imgproxy::Imgproxy::start(environment.config).await.map_err(|error| refused(error.to_string()))?;
    let listener = listen::bind(door, "the service", "IMGPROXY_BIND")?;
    let bound = listener.local_addr().map_err(|error| Error::Internal(error.to_string()))?;
    serve_router(running, listener, service.router(), limits, IMGPROXY_DRAIN);
    running.addresses.api = Some(bound);
    Ok(())
}

/// The figures of a process, which are kept from growing while nobody reads them.
fn measured(running: &mut Running) -> Result<telemetry::metrics::Metrics, Error> {
    let metrics = telemetry::metrics::install()?;
    running.tasks.push(tokio::spawn(crate::start::upkeep(metrics.clone())));
    Ok(metrics)
}

/// Serves a router as it is.
fn open(
    running: &mut Running,
    address: SocketAddr,
    router: Router,
    drain: Duration,
    setting: &'static str,
) -> Result<SocketAddr, Error> {
    let listener = listen::bind(address, "the service", setting)?;
    let bound = listener.local_addr().map_err(|error| Error::Internal(error.to_string()))?;
    serve_router(running, listener, router, gateway::Limits::default(), drain);
    Ok(bound)
}

fn serve_router(
    running: &mut Running,
    listener: impl gateway::Accept + Sync + 'static,
    router: Router,
    limits: gateway::Limits,
    drain: Duration,
) {
    let serving = listen::serve(listener, router, limits, running.close.subscribe(), drain);
    running.listeners.push(serving);
}

/// Takes a socket away when nobody serves it any more.
async fn remove(socket: PathBuf) {
    if let Err(error) = tokio::fs::remove_file(&socket).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, socket = %socket.display(), "cannot remove the socket");
    }
}

/// Listens as soon as the database answers. Until then the service says for itself that it has no database. Tells whether
/// it listens at the moment.
fn subscribe(
    running: &mut Running,
    login: ConnectConfig,
    subscription: Subscription,
) -> watch::Receiver<bool> {
    let (listening, state) = watch::channel(false);
    let waiting = tokio::spawn(async move {
        let told = Arc::new(subscription.told);
        let mut pause = Duration::from_millis(250);
        loop {
            let told_now = told.clone();
            let once = Subscription {
                channel: subscription.channel.clone(),
                told: Box::new(move |payload| told_now(payload)),
            };
            match Notifications::start(login.clone(), vec![once]).await {
                Ok(notifications) => {
                    // What was announced before we listened was missed.
                    told(None);
                    let mut connected = notifications.connected();
                    loop {
                        listening.send_replace(*connected.borrow_and_update());
                        if connected.changed().await.is_err() {
                            break;
                        }
                    }
                    listening.send_replace(false);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot listen for notifications yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(32));
                }
            }
        }
    });
    running.services.push(Box::pin(async move {
        waiting.abort();
        let _ = waiting.await;
    }));
    state
}

fn nothing(signals: Signals) -> Running {
    Running {
        addresses: Addresses::default(),
        signals,
        info: Info::of_one_service(),
        control: None,
        failure: None,
        close: watch::Sender::new(false),
        listeners: Vec::new(),
        tasks: Vec::new(),
        notifications: None,
        services: Vec::new(),
        pools: Vec::new(),
        postgres: None,
        notices: Vec::new(),
    }
}
