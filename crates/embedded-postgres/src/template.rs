//! Templates: data directories to begin with, instead of `initdb` and a bootstrap.
//!
//! All databases made from one template have the same *system identifier*, by which PostgreSQL tells clusters apart in
//! physical replication and WAL archives. Before two of them take part in those, one is made with [`crate::Seed::Initdb`].

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Engine, Error, archive, identity::Identity, process, process::Folder, tree};

/// What belongs to one cluster and not to copies of it.
const OWN: &[&str] = &[
    "postmaster.pid",
    "postmaster.opts",
    "server.key",
    "server.crt",
    crate::settings::FILE,
    crate::settings::HBA_FILE,
];

/// Copies the data of a stopped cluster into `target`, a new folder, for [`crate::Seed::Folder`]. The superuser's
/// password goes along, so clusters made from it start at once: for tests.
pub fn capture(cluster: &Path, target: &Path) -> Result<(), Error> {
    refuse_running(cluster)?;
    fs::create_dir_all(target).map_err(|error| Error::io("cannot make", target, error))?;
    let data = target.join("data");
    tree::copy(&cluster.join("data"), &data)?;
    remove_own(&data)?;
    let password = crate::create::read_password(cluster)?.unwrap_or_default();
    tree::write_private(&target.join("superuser.password"), &password, None)
}

/// Packs the data of a stopped cluster for the payload of the release executable. Takes the data out of the cluster's
/// folder first: that cluster is used up. No role in it should have a password.
pub fn pack(engine: &Engine, cluster: &Path, level: i32, output: &Path) -> Result<(), Error> {
    refuse_running(cluster)?;
    let data = cluster.join("template");
    fs::rename(cluster.join("data"), &data).map_err(|error| Error::io("cannot move", &data, error))?;
    remove_own(&data)?;
    // Everything is in the data files after a clean shutdown: one empty WAL segment is enough.
    let identity = Identity::choose(None, &data)?;
    let folder = Folder::new(&data, &identity)?;
    let mut reset: Command = process::command(engine, "pg_resetwal", &identity, &[&folder]);
    let outcome = reset
        .arg("-D")
        .arg(folder.name())
        .output()
        .map_err(|error| process::spawn_error(engine, "pg_resetwal", &identity, error))?;
    if !outcome.status.success() {
        let output = String::from_utf8_lossy(&outcome.stderr).trim().to_owned();
        return Err(Error::Tool { tool: "pg_resetwal", output });
    }
    archive::pack(&data, level, output)
}

/// Packs an engine for the payload, at one of zstd's levels.
pub fn pack_engine(engine: &Engine, level: i32, output: &Path) -> Result<(), Error> {
    archive::pack(engine.folder(), level, output)
}

fn refuse_running(cluster: &Path) -> Result<(), Error> {
    let running: PathBuf = cluster.join("data/postmaster.pid");
    if running.exists() {
        return Err(Error::Locked { folder: cluster.to_owned(), process: None });
    }
    Ok(())
}

fn remove_own(data: &Path) -> Result<(), Error> {
    for name in OWN {
        let path = data.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("cannot remove", path, error));
            }
            _ => {}
        }
    }
    Ok(())
}
