//! Puts a configuration together from all its sources.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::environment::{Environment, project_files};
use crate::error::{ConfigError, Lines, Notice};
use crate::file::File;
use crate::keys::{self, Keys};
use crate::location::{self, DatabaseLocation};
use crate::origin::{Entry, Origin};
use crate::paths::Paths;
use crate::reader::{Field, Reader, TOLD_UNKNOWN};
use crate::secret::Secret;
use crate::services::{self, Service};

/// A `config.toml` larger than this is none.
const LARGEST_FILE: u64 = 1 << 20;

/// What the command line says. Empty and none mean that a flag was not given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--workdir`
    pub workdir: Option<PathBuf>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--env-file`
    pub env_file: Option<PathBuf>,
    /// `--db-url`
    pub db_url: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--port`: 0 picks free ports for everything.
    pub port: Option<u16>,
    /// `--db-port`
    pub db_port: Option<u16>,
    /// `--host`
    pub host: Option<String>,
    /// `--only`
    pub only: Vec<String>,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--ephemeral`
    pub ephemeral: bool,
    /// `--production`
    pub production: bool,
}

/// The addresses to bind. Port 0: any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The front door.
    pub api: SocketAddr,
    /// The embedded database.
    pub database: SocketAddr,
    /// Studio.
    pub studio: SocketAddr,
    /// The mail catcher's page.
    pub inbox: SocketAddr,
}

/// The effective configuration of one installation.
#[derive(Clone, Debug)]
pub struct Config {
    /// The keys of `config.toml`, each with the environment and the defaults applied.
    pub file: File,
    /// Where things are on disk.
    pub paths: Paths,
    /// The addresses to bind.
    pub listen: Listen,
    /// Where the database is.
    pub database: DatabaseLocation,
    /// The password of the database roles.
    pub database_password: Secret,
    /// The secrets that sign and open.
    pub keys: Keys,
    /// The services to run.
    pub services: BTreeSet<Service>,
    /// Nothing of it outlives the process.
    pub ephemeral: bool,
    /// Others depend on it.
    pub production: bool,
    /// All variables, for what services read in their own names.
    pub environment: Environment,
    /// What the user should be told once.
    pub notices: Vec<Notice>,
    /// Every value with its origin, for `config show`.
    pub entries: Vec<Entry>,
    /// How all this was found, to find it again.
    pub(crate) found: Found,
}

/// What a configuration was read with, and the files that were looked for.
#[derive(Clone)]
pub(crate) struct Found {
    flags: Flags,
    process: Environment,
    cwd: PathBuf,
    files: Vec<PathBuf>,
}

impl std::fmt::Debug for Found {
    /// Flags and variables hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("cwd", &self.cwd).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads everything. `cwd` is where the command was called.
    pub fn load(flags: &Flags, process: Environment, cwd: &Path) -> Result<Config, ConfigError> {
        let mut notices = Vec::new();
        let mut found =
            Found { flags: flags.clone(), process: process.clone(), cwd: cwd.to_owned(), files: Vec::new() };
        let mut environment = process;
        let workdir =
            flags.workdir.clone().or_else(|| environment.get("SUPABASE_WORKDIR").map(PathBuf::from));
        let root = Paths::find_root(workdir.as_deref(), cwd)?;
        let supabase_folder = root.join("supabase");
        let shown = |path: &Path| path.strip_prefix(cwd).unwrap_or(path).to_owned();

        if let Some(path) = &flags.env_file {
            let path = cwd.join(path);
            found.files.push(path.clone());
            if !environment.add_file(&path, &shown(&path), &mut notices)? {
                return Err(ConfigError::new(format!("there is no file {}", path.display()))
                    .hint("check the path given with --env-file"));
            }
        }
        let name = environment.get("SUPABASE_ENV").unwrap_or("development").to_owned();
        for path in project_files(&supabase_folder, &root, &name) {
            environment.add_file(&path, &shown(&path), &mut notices)?;
            found.files.push(path);
        }

        let config_path = match &flags.config {
            Some(path) => cwd.join(path),
            None => supabase_folder.join("config.toml"),
        };
        found.files.push(config_path.clone());
        let shown_config = shown(&config_path);
        let text = read_file(&config_path, &shown_config, flags.config.is_some())?;
        let config_file = text.is_some().then(|| config_path.clone());
        if text.is_none() && supabase_folder.join("config.json").is_file() {
            notices.push(
                Notice::new("supabase/config.json is not read")
                    .hint("write the settings to supabase/config.toml"),
            );
        }
        let text = text.unwrap_or_default();
        let mut read = read(&text, &shown_config, &environment)?;
        notices.append(&mut read.notices);
        Config::assemble(found, root, config_file, environment, read.file, read.entries, notices)
    }

    /// Reads everything again, as it was called.
    pub fn reload(&self) -> Result<Config, ConfigError> {
        let Found { flags, process, cwd, .. } = &self.found;
        Config::load(flags, process.clone(), cwd)
    }

    /// The files that were looked for, those that are not there included.
    pub fn sources(&self) -> &[PathBuf] {
        &self.found.files
    }

    /// The project's folder: `--workdir`, `SUPABASE_WORKDIR`, or the nearest above `cwd`.
    pub fn find_root(flags: &Flags, process: &Environment, cwd: &Path) -> Result<PathBuf, ConfigError> {
        let workdir = flags.workdir.clone().or_else(|| process.get("SUPABASE_WORKDIR").map(PathBuf::from));
        Paths::find_root(workdir.as_deref(), cwd)
    }

    #[allow(clippy::too_many_arguments)] // the sources, each used once
    fn assemble(
        found: Found,
        root: PathBuf,
        config_file: Option<PathBuf>,
        environment: Environment,
        mut file: File,
        mut entries: Vec<Entry>,
        mut notices: Vec<Notice>,
    ) -> Result<Config, ConfigError> {
        let Found { flags, cwd, .. } = &found;
        let mut set = |path: &str, shown: Option<String>, origin: Origin| match entries
            .iter_mut()
            .find(|entry| entry.path == path)
        {
            Some(entry) => (entry.shown, entry.origin) = (shown, origin),
            None => entries.push(Entry { path: path.to_owned(), shown, origin }),
        };
        if let Some(host) = &flags.host {
            set("monobase.host", Some(crate::reader::quoted(host)), Origin::Flag("--host"));
            file.monobase.host.clone_from(host);
        }
        if let Some(port) = flags.port {
            set("api.port", Some(port.to_string()), Origin::Flag("--port"));
            file.api.port = port;
            if port == 0 {
                for (path, key) in [
                    ("db.port", &mut file.db.port),
                    ("studio.port", &mut file.studio.port),
                    ("local_smtp.port", &mut file.local_smtp.port),
                ] {
                    *key = 0;
                    set(path, Some("0".to_owned()), Origin::Flag("--port"));
                }
            }
        }
        if let Some(port) = flags.db_port {
            set("db.port", Some(port.to_string()), Origin::Flag("--db-port"));
            file.db.port = port;
        }
        if flags.production {
            set("monobase.production", Some("true".to_owned()), Origin::Flag("--production"));
            file.monobase.production = true;
        }
        let production = file.monobase.production;
        let project_id = match file.project_id.clone().filter(|id| !id.is_empty()) {
            Some(id) => sanitise(&id),
            None => {
                let id = root
                    .file_name()
                    .map_or_else(|| "monobase".to_owned(), |name| sanitise(&name.to_string_lossy()));
                set("project_id", Some(crate::reader::quoted(&id)), Origin::Derived("the folder's name"));
                id
            }
        };
        file.project_id = Some(project_id);

        let supabase_folder = root.join("supabase");
        let keys = keys::resolve(&file.auth, &supabase_folder, production, &environment, &mut notices)?;
        let origin_of = |path: &str, entries: &[Entry]| {
            entries
                .iter()
                .find(|entry| entry.path == path)
                .map_or(Origin::Default, |entry| entry.origin.clone())
        };
        let own_origin = origin_of("monobase.database_url", &entries);
        let database = location::resolve(
            flags.db_url.as_deref(),
            &file.monobase,
            own_origin,
            production,
            &environment,
            &mut notices,
        )?;
        if let DatabaseLocation::External { origin, .. } = &database {
            let entry = entries.iter_mut().find(|entry| entry.path == "monobase.database_url");
            if let Some(entry) = entry {
                (entry.shown, entry.origin) = (Some("\"********\"".to_owned()), origin.clone());
            }
        }
        show_derived_keys(&mut entries, production);

        let state = Paths::state(flags.data_dir.as_deref(), file.monobase.data_dir.as_deref(), &root, cwd);
        let shown_state = crate::reader::quoted(&state.to_string_lossy());
        let state_origin = match &flags.data_dir {
            Some(_) => Origin::Flag("--data-dir"),
            None => origin_of("monobase.data_dir", &entries),
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.path == "monobase.data_dir") {
            (entry.shown, entry.origin) = (Some(shown_state), state_origin);
        }

        let host = parse_host(&file.monobase.host, "--host")?;
        let database_host = parse_host(&file.monobase.database_host, "database_host")?;
        let listen = Listen {
            api: SocketAddr::new(host, file.api.port),
            database: SocketAddr::new(database_host, file.db.port),
            studio: SocketAddr::new(host, file.studio.port),
            inbox: SocketAddr::new(host, file.local_smtp.port),
        };
        let services = services::select(&file, &flags.only, &flags.exclude)?;
        let database_password = Secret::new(
            file.monobase.database_password.non_empty().unwrap_or(tokens::development::DATABASE_PASSWORD),
        );
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let ephemeral = flags.ephemeral;
        Ok(Config {
            paths: Paths::new(root, config_file, state),
            file,
            listen,
            database,
            database_password,
            keys,
            services,
            ephemeral,
            production,
            environment,
            notices,
            entries,
            found,
        })
    }

    /// What must hold before anything is opened: nobody but this machine may reach an installation
    /// whose secrets are printed in a manual.
    pub fn check_start(&self) -> Result<(), ConfigError> {
        let embedded = self.database == DatabaseLocation::Embedded;
        let reason = if self.production {
            "--production"
        } else if !self.listen.api.ip().is_loopback() {
            "an address beyond loopback"
        } else if embedded && !self.listen.database.ip().is_loopback() {
            "a database address beyond loopback"
        } else {
            return Ok(());
        };
        let mut published = self.keys.published();
        if embedded && tokens::development::is_published(self.database_password.expose()) {
            published.push("POSTGRES_PASSWORD");
        }
        if !published.is_empty() {
            return Err(ConfigError::new(format!(
                "{reason} refuses secrets that everyone knows: {}",
                published.join(", ")
            ))
            .hint("`monobase keys generate` makes real ones and writes them to .env"));
        }
        if self.keys.jwt_secret.expose().len() < 32 {
            return Err(ConfigError::new(format!("{reason} needs a JWT secret of 32 characters or more"))
                .hint("`monobase keys generate` makes a real one and writes it to .env"));
        }
        Ok(())
    }

    /// The public address of the front door, without a slash at the end. `port` is the bound one.
    pub fn public_url(&self, port: u16) -> String {
        if let Some(url) = self.file.api.external_url.as_deref().filter(|url| !url.is_empty()) {
            return url.trim_end_matches('/').to_owned();
        }
        let scheme = if self.file.api.tls.enabled { "https" } else { "http" };
        let host = match self.listen.api.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        format!("{scheme}://{}", SocketAddr::new(host, port))
    }
}

struct Read {
    file: File,
    entries: Vec<Entry>,
    notices: Vec<Notice>,
}

/// Parses the file's text and applies the environment.
fn read(text: &str, shown: &Path, environment: &Environment) -> Result<Read, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().next().unwrap_or("not TOML").trim_end_matches('.');
        ConfigError::new(message).at(Lines::new(text).location(shown, offset))
    })?;
    let span = table.span();
    let root = Spanned::new(span, DeValue::Table(table.into_inner()));
    let mut reader = Reader {
        lines: Lines::new(text),
        file: shown,
        environment,
        entries: Vec::new(),
        notices: Vec::new(),
        problems: Vec::new(),
        unknown: 0,
        switched_off: false,
    };
    let file = File::read(&mut reader, "", Some(&root), None);
    let others = reader.problems.len().saturating_sub(1);
    if let Some(mut first) = reader.problems.into_iter().next() {
        if others > 0 {
            first.message.push_str(&format!(" (and {others} more)"));
        }
        return Err(first);
    }
    if reader.unknown > TOLD_UNKNOWN {
        let more = reader.unknown - TOLD_UNKNOWN;
        reader.notices.push(Notice::new(format!("{}: {more} more unknown keys", shown.display())));
    }
    Ok(Read { file, entries: reader.entries, notices: reader.notices })
}

fn read_file(path: &Path, shown: &Path, required: bool) -> Result<Option<String>, ConfigError> {
    let failed =
        |error: std::io::Error| ConfigError::new(format!("cannot read {}: {error}", shown.display()));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_file() {
        return Err(ConfigError::new(format!("{} is not a file", shown.display())));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(ConfigError::new(format!("{} is larger than 1 MiB", shown.display())));
    }
    let bytes = fs::read(path).map_err(failed)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
            Err(ConfigError::new("not UTF-8 text")
                .at(Lines::new(&before).location(shown, before.len()))
                .hint("save the file as UTF-8"))
        }
    }
}

fn show_derived_keys(entries: &mut [Entry], production: bool) {
    for entry in entries {
        if entry.origin != Origin::Default {
            continue;
        }
        let origin = match entry.path.as_str() {
            "auth.jwt_secret" => Origin::Derived("the published local constants"),
            "auth.anon_key" | "auth.service_role_key" => Origin::Derived("auth.jwt_secret"),
            "auth.publishable_key" | "auth.secret_key" if !production => {
                Origin::Derived("the published local constants")
            }
            "monobase.database_password" => Origin::Derived("the published local constants"),
            _ => continue,
        };
        (entry.shown, entry.origin) = (Some("\"********\"".to_owned()), origin);
    }
}

fn parse_host(text: &str, what: &str) -> Result<IpAddr, ConfigError> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        ConfigError::new(format!("{shown:?} is not an IP address ({what})"))
            .hint("127.0.0.1 for this machine alone, 0.0.0.0 for every network")
    })
}

/// A project's name as the CLI makes it: other characters become an underscore.
fn sanitise(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().take(40) {
        match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') => out.push(c),
            _ if out.ends_with('_') => {}
            _ => out.push('_'),
        }
    }
    let trimmed = out.trim_start_matches(['_', '.', '-']);
    if trimmed.is_empty() { "monobase".to_owned() } else { trimmed.to_owned() }
}
