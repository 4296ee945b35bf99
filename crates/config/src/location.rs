//! Where data lives.
//!
//! In development the environment never chooses it: an application's own `.env` holds the address of
//! its production database, its buckets and its Redis under exactly the generic names. An outside
//! place needs a flag, `config.toml`, a `MONOBASE_*` name, or `--production`.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::environment::Environment;
use crate::error::{ConfigError, Notice};
use crate::file::Monobase;
use crate::origin::Origin;
use crate::secret::Secret;

/// The database of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// Our own PostgreSQL, in the data directory.
    Embedded,
    /// A server that somebody else runs.
    External {
        /// Its connection string, as its administrator.
        url: Secret,
        /// The same server without a transaction pooler before it.
        direct_url: Option<Secret>,
        /// Who chose it.
        origin: Origin,
    },
}

/// Names that applications and services use for the address of a database.
const DATABASE_NAMES: [&str; 6] = [
    "DATABASE_URL",
    "SUPABASE_DB_URL",
    "POSTGRES_URL",
    "GOTRUE_DB_DATABASE_URL",
    "PGRST_DB_URI",
    "POSTGRES_HOST",
];

/// Names, and beginnings of names, for the address of an object store or of Redis.
const STORE_NAMES: [&str; 6] =
    ["R2_", "STORAGE_S3_", "GLOBAL_S3_", "STORAGE_BACKEND", "REDIS_URL", "REDIS_HOST"];

/// What a connection string's user, password and database must have escaped.
const USERINFO: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b':')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'&')
    .add(b'+');

pub(crate) fn resolve(
    flag: Option<&str>,
    own: &Monobase,
    own_origin: Origin,
    production: bool,
    environment: &Environment,
    notices: &mut Vec<Notice>,
) -> Result<DatabaseLocation, ConfigError> {
    let direct_url = own.direct_database_url.non_empty().map(Secret::new);
    let external = |url: &str, origin| DatabaseLocation::External {
        url: Secret::new(url),
        direct_url: direct_url.clone(),
        origin,
    };
    let location = if let Some(url) = flag {
        if url.is_empty() {
            return Err(
                ConfigError::new("--db-url is empty").hint("leave the flag out for the embedded database")
            );
        }
        external(url, Origin::Flag("--db-url"))
    } else if let Some(url) = own.database_url.non_empty() {
        external(url, own_origin)
    } else if production {
        from_environment(own, environment).map_or(DatabaseLocation::Embedded, |(url, name)| {
            external(&url, Origin::variable(name, environment))
        })
    } else {
        DatabaseLocation::Embedded
    };
    if !production {
        let database = location == DatabaseLocation::Embedded;
        notices.extend(ignored(database, environment));
    }
    Ok(location)
}

/// The generic names, which count with `--production` only.
fn from_environment(own: &Monobase, environment: &Environment) -> Option<(String, &'static str)> {
    if let Some(url) = environment.get("DATABASE_URL") {
        return Some((url.to_owned(), "DATABASE_URL"));
    }
    let host = outside_host(environment)?;
    let escape = |text: &str| utf8_percent_encode(text, USERINFO).to_string();
    let part = |name, default| escape(environment.get(name).unwrap_or(default));
    let (user, database) = (part("POSTGRES_USER", "postgres"), part("POSTGRES_DB", "postgres"));
    let password = own.database_password.non_empty().map(|password| format!(":{}", escape(password)));
    let port = environment.get("POSTGRES_PORT").unwrap_or("5432");
    // A bare IPv6 address needs brackets.
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = format!("postgresql://{user}{}@{host}:{port}/{database}", password.unwrap_or_default());
    Some((url, "POSTGRES_HOST"))
}

/// `POSTGRES_HOST`, unless it means the database beside us: `db` is the compose file's container.
fn outside_host(environment: &Environment) -> Option<&str> {
    let host = environment.get("POSTGRES_HOST")?;
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    (host != "db" && host != "localhost" && !loopback).then_some(host)
}

/// Whether a name is heard, because it opens a listener on this machine rather than choosing where data lives.
fn opens_a_door(name: &str, environment: &Environment) -> bool {
    let local = |url: &str| {
        let host = url.strip_prefix("http://").unwrap_or_default();
        host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("[::1]")
    };
    match name {
        "STORAGE_S3_LISTEN" => true,
        "R2_PUBLIC_URL" | "R2_BUCKET" | "R2_BUCKET_NAME" => {
            environment.get("STORAGE_PUBLIC_LISTEN").is_some()
                || environment.get("R2_PUBLIC_URL").is_some_and(local)
        }
        _ => false,
    }
}

/// One line for everything that was seen and ignored.
fn ignored(database: bool, environment: &Environment) -> Option<Notice> {
    let is_ignored = |name: &str| {
        let of_database = database
            && DATABASE_NAMES.contains(&name)
            && (name != "POSTGRES_HOST" || outside_host(environment).is_some());
        let of_store = STORE_NAMES
            .iter()
            .any(|known| if known.ends_with('_') { name.starts_with(known) } else { name == *known });
        of_database || (of_store && !opens_a_door(name, environment))
    };
    let names: Vec<&str> = environment.iter().map(|(name, _)| name).filter(|name| is_ignored(name)).collect();
    let (verb, names) = match names.as_slice() {
        [] => return None,
        [one] => ("is", (*one).to_owned()),
        [rest @ .., last] => ("are", format!("{} and {last}", rest.join(", "))),
    };
    Some(
        Notice::new(format!(
            "{names} {verb} set and ignored: in development the environment does not choose where data lives"
        ))
        .hint(
            "for an outside database use --db-url, MONOBASE_DATABASE_URL, `database_url` under [monobase] in \
             supabase/config.toml, or --production",
        ),
    )
}
