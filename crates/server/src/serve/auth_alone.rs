//! Auth alone: as GoTrue's container runs, with its files of variables.
//!
//! `.env` in the working directory stands below the process's environment; the file and the folder that the command line names
//! stand above it. The folder is looked at while the service runs: a changed configuration is taken over if it is good.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Environment;
use database::{ConnectConfig, Pool, PoolConfig};
use tokens::KeyRing;

use super::{DRAIN, ServeOptions, open};
use crate::Error;
use crate::reload::{self, Schedule};
use crate::running::Running;

/// Where the configuration is.
struct Sources {
    process: Environment,
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
}

impl Sources {
    fn read(&self) -> Result<Environment, Error> {
        let mut variables = self.process.clone();
        match &self.file {
            None => {
                variables.put_file_below(Path::new(".env"))?;
            }
            Some(file) if variables.put_file(file)? => {}
            Some(file) => return Err(refused(format!("there is no file {}", file.display()))),
        }
        for file in self.folder.iter().flat_map(|folder| files(folder)) {
            variables.put_file(&file)?;
        }
        Ok(variables)
    }
}

/// The files of variables in a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "env") && path.is_file())
        .collect();
    files.sort();
    files
}

fn refused(reason: String) -> Error {
    Error::Settings { service: "auth", reason }
}

fn settings(variables: &Environment) -> Result<auth::Environment, Error> {
    auth::Environment::from_env(|name| variables.get(name).map(str::to_owned))
        .map_err(|error| refused(error.to_string()))
}

pub(super) async fn serve(running: &mut Running, options: &ServeOptions) -> Result<(), Error> {
    let sources = Arc::new(Sources {
        process: Environment::from_process(std::env::vars_os()),
        file: options.file.clone(),
        folder: options.folder.clone(),
    });
    let variables = sources.read()?;
    let environment = settings(&variables)?;
    let login =
        ConnectConfig::parse_with(&environment.database_url, |name| variables.get(name).map(str::to_owned))
            .map_err(|error| Error::DatabaseUrl(error.to_string()))?;
    let keys = environment.signing.key_set().map_err(|error| refused(error.to_string()))?;
    let limits = PoolConfig {
        name: "auth",
        max_size: environment.pool_size.unwrap_or(crate::settings::auth::POOL_SIZE),
        ..PoolConfig::default()
    };
    // As the original does at its start. It signs in past any pooler, like the original.
    let applied = bootstrap::migrate(&login, &bootstrap::ledgers::auth::LEDGER).await?;
    tracing::info!(applied = applied.len(), "the auth tables are up to date");
    let pool = Pool::new(login, limits);
    running.pools.push(pool.clone());
    let ring = KeyRing::new(keys);
    let auth = auth::Service::start(environment.config, pool, ring.clone(), None)
        .map_err(|error| refused(error.to_string()))?;
    let router = auth.router();
    if let Some(folder) = options.folder.clone() {
        let auth::Reloading { look, signal, grace } = environment.reloading;
        let live = Live { auth: auth.clone(), ring, sources };
        let watching = reload::watch(
            Schedule { look, signal, grace },
            move || files(&folder),
            move || {
                let live = live.clone();
                async move { live.reload() }
            },
        );
        running.tasks.push(tokio::spawn(watching));
    }
    running.services.push(Box::pin(auth.stop()));
    let (host, port) = environment.listen;
    let ip = match host.as_str() {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        text => text.parse().map_err(|_| refused(format!("GOTRUE_API_HOST: {text:?} is no address")))?,
    };
    let bound = open(running, SocketAddr::new(ip, port), router, DRAIN, "PORT")?;
    running.addresses.api = Some(bound);
    Ok(())
}

/// A running service and where its configuration comes from.
#[derive(Clone)]
struct Live {
    auth: auth::Service,
    ring: KeyRing,
    sources: Arc<Sources>,
}

impl Live {
    fn reload(&self) {
        if let Err(error) = self.try_reload() {
            tracing::error!(%error, "the new configuration is not used, the one before stays");
        }
    }

    fn try_reload(&self) -> Result<(), Error> {
        let variables = self.sources.read()?;
        let environment = settings(&variables)?;
        let keys = environment.signing.key_set().map_err(|error| refused(error.to_string()))?;
        self.auth.reload(environment.config).map_err(|error| refused(error.to_string()))?;
        self.ring.replace(keys);
        Ok(())
    }
}
