//! `.monobase/` itself: made with its stamp, which says which programs may use it.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use crate::Error;

/// The layout that this program writes. Raise it together with a step in [`migrate`].
const CURRENT: u32 = 1;

/// Makes the folder if it does not exist, and brings an older one up to date. A newer one is refused.
pub(crate) fn prepare(folder: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::file("make", folder))?;
    ignore_in_git(folder)?;
    let path = folder.join("format");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let found: u32 = text.trim().parse().map_err(|_| Error::BadFormat { path: path.clone() })?;
            if found > CURRENT {
                return Err(Error::NewerFormat { path: folder.to_owned(), found, known: CURRENT });
            }
            if found < CURRENT {
                migrate(found);
                stamp(&path)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => stamp(&path),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(Error::BadFormat { path }),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Brings the layout from `found` to [`CURRENT`], one step a format. There has been one format only.
fn migrate(found: u32) {
    tracing::info!(found, current = CURRENT, "bringing the data directory up to date");
}

/// Writes the stamp whole or not at all.
fn stamp(path: &Path) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        writeln!(file, "{CURRENT}")?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(Error::file("write", path))
}

/// Nothing in here belongs into a repository: data, secrets, sockets.
fn ignore_in_git(folder: &Path) -> Result<(), Error> {
    let path = folder.join(".gitignore");
    if path.exists() {
        return Ok(());
    }
    fs::write(&path, "*\n").map_err(Error::file("write", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(Error::file("write", &path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_ours_alone_and_stamped() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join(".monobase");
        prepare(&folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("format")).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        prepare(&folder).unwrap();
    }

    #[test]
    fn a_newer_folder_is_refused_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("format"), "99\n").unwrap();
        let error = prepare(place.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("was written by a newer monobase (format 99, this one knows 1)"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(place.path().join("format")).unwrap(), "99\n");
    }

    #[test]
    fn an_older_folder_is_brought_up_to_date() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("format"), "0\n").unwrap();
        prepare(place.path()).unwrap();
        assert_eq!(fs::read_to_string(place.path().join("format")).unwrap(), "1\n");
    }

    #[test]
    fn a_stamp_that_is_none_is_refused() {
        for text in [&b""[..], b"x", b"\xff", b"-1"] {
            let place = tempfile::tempdir().unwrap();
            fs::write(place.path().join("format"), text).unwrap();
            assert!(matches!(prepare(place.path()), Err(Error::BadFormat { .. })), "{text:?}");
        }
    }
}
