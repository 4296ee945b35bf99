//! A new data directory, and the check of an old one.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
    process::Output,
    time::Duration,
};

use database::{ConnectConfig, Connection};

use crate::{
    Engine, Error, Options, SUPERUSER, Seed, archive,
    identity::Identity,
    launch::Launch,
    log,
    process::{self, Folder},
    settings,
    supervisor::Supervisor,
    tls, tree,
};

/// Version of the cluster folder's layout.
pub(crate) const FORMAT: u32 = 1;
const PASSWORD: &str = "superuser.password";
/// Letters and digits, so that the password needs quoting nowhere.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Refuses a folder written by a newer version, and one that is no cluster folder at all.
pub(crate) fn check_format(folder: &Path) -> Result<(), Error> {
    if folder.join("PG_VERSION").exists() {
        return Err(Error::BareDataDirectory(folder.to_owned()));
    }
    let stamp = folder.join("format");
    match fs::read_to_string(&stamp) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(found) if found <= FORMAT => Ok(()),
            _ => Err(Error::NewerFormat {
                folder: folder.to_owned(),
                found: text.trim().to_owned(),
                known: FORMAT,
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("cannot read", stamp, error)),
    }
}

/// Refuses a data directory that this engine cannot open, before PostgreSQL sees it.
pub(crate) fn check_data(engine: &Engine, data: &Path) -> Result<(), Error> {
    let version = data.join("PG_VERSION");
    let found = match fs::read_to_string(&version) {
        Ok(found) => found.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Incomplete { folder: data.to_owned(), missing: "PG_VERSION" });
        }
        Err(error) => return Err(Error::io("cannot read", version, error)),
    };
    if found != engine.major() {
        return Err(Error::OtherMajor { folder: data.to_owned(), found, engine: engine.major().to_owned() });
    }
    if !data.join("global/pg_control").is_file() {
        return Err(Error::Incomplete { folder: data.to_owned(), missing: "global/pg_control" });
    }
    Ok(())
}

/// Makes the data directory: beside its place, and renamed when complete and durable.
pub(crate) fn create(
    engine: &Engine,
    options: &Options,
    folder: &Path,
    identity: &Identity,
) -> Result<(), Error> {
    let (work, data) = (folder.join("data.incomplete"), folder.join("data"));
    discard(&work)?;
    let made = fill(engine, options, folder, &work, identity)
        .and_then(|()| if options.ephemeral { Ok(()) } else { tree::make_durable(folder) })
        .and_then(|()| fs::rename(&work, &data).map_err(|error| Error::io("cannot write", &data, error)));
    if let Err(error) = made {
        // On a full disk this makes room; whatever stays is discarded by the next start.
        let _ = discard(&work);
        return Err(error);
    }
    tree::write_private(&folder.join("format"), &format!("{FORMAT}\n"), None)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::io("cannot sync", folder, error))
}

fn fill(
    engine: &Engine,
    options: &Options,
    folder: &Path,
    work: &Path,
    identity: &Identity,
) -> Result<(), Error> {
    let mut password = None;
    match (&options.seed, engine.template()) {
        (Seed::Folder(template), _) => {
            tree::copy(&template.join("data"), work)?;
            password = read_password(template)?;
        }
        (Seed::Default, Some(template)) => archive::unpack(template.reader(), work)?,
        (Seed::Default, None) | (Seed::Initdb, _) => initdb(engine, options, work, identity)?,
    }
    tree::give(work, identity)?;
    configure(options, work, identity)?;
    match password {
        Some(password) => tree::write_private(&folder.join(PASSWORD), &password, None),
        None => set_password(engine, folder, work, identity, Durability::Later),
    }
}

/// Linguistic order (`_x a A b C é`) from ICU, so that no locale of the operating system is needed.
fn initdb(engine: &Engine, options: &Options, work: &Path, identity: &Identity) -> Result<(), Error> {
    // `initdb` insists on a user with a name; the files change hands afterwards.
    let runner = match identity {
        nameless if nameless.switched() && !nameless.named() => &Identity::choose(Some("nobody"), work)?,
        nameless if !nameless.named() => {
            return Err(Error::User {
                user: nameless.uid().to_string(),
                reason: "initdb needs a user that the system has a name for".into(),
            });
        }
        named => named,
    };
    fs::DirBuilder::new().mode(0o700).create(work).map_err(|error| Error::io("cannot make", work, error))?;
    tree::give_one(work, runner)?;
    let target = Folder::new(work, runner)?;
    let mut command = process::command(engine, "initdb", runner, &[&target]);
    command.arg("-D").arg(target.name()).args(["-U", SUPERUSER]);
    command.args(["--locale-provider=icu", "--icu-locale=en-US", "--locale=C", "--encoding=UTF8"]);
    // Nobody may log in until there is a password and our own rules. Everything is synced at once later.
    command.args(["--auth=reject", "--no-instructions", "--no-sync"]);
    if options.ephemeral {
        command.arg("--wal-segsize=1");
    }
    let output = command.output().map_err(|error| process::spawn_error(engine, "initdb", runner, error))?;
    if !output.status.success() {
        return Err(tool_failed("initdb", work, &output));
    }
    // One user for all of it, should `initdb` have run as another.
    if runner != identity {
        tree::give(work, identity)?;
    }
    Ok(())
}

/// Writes our configuration into a data directory; at every start, because options and versions change.
pub(crate) fn configure(options: &Options, data: &Path, identity: &Identity) -> Result<(), Error> {
    let main = data.join("postgresql.conf");
    let text = match tree::read_own(&main) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::io("cannot read", main, error)),
    };
    if !text.lines().any(|line| line.trim() == settings::INCLUDE) {
        tree::write_private(&main, &format!("{text}\n{}\n", settings::INCLUDE), Some(identity))?;
    }
    write_changed(&data.join(settings::FILE), &settings::file(options)?, identity)?;
    write_changed(&data.join(settings::HBA_FILE), settings::HBA, identity)?;
    if options.tcp.is_some() && options.certificate.is_none() {
        tls::ensure(data, identity)?;
    }
    Ok(())
}

/// A restart changes nothing most of the time; a sync of each file would be felt.
fn write_changed(path: &Path, content: &str, identity: &Identity) -> Result<(), Error> {
    if fs::read_to_string(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    tree::write_private(path, content, Some(identity))
}

/// The superuser's password, if there is one yet.
pub(crate) fn read_password(folder: &Path) -> Result<Option<String>, Error> {
    let path = folder.join(PASSWORD);
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("cannot read", path, error)),
    }
}

/// Gives the superuser a new password and notes it down. PostgreSQL is started for it alone, on nothing but its private
/// socket, and lets in who can open that socket: nobody who could not change the files themselves. (Single-user mode
/// would need no socket, but insists on a user with a name.)
pub(crate) fn set_password(
    engine: &Engine,
    folder: &Path,
    data: &Path,
    identity: &Identity,
    durability: Durability,
) -> Result<(), Error> {
    let password = generate_password()?;
    let rules = data.join("monobase_first_hba.conf");
    tree::write_private(&rules, &format!("local all {SUPERUSER} trust\n"), Some(identity))?;
    let mut options = Options::new(folder);
    options.ephemeral = durability == Durability::Later;
    let mut launch = Launch::new(engine, &options, folder, data, identity)?;
    launch.set("hba_file", launch.data_name().join("monobase_first_hba.conf").display().to_string());
    // It would keep the text of the statement.
    launch.set("shared_preload_libraries", String::new());
    if options.ephemeral {
        launch.set("fsync", "off".into());
    }
    let connection = ConnectConfig::unix(launch.socket(), launch.port(), SUPERUSER).with_database("postgres");
    let mut supervisor = Supervisor::start(launch)?;
    let statement = format!("alter role {SUPERUSER} password '{password}'");
    let outcome = tokio::runtime::Handle::current().block_on(async {
        let mut connection = Connection::connect(&connection).await?;
        connection.simple_query(&statement).await?;
        connection.close().await
    });
    supervisor.stop(Duration::from_secs(10));
    outcome.map_err(|error| {
        Error::StartFailed(format!("its superuser could not be given a password: {error}"))
    })?;
    fs::remove_file(&rules).map_err(|error| Error::io("cannot remove", &rules, error))?;
    tree::write_private(&folder.join(PASSWORD), &password, None)
}

/// Whether what is written must survive a power cut by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Yes.
    Now,
    /// The caller syncs the whole directory.
    Later,
}

fn generate_password() -> Result<String, Error> {
    let path = Path::new("/dev/urandom");
    let mut random = [0; 128];
    File::open(path)
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(|error| Error::io("cannot read", path, error))?;
    // Bytes that would favour some letters are skipped: 248 is the largest multiple of 62 in a byte.
    let letters =
        random.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
    Ok(letters.take(32).collect())
}

fn tool_failed(tool: &'static str, target: &Path, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    if log::tells_of_full_disk(&said) {
        return Error::DiskFull(target.to_owned());
    }
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let output = if lines.is_empty() { output.status.to_string() } else { lines.join("; ") };
    Error::Tool { tool, output }
}

fn discard(work: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(work) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot remove", work, error)),
        _ => Ok(()),
    }
}

/// Makes sure that the data belongs to whom PostgreSQL runs as.
pub(crate) fn check_owner(data: &Path, identity: &Identity) -> Result<(), Error> {
    let owner = fs::symlink_metadata(data).map_err(|error| Error::io("cannot read", data, error))?.uid();
    if owner == identity.uid() {
        Ok(())
    } else if identity.switched() {
        tree::give(data, identity)
    } else {
        Err(Error::OtherOwner { folder: data.to_owned(), owner, ours: identity.uid() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_need_no_quotes() {
        let (one, other) = (generate_password().unwrap(), generate_password().unwrap());
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}
