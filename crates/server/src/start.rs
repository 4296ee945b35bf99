//! The start of the whole, in order.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use config::{Config, Service};
use embedded_postgres::State as Engine;
use gateway::{Gateway, Mount, State, Surroundings, Upstream};
use telemetry::events::Bus;
use telemetry::metrics::Metrics;
use tokens::KeyRing;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::control::Control;
use crate::first_start::FirstStart;
use crate::health::Board;
use crate::mailbox::Mailbox;
use crate::notifications::{Notifications, Subscription};
use crate::options::{Progress, StartOptions, Step};
use crate::postgres::Postgres;
use crate::reload::{self, Schedule};
use crate::roles::DatabaseRoles;
use crate::running::{Addresses, Running};
use crate::signals::Signals;
use crate::{Error, Info, format, listen, seeded_buckets, settings, third_party};

/// The services of this build that answer behind the front door.
const BUILT: [(Service, gateway::Service); 4] = [
    (Service::Rest, gateway::Service::Rest),
    (Service::Auth, gateway::Service::Auth),
    (Service::Realtime, gateway::Service::Realtime),
    (Service::Storage, gateway::Service::Storage),
];

/// How long requests in flight may take to finish at a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the start waits for the catalogue, and how often it looks.
const CATALOGUE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);

/// How often an outside database is asked whether it is there, and how long it may take.
const PROBE: Duration = Duration::from_secs(5);

/// How often recorded samples are folded into histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts everything that the configuration chooses, and returns when all of it answers.
///
/// The front door listens almost at once and lets requests wait. A failure, or a signal, ends what had been started.
pub async fn start(options: StartOptions) -> Result<Running, Error> {
    let mut signals = Signals::listen().map_err(|error| Error::Internal(error.to_string()))?;
    let mut starting = Starting::begin(options).await?;
    let outcome = tokio::select! {
        outcome = starting.bring_up() => outcome,
        () = signals.next() => Err(Error::Interrupted),
    };
    let running = starting.into_running(signals);
    match outcome {
        Ok(()) => {
            if let Some(control) = &running.control {
                control.ready(running.info.clone());
            }
            Ok(running)
        }
        Err(error) => {
            running.stop().await;
            Err(error)
        }
    }
}

/// A start under way: what [`Running`] will own, as far as it exists.
struct Starting {
    config: Config,
    progress: Progress,
    door: Gateway,
    roles: Arc<DatabaseRoles>,
    ring: KeyRing,
    board: Arc<Board>,
    addresses: Addresses,
    control: Option<Control>,
    close: watch::Sender<bool>,
    listeners: Vec<JoinHandle<std::io::Result<()>>>,
    /// The mail catcher, for mails that no other server is configured for.
    carrier: Option<Arc<dyn mail::Carrier>>,
    upkeep: JoinHandle<()>,
    watch: Option<JoinHandle<()>>,
    notifications: Option<Notifications>,
    services: Vec<crate::notifications::Stop>,
    pools: Vec<database::Pool>,
    postgres: Option<Postgres>,
    notices: Vec<String>,
}

impl Starting {
    /// All that needs no database: checks, the folder, the control socket, the front door.
    async fn begin(options: StartOptions) -> Result<Self, Error> {
        let StartOptions { config, progress } = options;
        config.check_start()?;
        settings::gateway::check(&config)?;
        format::prepare(&config.paths.state)?;
        let metrics = telemetry::metrics::install()?;
        let ring = KeyRing::new(config.keys.key_set()?);
        let board = Arc::new(Board::default());
        let roles = Arc::new(DatabaseRoles::default());
        let mut addresses = Addresses::default();
        let listener = if config.services.contains(&Service::Gateway) {
            let listener = listen::bind(config.listen.api, "the API", "--port")?;
            let bound = listener.local_addr().map_err(|error| Error::Internal(error.to_string()))?;
            addresses.api = Some(bound);
            Some(listener)
        } else {
            None
        };
        let mailbox = Mailbox::bind(&config)?;
        let control = Control::open(&config.paths.control_socket()).await?;
        let door_settings = settings::gateway::settings(&config);
        let limits = door_settings.connection.clone();
        let door = Gateway::new(
            door_settings,
            Surroundings {
                ring: ring.clone(),
                api_keys: config.keys.api.clone(),
                roles: roles.clone(),
                health: board.clone(),
                metrics: renderer(&metrics),
                events: Bus::new(),
            },
        );
        announce(&door, &board, &config.services);
        let (close, closed) = watch::channel(false);
        let mut listeners: Vec<_> = listener
            .map(|listener| {
                tokio::spawn(gateway::serve(listener, Arc::new(door.clone()), limits, closed, DRAIN))
            })
            .into_iter()
            .collect();
        let mut carrier = None;
        if let Some(mailbox) = mailbox {
            addresses.inbox = Some(mailbox.address()?);
            addresses.inbox_smtp = mailbox.smtp_address();
            carrier = Some(mailbox.carrier(&config));
            listeners.extend(mailbox.serve(&close));
        }
        Ok(Self {
            config,
            progress,
            door,
            roles,
            ring,
            board,
            addresses,
            control: Some(control),
            close,
            listeners,
            carrier,
            upkeep: tokio::spawn(upkeep(metrics)),
            watch: None,
            notifications: None,
            services: Vec::new(),
            pools: Vec::new(),
            postgres: None,
            notices: Vec::new(),
        })
    }

    /// The database, what must be in it, and the services on top.
    async fn bring_up(&mut self) -> Result<(), Error> {
        let postgres = Postgres::start(&self.config, &self.progress).await?;
        if let Some(state) = postgres.state() {
            self.board.watch(state.clone());
            self.watch = Some(tokio::spawn(suspend(self.door.clone(), state)));
        }
        self.addresses.database = postgres.tcp();
        let first = FirstStart::of(&self.config.paths.state, &postgres.place());
        if postgres.created() {
            first.begin()?;
        }
        let postgres = self.postgres.insert(postgres);
        self.progress.step(Step::Bootstrap);
        let report = bootstrap::apply(postgres.admin(), &bootstrap_options(&self.config, postgres)).await?;
        if report.outcome == bootstrap::Outcome::Created {
            first.begin()?;
        }
        report_bootstrap(&report, &mut self.notices);
        if first.is_unfinished() {
            self.progress.step(Step::Migrations);
            let login = postgres.direct_login("postgres");
            let applied = project::apply(&login, &project_options(&self.config)).await?;
            tracing::info!(
                migrations = applied.applied.len(),
                seeds = applied.seeded.len(),
                "the project was applied"
            );
            first.end()?;
        }
        self.board.database_is(State::Up);
        self.progress.step(Step::Services);
        self.start_services().await
    }

    async fn start_services(&mut self) -> Result<(), Error> {
        let rest_settings = settings::rest::settings(&self.config)?;
        let rest_pool = self.pool("authenticator", rest_settings.pool())?;
        self.roles.connect(rest_pool.clone());
        if self.postgres()?.state().is_none() {
            let probing = probe(self.board.clone(), rest_pool.clone());
            self.watch = Some(tokio::spawn(probing));
        }
        self.trust_issuers()?;
        if self.config.services.contains(&Service::Auth) {
            self.start_auth()?;
        }
        if self.config.services.contains(&Service::Realtime) {
            self.start_realtime()?;
        }
        if self.config.services.contains(&Service::Storage) {
            self.start_storage().await?;
        }
        if self.config.services.contains(&Service::Rest) {
            self.start_rest(rest_settings, rest_pool).await?;
        }
        Ok(())
    }

    /// Nobody waits for the issuers' keys: their tokens are refused until they are there.
    fn trust_issuers(&mut self) -> Result<(), Error> {
        let issuers = third_party::configured(&self.config.file.auth.third_party)
            .map_err(|reason| Error::Settings { service: "auth", reason })?;
        if !issuers.is_empty() {
            let keeping = tokio::spawn(third_party::keep(self.ring.clone(), issuers));
            self.services.push(Box::pin(async move {
                keeping.abort();
                let _ = keeping.await;
            }));
        }
        Ok(())
    }

    fn start_auth(&mut self) -> Result<(), Error> {
        let port = self.addresses.api.unwrap_or(self.config.listen.api).port();
        let auth_settings = settings::auth::settings(&self.config, &self.config.public_url(port))?;
        let pool = self.pool("supabase_auth_admin", settings::auth::pool(&self.config))?;
        let carrier = self.carrier.clone();
        if carrier.is_none() && !settings::auth::has_mail_server(&self.config) {
            self.notices.push("no mail server is configured (auth.email.smtp): mails are dropped".to_owned());
        }
        let auth = auth::Service::start(auth_settings, pool, self.ring.clone(), carrier)
            .map_err(|error| Error::Settings { service: "auth", reason: error.to_string() })?;
        self.door.mount(gateway::Service::Auth, Mount::Running(auth.router().into()));
        let watching = tokio::spawn(keep_auth_configured(self.config.clone(), port, auth.clone()));
        self.services.push(Box::pin(async move {
            watching.abort();
            let _ = watching.await;
            auth.stop().await;
        }));
        self.board.service_is(Service::Auth, State::Up);
        Ok(())
    }

    fn start_realtime(&mut self) -> Result<(), Error> {
        let service_settings = settings::realtime::settings(&self.config)?;
        let limits = settings::realtime::pool(&self.config);
        let pool = self.pool("supabase_admin", settings::realtime::administration())?;
        let authorization = self.pool("authenticator", limits)?;
        let surroundings = realtime::Surroundings {
            pool,
            authorization,
            evaluation: self.postgres()?.direct_login("authenticator"),
            replication: self.postgres()?.direct_login("supabase_admin"),
            ring: self.ring.clone().for_any_hmac(),
            management: realtime::http::Management {
                api: Some(self.ring.clone().for_any_hmac()),
                ..realtime::http::Management::default()
            },
            upkeep: settings::realtime::UPKEEP,
        };
        let realtime = realtime::Realtime::start(service_settings, surroundings);
        self.door.mount(gateway::Service::Realtime, Mount::Running(realtime.router().into()));
        self.services.push(Box::pin(realtime.stop()));
        self.board.service_is(Service::Realtime, State::Up);
        Ok(())
    }

    async fn start_storage(&mut self) -> Result<(), Error> {
        let service_settings = settings::storage::settings(&self.config)?;
        let (store, adopts) = settings::storage::open(settings::storage::backend(&self.config)?)?;
        let pool = self.pool("supabase_storage_admin", settings::storage::pool(&self.config))?;
        let storage = storage::Storage::start(service_settings, pool, self.ring.clone(), store, adopts);
        let ours = |name: &str| {
            let environment = &self.config.environment;
            // Names of R2 say where an application finds its objects: here they only open a door to them.
            let value = environment.get(&format!("MONOBASE_{name}")).or_else(|| environment.get(name));
            value.map(str::to_owned)
        };
        for door in settings::storage::doors(ours)? {
            let listener = listen::bind(door.address, "storage", door.setting)?;
            let router = door.router(&storage);
            self.listeners.push(listen::serve(
                listener,
                router,
                gateway::Limits::default(),
                self.close.subscribe(),
                DRAIN,
            ));
        }
        let (buckets, objects) = seeded_buckets::make(storage.domain(), &self.config).await?;
        if buckets > 0 {
            tracing::info!(buckets, objects, "buckets of the configuration were made");
        }
        self.door.mount(gateway::Service::Storage, Mount::Running(storage.router().into()));
        self.services.push(Box::pin(storage.stop()));
        self.board.service_is(Service::Storage, State::Up);
        Ok(())
    }

    /// Listens for schema changes before the catalogue is read for the first time, so that none is missed between.
    async fn start_rest(&mut self, settings: rest::Config, pool: database::Pool) -> Result<(), Error> {
        let started: Arc<OnceLock<rest::Rest>> = Arc::default();
        if settings.channel_enabled {
            let listening = started.clone();
            let told = move |payload: Option<&str>| {
                if let Some(rest) = listening.get() {
                    rest.notified(payload);
                }
            };
            let subscription = Subscription { channel: settings.channel.clone(), told: Box::new(told) };
            let login = self.postgres()?.direct_login("authenticator");
            // Signing in costs more than anything else here, so the pool does it meanwhile.
            let (listening, _) =
                tokio::join!(Notifications::start(login, vec![subscription]), pool.acquire());
            self.notifications = Some(listening?);
        }
        let rest = rest::Rest::start(settings, pool, Some(self.ring.clone()));
        // Nobody else sets it.
        let _ = started.set(rest.clone());
        let ready = rest.clone();
        self.services.push(Box::pin(rest.clone().stop()));
        let loaded = async {
            while !ready.is_ready() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(CATALOGUE, loaded).await.is_err() {
            // It goes on trying and answers 503 meanwhile; everything else can be used.
            self.notices.push("the rest service cannot read the database's schemas yet".to_owned());
        }
        let upstream = rest.clone();
        let upstream = Upstream::new(move |request| upstream.clone().answer(request));
        self.door.mount(gateway::Service::Rest, Mount::Running(upstream));
        self.board.ask(rest);
        self.board.service_is(Service::Rest, State::Up);
        Ok(())
    }

    fn postgres(&self) -> Result<&Postgres, Error> {
        self.postgres.as_ref().ok_or_else(|| Error::Internal("services without a database".to_owned()))
    }

    /// A pool that is closed at the end.
    fn pool(&mut self, role: &str, limits: database::PoolConfig) -> Result<database::Pool, Error> {
        let pool = self.postgres()?.pool(role, limits);
        self.pools.push(pool.clone());
        Ok(pool)
    }

    fn into_running(self, signals: Signals) -> Running {
        let info = Info::new(&self.config, &self.addresses, &BUILT.map(|(service, _)| service));
        Running {
            addresses: self.addresses,
            info,
            signals,
            control: self.control,
            failure: None,
            close: self.close,
            listeners: self.listeners,
            tasks: self.watch.into_iter().chain([self.upkeep]).collect(),
            notifications: self.notifications,
            services: self.services,
            pools: self.pools,
            postgres: self.postgres,
            notices: self.notices,
        }
    }
}

/// Says at the door which services will come, and which will not.
fn announce(door: &Gateway, board: &Board, chosen: &BTreeSet<Service>) {
    for (service, at_the_door) in BUILT {
        let mount = if chosen.contains(&service) {
            board.service_is(service, State::Starting);
            Mount::Starting
        } else {
            Mount::Off
        };
        door.mount(at_the_door, mount);
    }
}

pub(crate) fn bootstrap_options(config: &Config, postgres: &Postgres) -> bootstrap::Options {
    bootstrap::Options {
        class: postgres.class(),
        passwords: postgres.passwords(),
        auto_expose_new_tables: config.file.api.auto_expose_new_tables.unwrap_or(true),
        ..bootstrap::Options::default()
    }
    .with_jwt(Some(config.keys.jwt_secret.expose()), u64::from(config.file.auth.jwt_expiry))
}

fn project_options(config: &Config) -> project::ProjectOptions {
    let db = &config.file.db;
    project::ProjectOptions {
        migrations: db.migrations.enabled,
        seed: db.seed.enabled,
        seed_paths: db.seed.sql_paths.clone(),
        ..project::ProjectOptions::new(&config.paths.supabase)
    }
}

fn report_bootstrap(report: &bootstrap::Report, notices: &mut Vec<String>) {
    tracing::info!(outcome = ?report.outcome, applied = report.applied.len(), "the database is prepared");
    notices.extend(report.warnings.iter().cloned());
    if report.outcome == bootstrap::Outcome::Foreign {
        notices.push(
            "this is a Supabase database that monobase did not make: nothing was changed in it, and `monobase db adopt` \
             makes it ours"
                .to_owned(),
        );
        notices.extend(report.differences.iter().map(ToString::to_string));
    }
}

fn renderer(metrics: &Metrics) -> Box<dyn Fn() -> String + Send + Sync> {
    let metrics = metrics.clone();
    Box::new(move || metrics.render())
}

/// Closes the door's services while the embedded PostgreSQL restarts.
async fn suspend(door: Gateway, mut state: watch::Receiver<Engine>) {
    loop {
        let restarting = *state.borrow_and_update() == Engine::Restarting;
        door.suspend(restarting);
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Asks an outside database now and then whether it is there: nobody else tells us.
async fn probe(board: Arc<Board>, pool: database::Pool) {
    loop {
        tokio::time::sleep(PROBE).await;
        let asked = async { pool.acquire().await?.simple_query("select 1").await };
        let state = match tokio::time::timeout(PROBE, asked).await {
            Ok(Ok(_)) => State::Up,
            // It is there; we are only many.
            Ok(Err(database::Error::PoolTimeout { .. })) => continue,
            Ok(Err(_)) | Err(_) => State::Down,
        };
        board.database_is(state);
    }
}

/// Folds what was measured into its buckets, for ever.
pub(crate) async fn upkeep(metrics: Metrics) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.upkeep();
    }
}

/// How soon a change of a configuration's files is seen, and how long they must rest before they are read.
const LOOK_AT_FILES: Duration = Duration::from_secs(1);

/// Takes over what changes in the files of the configuration, as far as it concerns auth.
async fn keep_auth_configured(config: Config, port: u16, auth: auth::Service) {
    let files = config.sources().to_vec();
    let config = Arc::new(config);
    let schedule = Schedule { look: Some(LOOK_AT_FILES), signal: None, grace: LOOK_AT_FILES };
    let list = move || files.clone();
    reload::watch(schedule, list, move || {
        let (config, auth) = (config.clone(), auth.clone());
        async move {
            let read = move || {
                let fresh = config.reload().map_err(Error::from)?;
                let settings = settings::auth::settings(&fresh, &fresh.public_url(port))?;
                auth.reload(settings)
                    .map_err(|error| Error::Settings { service: "auth", reason: error.to_string() })
            };
            match tokio::task::spawn_blocking(read).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "the new configuration is not used, the one before stays");
                }
                Err(error) => tracing::error!(%error, "reading the configuration anew crashed"),
            }
        }
    })
    .await;
}
