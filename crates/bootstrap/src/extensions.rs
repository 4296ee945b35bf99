//! Extensions that we bring along: files for a server whose files are ours.
//!
//! Migrations and dumps say `create extension pgjwt`. On the embedded server that works, because PostgreSQL 18 looks for
//! extensions in `extension_control_path` too; elsewhere the same SQL is run without being an extension.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The oldest major version with `extension_control_path`.
pub const OLDEST_WITH_CONTROL_PATH: u32 = 18;

/// Name and content of every file.
const FILES: &[(&str, &str)] = &[
    ("pgjwt.control", include_str!("../extensions/pgjwt.control")),
    ("pgjwt--0.2.0.sql", include_str!("../extensions/pgjwt--0.2.0.sql")),
];

/// Writes the extensions below `cache`, unless they are there, and returns the value for `extension_control_path`.
///
/// The folder must be one that the user PostgreSQL runs as can reach, and that only we or root can write to: extension
/// scripts run as a superuser. Its name contains a digest of what is in it, so other
/// versions of the program may share `cache`.
pub fn install_extensions(cache: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    for (name, content) in FILES {
        digest.update(name);
        digest.update(content);
    }
    require_private(cache)?;
    let target = cache.join(format!("extensions-{}", &hex::encode(digest.finalize())[..16]));
    if !target.exists() {
        install(cache, &target)?;
    }
    require_private(&target)?;
    Ok(format!("{}:$system", target.display()))
}

/// Refuses a folder in which somebody else could put or swap files.
fn require_private(folder: &Path) -> io::Result<()> {
    let metadata = fs::metadata(folder)?;
    let ours = metadata.uid() == 0 || metadata.uid() == nix::unistd::geteuid().as_raw();
    if ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("others can write to {}", folder.display())))
}

/// Beside its final place and then renamed: an interrupted run leaves nothing that looks finished.
fn install(cache: &Path, target: &PathBuf) -> io::Result<()> {
    let work = cache.join(format!(".extensions-{}", std::process::id()));
    let folder = work.join("extension");
    fs::create_dir_all(&folder)?;
    // Readable by the user that PostgreSQL runs as, whatever our umask is.
    for open in [&work, &folder] {
        fs::set_permissions(open, Permissions::from_mode(0o755))?;
    }
    for (name, content) in FILES {
        fs::write(folder.join(name), content)?;
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o644))?;
    }
    match fs::rename(&work, target) {
        // Another process was faster.
        Err(_) if target.exists() => fs::remove_dir_all(&work),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_are_written_once() {
        let cache = std::env::temp_dir().join(format!("monobase-extensions-{}", std::process::id()));
        fs::create_dir_all(&cache).unwrap();
        fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(install_extensions(&cache).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(&cache, Permissions::from_mode(0o755)).unwrap();
        let path = install_extensions(&cache).unwrap();
        let folder = path.strip_suffix(":$system").unwrap().to_owned();
        let control = Path::new(&folder).join("extension/pgjwt.control");
        assert!(fs::read_to_string(&control).unwrap().contains("default_version = '0.2.0'"));
        assert_eq!(install_extensions(&cache).unwrap(), path);
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1);
        fs::remove_dir_all(&cache).unwrap();
    }
}
