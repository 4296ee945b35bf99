//! All that is needed to start PostgreSQL, again and again.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use crate::{
    Engine, Error, Options,
    identity::Identity,
    process::{self, Folder},
    settings, socket,
};

/// The socket's number when there is no TCP port to name it after.
const SOCKET_PORT: u16 = 5432;

/// PostgreSQL over one data directory, ready to be spawned.
#[derive(Debug)]
pub(crate) struct Launch {
    engine: Engine,
    identity: Identity,
    data: PathBuf,
    data_folder: Folder,
    socket: PathBuf,
    socket_folder: Folder,
    port: u16,
    arguments: Vec<(&'static str, String)>,
}

impl Launch {
    /// Makes the socket's folder and puts the command line together. Nobody may work on the data any more.
    pub(crate) fn new(
        engine: &Engine,
        options: &Options,
        cluster: &Path,
        data: &Path,
        identity: &Identity,
    ) -> Result<Self, Error> {
        let port = options.tcp.map_or(SOCKET_PORT, |address| address.port());
        let socket = socket::prepare(cluster, port, identity)?;
        let data_folder = Folder::new(data, identity)?;
        let socket_folder = Folder::new(&socket, identity)?;
        let arguments = settings::arguments(options, port, &data_folder, &socket_folder);
        let (engine, identity, data) = (engine.clone(), identity.clone(), data.to_owned());
        Ok(Self { engine, identity, data, data_folder, socket, socket_folder, port, arguments })
    }

    /// Sets a parameter on the command line, where it wins over all files.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.arguments.push((name, value));
    }

    pub(crate) fn spawn(&self) -> Result<Child, Error> {
        let folders = [&self.data_folder, &self.socket_folder];
        let mut command = process::command(&self.engine, "postgres", &self.identity, &folders);
        command.arg("-D").arg(self.data_folder.name());
        for (name, value) in &self.arguments {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| process::spawn_error(&self.engine, "postgres", &self.identity, error))
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// What PostgreSQL calls its data directory.
    pub(crate) fn data_name(&self) -> &Path {
        self.data_folder.name()
    }

    /// The folder of the socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The number in the socket's name.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
