//! The folder of the socket: private, and short enough for the kernel.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::{Error, identity::Identity, tree};

/// `sun_path` has 108 bytes, the last one a zero.
const LONGEST: usize = 107;

/// Makes the folder: `run` in the cluster's folder or, where the name of a socket in it would be too long, one with a
/// short name in the runtime or temporary folder.
pub(crate) fn prepare(cluster: &Path, port: u16, identity: &Identity) -> Result<PathBuf, Error> {
    let own = cluster.join("run");
    let inside = fits(&own, port);
    let folder = if inside { own } else { short(cluster) };
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => tree::give_one(&folder, identity)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("cannot make", &folder, error)),
    }
    // In a temporary folder somebody else may have been there before us. Ours may change hands.
    let found = fs::symlink_metadata(&folder).map_err(|source| Error::io("cannot read", &folder, source))?;
    let ours = inside || found.uid() == identity.uid() || found.uid() == geteuid().as_raw();
    if !found.is_dir() || !ours {
        return Err(Error::UntrustedFolder(folder));
    }
    tree::give_one(&folder, identity)?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&folder, private).map_err(|source| Error::io("cannot write", &folder, source))?;
    clear(&folder)?;
    Ok(folder)
}

/// Removes sockets and their locks. A lock names a process, and that number may be another program's by now; here nobody
/// listens any more.
pub(crate) fn clear(folder: &Path) -> Result<(), Error> {
    let read = |source| Error::io("cannot read", folder, source);
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        if entry.file_name().to_string_lossy().starts_with(".s.PGSQL.") {
            fs::remove_file(entry.path())
                .map_err(|source| Error::io("cannot remove", entry.path(), source))?;
        }
    }
    Ok(())
}

fn fits(folder: &Path, port: u16) -> bool {
    // The lock beside the socket has the longer name, but it is no socket.
    folder.join(format!(".s.PGSQL.{port}")).as_os_str().len() <= LONGEST
}

/// Always the same for a cluster, so that no litter gathers.
fn short(cluster: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    cluster.hash(&mut hasher);
    let base =
        env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir() && fits(path, 54322));
    let base = base.filter(|path| path.as_os_str().len() < 60).unwrap_or_else(env::temp_dir);
    base.join(format!("monobase-{}-{:016x}", geteuid(), hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_limit_is_met_exactly() {
        let room = LONGEST - "/.s.PGSQL.5432".len();
        assert!(fits(Path::new(&"x".repeat(room)), 5432));
        assert!(!fits(Path::new(&"x".repeat(room + 1)), 5432));
        assert!(!fits(Path::new(&"x".repeat(room)), 54322));
    }
}
