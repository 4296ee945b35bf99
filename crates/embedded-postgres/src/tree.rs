//! Folders as a whole: copied, given to another user, made durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown},
    path::Path,
};

use crate::{Error, identity::Identity};

/// Copies a folder of files and folders. Where the file system can share blocks, nothing is written twice.
pub(crate) fn copy(source: &Path, target: &Path) -> Result<(), Error> {
    let write = |error| Error::io("cannot write", target, error);
    fs::DirBuilder::new().mode(0o700).create(target).map_err(write)?;
    for child in read(source)? {
        let (from, to) = (child.path(), target.join(child.file_name()));
        let kind = child.file_type().map_err(|error| Error::io("cannot read", &from, error))?;
        if kind.is_dir() {
            copy(&from, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to).map_err(|error| Error::io("cannot copy", &from, error))?;
        }
    }
    Ok(())
}

/// Gives a folder and all in it to the user that PostgreSQL runs as. Links are not followed.
pub(crate) fn give(folder: &Path, to: &Identity) -> Result<(), Error> {
    if !to.switched() {
        return Ok(());
    }
    give_one(folder, to)?;
    for child in read(folder)? {
        let path = child.path();
        if child.file_type().map_err(|error| Error::io("cannot read", &path, error))?.is_dir() {
            give(&path, to)?;
        } else {
            give_one(&path, to)?;
        }
    }
    Ok(())
}

/// Gives one file or folder to the user that PostgreSQL runs as.
pub(crate) fn give_one(path: &Path, to: &Identity) -> Result<(), Error> {
    if !to.switched() {
        return Ok(());
    }
    lchown(path, Some(to.uid()), Some(to.gid()))
        .map_err(|error| Error::io("cannot change the owner of", path, error))
}

/// Makes everything written to the file system of `path` so far survive a power cut. One call for a thousand files:
/// syncing each takes seconds on a slow disk.
pub(crate) fn make_durable(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|folder| nix::unistd::syncfs(&folder).map_err(io::Error::from))
        .map_err(|error| Error::io("cannot sync", path, error))
}

/// Reads a file of the data directory, but no link. PostgreSQL's user owns that directory, and we may be root: what a
/// link there points to could be a secret, which would end up in a file of PostgreSQL's user.
pub(crate) fn read_own(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let no_link = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    OpenOptions::new().read(true).custom_flags(no_link).open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file that only its owner may read, as a whole or not at all.
pub(crate) fn write_private(path: &Path, content: &str, owner: Option<&Identity>) -> Result<(), Error> {
    let write = |error| Error::io("cannot write", path, error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(write)?;
    file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).map_err(write)?;
    if let Some(owner) = owner {
        give_one(&new, owner)?;
    }
    fs::rename(&new, path).map_err(write)
}

fn read(folder: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    fs::read_dir(folder).and_then(Iterator::collect).map_err(|error| Error::io("cannot read", folder, error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_data_directory_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, link) = (folder.path().join("secret"), folder.path().join("postgresql.conf"));
        fs::write(&secret, "root's").unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert_eq!(read_own(&secret).unwrap(), "root's");
        assert!(read_own(&link).is_err());
    }
}
