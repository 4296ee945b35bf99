//! A running cluster.

use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use database::{ConnectConfig, Connection};
use tokio::sync::watch;

use crate::{
    Engine, Error, Options, SUPERUSER, State,
    create::{self, Durability},
    identity::Identity,
    launch::Launch,
    leftover, port,
    supervisor::Supervisor,
};

/// One PostgreSQL over one data folder. Dropping it stops PostgreSQL and waits for that; [`Cluster::stop`] does the
/// same without blocking the thread.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the lock is given back when PostgreSQL is gone.
    supervisor: Supervisor,
    _lock: Lock,
    folder: PathBuf,
    socket: PathBuf,
    port: u16,
    tcp: Option<SocketAddr>,
    password: String,
    created: bool,
    stop_timeout: Duration,
}

impl Cluster {
    /// Starts PostgreSQL over `options.folder`, making the data when there is none, and returns when it accepts
    /// connections: in about 60 ms, the first time in about half a second, after a crash when recovery is done.
    pub async fn start(engine: &Engine, options: Options) -> Result<Self, Error> {
        let engine = engine.clone();
        match tokio::task::spawn_blocking(move || Self::start_blocking(&engine, options)).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::StartFailed("the runtime is shutting down".into())),
        }
    }

    fn start_blocking(engine: &Engine, mut options: Options) -> Result<Self, Error> {
        let folder = make_folder(&options.folder)?;
        create::check_format(&folder)?;
        let lock = lock(&folder)?;
        let data = folder.join("data");
        let named = || env::var("MONOBASE_PG_USER").ok().filter(|name| !name.is_empty());
        let user = options.user.take().or_else(named);
        let identity = Identity::choose(user.as_deref(), &data)?;
        let created = !data.exists();
        if !created {
            create::check_data(engine, &data)?;
            create::check_owner(&data, &identity)?;
            leftover::clear(&data)?;
        }
        // Before anything is made: a first start that cannot end well leaves nothing behind.
        options.tcp = options.tcp.map(port::claim).transpose()?;
        if created {
            create::create(engine, &options, &folder, &identity)?;
        } else {
            create::configure(&options, &data, &identity)?;
            if create::read_password(&folder)?.is_none() {
                create::set_password(engine, &folder, &data, &identity, Durability::Now)?;
            }
        }
        let mut password = create::read_password(&folder)?
            .ok_or_else(|| Error::StartFailed("its superuser has no password".into()))?;
        let launch = Launch::new(engine, &options, &folder, &data, &identity)?;
        let (socket, port) = (launch.socket().to_owned(), launch.port());
        let mut supervisor = Supervisor::start(launch)?;
        // Somebody may have changed it in SQL. Then a new one is set, rather than being locked out for good.
        if !created && !fits(&socket, port, &password)? {
            tracing::warn!("the password of {SUPERUSER} was changed; it gets a new one");
            supervisor.stop(options.stop_timeout);
            create::set_password(engine, &folder, &data, &identity, Durability::Now)?;
            password = create::read_password(&folder)?.unwrap_or_default();
            supervisor = Supervisor::start(Launch::new(engine, &options, &folder, &data, &identity)?)?;
        }
        let Options { tcp, stop_timeout, .. } = options;
        Ok(Self { supervisor, _lock: lock, folder, socket, port, tcp, password, created, stop_timeout })
    }

    /// How to connect over the socket, to the database `postgres`. The superuser's password is filled in; others get
    /// theirs from whoever sets it.
    pub fn connect_config(&self, user: &str) -> ConnectConfig {
        let config = ConnectConfig::unix(&self.socket, self.port, user).with_database("postgres");
        if user == SUPERUSER { config.with_password(Some(&self.password)) } else { config }
    }

    /// How PostgreSQL is; changes can be waited for.
    pub fn state(&self) -> watch::Receiver<State> {
        self.supervisor.state()
    }

    /// The folder of the socket.
    pub fn socket_folder(&self) -> &Path {
        &self.socket
    }

    /// The number in the socket's name: that of the TCP port, or 5432 without one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's password, for tools that are given a connection string.
    pub fn superuser_password(&self) -> &str {
        &self.password
    }

    /// Where PostgreSQL listens on TCP, with the port that was chosen.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// The cluster's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether this start made the data directory.
    pub fn created(&self) -> bool {
        self.created
    }

    /// The postmaster's process id; `None` between a death and the restart.
    pub fn process(&self) -> Option<u32> {
        self.supervisor.process()
    }

    /// Ends PostgreSQL: running transactions are rolled back, a checkpoint is written, the next start needs no recovery.
    pub async fn stop(self) {
        // The runtime waits for blocking work when it shuts down, so this is finished even if nobody awaits it.
        let stopped = tokio::task::spawn_blocking(move || {
            let Self { mut supervisor, _lock, stop_timeout, .. } = self;
            supervisor.stop(stop_timeout);
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "PostgreSQL was not stopped in an orderly way");
        }
    }
}

/// Whether the superuser can sign in with the password.
fn fits(socket: &Path, port: u16, password: &str) -> Result<bool, Error> {
    let config = superuser(socket, port, password);
    match tokio::runtime::Handle::current().block_on(Connection::connect(&config)) {
        Ok(_) => Ok(true),
        Err(error) if error.sqlstate().is_some_and(|code| code.as_str() == "28P01") => Ok(false),
        Err(error) => Err(Error::StartFailed(format!("it does not let us in: {error}"))),
    }
}

fn superuser(socket: &Path, port: u16, password: &str) -> ConnectConfig {
    ConnectConfig::unix(socket, port, SUPERUSER).with_database("postgres").with_password(Some(password))
}

fn make_folder(wanted: &Path) -> Result<PathBuf, Error> {
    let make = |error| Error::io("cannot make", wanted, error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(wanted).map_err(make)?;
    fs::canonicalize(wanted).map_err(make)
}

/// The held lock of a cluster's folder.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being spawned at this moment has a copy of the descriptor until it
        // runs its program, and with it the lock.
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "the lock is given back when this process ends");
        }
    }
}

/// Takes the folder's lock, which the kernel gives back however we end, and notes down who holds it.
fn lock(folder: &Path) -> Result<Lock, Error> {
    let path = folder.join("lock");
    let io = |error| Error::io("cannot lock", &path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Only for the message: the holder may be writing it at this moment.
            let _ = file.read_to_string(&mut text);
            return Err(Error::Locked { folder: folder.to_owned(), process: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(io)?;
    Ok(Lock(file))
}
