//! The cache folder: what can be made again from the executable or the registries.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::Error;

/// The cache folder: `MONOBASE_CACHE`; for root `/var/cache/monobase`, because PostgreSQL runs as another user, to whom
/// root's home is often closed; else `$XDG_CACHE_HOME/monobase` or `~/.cache/monobase`. `scripts/engine` has the same rule.
pub fn folder() -> PathBuf {
    if let Some(path) = named("MONOBASE_CACHE") {
        path
    } else if geteuid().is_root() {
        PathBuf::from("/var/cache/monobase")
    } else if let Some(path) = named("XDG_CACHE_HOME") {
        path.join("monobase")
    } else if let Some(home) = named("HOME") {
        home.join(".cache/monobase")
    } else {
        temporary()
    }
}

/// Where engines may be found, best first: our own cache, then root's.
pub(crate) fn search() -> Vec<PathBuf> {
    let mut folders = vec![folder(), temporary()];
    if env::var_os("MONOBASE_CACHE").is_none() {
        folders.push(PathBuf::from("/var/cache/monobase"));
    }
    folders.dedup();
    folders
}

/// The first cache folder that can be written to, made if needed, with the name of a subfolder in it.
pub(crate) fn writable(name: &str) -> Result<PathBuf, Error> {
    let wanted = folder();
    let mut failure = None;
    for cache in [wanted, temporary()] {
        let path = cache.join(name);
        match make(&cache).and_then(|()| make(&path)) {
            Ok(()) => {
                trusted(&cache)?;
                trusted(&path)?;
                return Ok(path);
            }
            Err(source) => failure = failure.or(Some(Error::io("cannot make", path, source))),
        }
        // A folder that was named is the only one: silently using another would surprise.
        if env::var_os("MONOBASE_CACHE").is_some() {
            break;
        }
    }
    Err(failure.unwrap_or_else(|| Error::NoEngine(folder())))
}

/// Refuses what another user could change under us: we are about to run programs from there.
pub(crate) fn trusted(path: &Path) -> Result<(), Error> {
    let found = fs::symlink_metadata(path).map_err(|source| Error::io("cannot read", path, source))?;
    let ours = found.uid() == 0 || found.uid() == geteuid().as_raw();
    // 0o022: writable by group or others.
    if found.is_dir() && ours && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(Error::UntrustedFolder(path.to_owned()))
    }
}

fn make(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).map_err(io::Error::from)
}

/// The last resort, on machines where nothing else can be written to.
fn temporary() -> PathBuf {
    env::temp_dir().join(format!("monobase-{}", geteuid()))
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
