//! Sockets that clients reach us by.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::Error;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Binds an address. `what` and `setting` are for the message when that fails.
pub(crate) fn bind(
    address: SocketAddr,
    what: &'static str,
    setting: &'static str,
) -> Result<TcpListener, Error> {
    try_bind(address).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            Error::PortTaken { what, address, setting }
        } else {
            Error::Listen { what, address: address.to_string(), source }
        }
    })
}

fn try_bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `::` then means every address of the machine, of both families.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the last connections of the stopped server to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
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
}
