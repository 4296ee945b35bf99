//! From flags to a configuration, and to logging.

use std::env;
use std::path::PathBuf;

use config::{Config, Environment, Flags, Paths};

use crate::cli::{Global, Place, Stack};
use crate::failure::Failure;

/// The configuration with every flag applied.
pub(crate) fn of_stack(global: &Global, stack: &Stack) -> Result<Config, Failure> {
    load(Flags {
        db_url: stack.db_url.clone(),
        data_dir: stack.place.data_dir.clone(),
        port: stack.port,
        db_port: stack.db_port,
        host: stack.host.clone(),
        only: stack.only.clone(),
        exclude: stack.exclude.clone(),
        ephemeral: stack.ephemeral,
        production: stack.production,
        ..of_global(global)
    })
}

/// Where the installation is, for commands that need to know no more.
pub(crate) fn place(global: &Global, place: &Place) -> Result<Paths, Failure> {
    let flags = Flags { data_dir: place.data_dir.clone(), ..of_global(global) };
    Ok(Paths::locate(&flags, Environment::from_process(env::vars_os()), &current_folder()?)?)
}

/// The flags that every command takes.
pub(crate) fn of_global(global: &Global) -> Flags {
    Flags {
        workdir: global.workdir.clone(),
        config: global.config.clone(),
        env_file: global.env_file.clone(),
        ..Flags::default()
    }
}

/// Reads all sources.
pub(crate) fn load(flags: Flags) -> Result<Config, Failure> {
    Ok(Config::load(&flags, Environment::from_process(env::vars_os()), &current_folder()?)?)
}

fn current_folder() -> Result<PathBuf, Failure> {
    env::current_dir().map_err(|error| {
        Failure::new(format!("the current folder cannot be read: {error}"))
            .hint("change into a folder that exists")
    })
}

/// Starts logging, as `-q`, `-v`, the configuration and `MONOBASE_LOG_FORMAT` ask for.
pub(crate) fn start_logging(quiet: bool, verbose: u8, config: Option<&Config>) -> Result<(), Failure> {
    let configured = config.and_then(|config| config.file.monobase.log.clone());
    let filter = configured.or_else(|| env::var("MONOBASE_LOG").ok().filter(|filter| !filter.is_empty()));
    let filter = match (filter, quiet, verbose) {
        (Some(filter), ..) => filter,
        (None, true, _) => "error".to_owned(),
        (None, false, 0) => telemetry::log::DEFAULT_FILTER.to_owned(),
        (None, false, 1) => telemetry::log::DEFAULT_FILTER.replace("=info", "=debug"),
        (None, false, _) => "debug".to_owned(),
    };
    let production = config.is_some_and(|config| config.production);
    let format = match env::var("MONOBASE_LOG_FORMAT").as_deref() {
        Ok("json") => telemetry::log::Format::Json,
        Ok("text") => telemetry::log::Format::Text,
        Ok("") | Err(_) if production => telemetry::log::Format::Json,
        Ok("") | Err(_) => telemetry::log::Format::Text,
        Ok(_) => return Err(Failure::new("MONOBASE_LOG_FORMAT must be \"text\" or \"json\"")),
    };
    Ok(telemetry::log::init(format, &filter)?)
}

/// Threads for what blocks (files, mostly), of each runtime; each costs memory once it was needed.
const BLOCKING: usize = 32;

/// How many threads serve requests: `MONOBASE_THREADS`, or as many as there are cores.
fn threads() -> Result<usize, Failure> {
    if let Ok(given) = env::var("MONOBASE_THREADS") {
        return match given.parse() {
            Ok(count @ 1..=1024) => Ok(count),
            _ => Err(Failure::new("MONOBASE_THREADS must be a number from 1 to 1024")),
        };
    }
    Ok(std::thread::available_parallelism().map_or(2, usize::from).max(2))
}

/// Runs a server on a runtime of its own, with threads for its connections.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    server::start_workers(threads()?, BLOCKING)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads()?)
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(std::time::Duration::from_secs(5))
        .thread_name("monobase")
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

/// Runs a short exchange on this thread.
pub(crate) fn block_on_here<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
