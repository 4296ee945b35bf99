//! Sockets that clients reach us by.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Error;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Binds an address. `what` and `setting` are for the message when that fails.
pub(crate) fn bind(
    address: SocketAddr,
    what: &'static str,
    setting: &'static str,
) -> Result<TcpListener, Error> {
    bind_families(address, Families::Both, what, setting)
}

/// Which address families a socket of IPv6 takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Families {
    /// IPv6 alone.
    Own,
    /// IPv4, too, where the address is `::`.
    Both,
}

/// The same, with a say in the families.
pub(crate) fn bind_families(
    address: SocketAddr,
    families: Families,
    what: &'static str,
    setting: &'static str,
) -> Result<TcpListener, Error> {
    try_bind(address, families).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            Error::PortTaken { what, address, setting }
        } else {
            Error::Listen { what, address: address.to_string(), source }
        }
    })
}

fn try_bind(address: SocketAddr, families: Families) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(families == Families::Own)?;
    }
    // A restart must not wait for the last connections of the stopped server to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Binds a socket in the file system that those whom `mode` allows can connect to. What a server that is gone left behind
/// is replaced; one that still answers is not.
pub(crate) fn bind_unix(path: &Path, mode: u32, what: &'static str) -> Result<UnixListener, Error> {
    try_bind_unix(path, mode).map_err(|source| Error::Listen {
        what,
        address: path.display().to_string(),
        source,
    })
}

fn try_bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(_) => {}
    }
    // Nobody can connect before the mode is set: until then the socket has another name.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let listener = std::os::unix::net::UnixListener::bind(&beside)?;
    let placed =
        fs::set_permissions(&beside, Permissions::from_mode(mode)).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = placed {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Serves a router as it is, until `close` says so.
pub(crate) fn serve(
    listener: impl gateway::Accept + Sync + 'static,
    router: axum::Router,
    limits: gateway::Limits,
    close: watch::Receiver<bool>,
    drain: Duration,
) -> JoinHandle<io::Result<()>> {
    let handler = Arc::new(gateway::Alone::new(router, limits.body_timeout));
    tokio::spawn(gateway::serve(listener, handler, limits, close, drain))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_what_to_do() {
        let first = bind("127.0.0.1:0".parse().unwrap(), "the API", "--port").unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address, "the API", "--port").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("port {} is taken, so the API cannot listen on {address}", address.port())
        );
        assert!(error.hint().unwrap().contains("--port 0"));
    }

    #[tokio::test]
    async fn a_socket_gets_its_mode_and_replaces_only_what_is_dead() {
        let folder = std::env::temp_dir().join(format!("monobase-listen-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("rest.sock");
        let first = bind_unix(&path, 0o600, "the service").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let Err(Error::Listen { source, .. }) = bind_unix(&path, 0o600, "the service") else {
            panic!("bound twice")
        };
        assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        bind_unix(&path, 0o666, "the service").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        fs::write(folder.join("file"), "precious").unwrap();
        assert!(bind_unix(&folder.join("file"), 0o600, "the service").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
