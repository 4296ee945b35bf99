//! The libpq environment, the service file and the password file.

use std::path::PathBuf;

use super::parameters::Parameters;
use super::{ConfigError, Host};

const VARIABLES: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGAPPNAME", "application_name"),
    ("PGOPTIONS", "options"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLSNI", "sslsni"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
];

/// Variables of the environment that are session settings.
const SETTINGS: &[(&str, &str)] = &[("PGTZ", "timezone"), ("PGDATESTYLE", "datestyle"), ("PGGEQO", "geqo")];

/// Fills what the connection string left out: from its service, then from the environment.
pub(super) fn complete(
    parameters: &mut Parameters,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    if let Some(name) = parameters.get("service").map(str::to_owned).or_else(|| lookup("PGSERVICE")) {
        service(parameters, &name, lookup)?;
    }
    // A host in the string must not meet a port or an address meant for another one.
    let names_host = parameters.get("host").is_some() || parameters.get("hostaddr").is_some();
    for (variable, name) in VARIABLES {
        if names_host && matches!(*name, "host" | "hostaddr") {
            continue;
        }
        parameters.complete(name, lookup(variable));
    }
    parameters.complete("user", lookup("USER").or_else(|| lookup("LOGNAME")));
    for (variable, name) in SETTINGS {
        if let Some(value) = lookup(variable).filter(|value| !value.is_empty())
            && !parameters.settings.iter().any(|(known, _)| known == name)
        {
            parameters.settings.push(((*name).to_owned(), value));
        }
    }
    Ok(())
}

/// Takes the parameters of a service from the user's `.pg_service.conf` or the system's `pg_service.conf`: sections
/// of `name=value` lines.
fn service(
    parameters: &mut Parameters,
    name: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    let files = [
        lookup("PGSERVICEFILE").map(PathBuf::from),
        lookup("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf")),
        Some(
            PathBuf::from(lookup("PGSYSCONFDIR").unwrap_or("/etc/postgresql-common".into()))
                .join("pg_service.conf"),
        ),
    ];
    for file in files.into_iter().flatten() {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let mut lines = text.lines().map(str::trim).skip_while(|line| *line != format!("[{name}]"));
        if lines.next().is_none() {
            continue;
        }
        for line in lines.take_while(|line| !line.starts_with('[')) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| {
                ConfigError(format!("missing \"=\" in service \"{name}\" of {}", file.display()))
            })?;
            if parameters.get(key.trim()).is_none() {
                parameters.set(key.trim(), value.trim().to_owned())?;
            }
        }
        return Ok(());
    }
    Err(ConfigError(format!("definition of service \"{name}\" not found")))
}

/// Looks a password up in a `.pgpass` file: lines of `host:port:database:user:password`, `*` for any.
///
/// A file that others can read is ignored, as libpq does.
pub(super) fn password_file(
    path: Option<PathBuf>,
    host: Option<&Host>,
    database: &str,
    user: &str,
) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let path = path?;
    let metadata = std::fs::metadata(&path).ok()?;
    if !metadata.is_file() {
        return None;
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "password file ignored: others can read it (chmod 600)");
        return None;
    }
    let text = std::fs::read_to_string(&path).ok()?;
    let (host, port) = match host? {
        Host::Tcp { name, port, .. } => (name.clone(), port.to_string()),
        Host::Unix { port, .. } => ("localhost".to_owned(), port.to_string()),
    };
    text.lines().find_map(|line| match_line(line, [&host, &port, database, user]))
}

fn match_line(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields: Vec<String> = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == ':' && fields.len() < 5 {
            fields.push(String::new());
            continue;
        }
        let field = fields.last_mut()?;
        match character {
            '\\' => field.extend(characters.next()),
            other => field.push(other),
        }
    }
    let password = if fields.len() == 5 { fields.pop()? } else { return None };
    // "\*" would be a literal asterisk; nobody has one as a host, database or user.
    fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted).then_some(password)
}
