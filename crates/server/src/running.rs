//! A running whole, and its end.

use std::net::SocketAddr;

use database::Pool;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::control::Control;
use crate::notifications::{Notifications, Stop};
use crate::postgres::Postgres;
use crate::signals::Signals;
use crate::{Error, Info};

/// Where everything listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The front door, or the service that runs alone.
    pub api: Option<SocketAddr>,
    /// The embedded PostgreSQL.
    pub database: Option<SocketAddr>,
    /// The mail catcher's page.
    pub inbox: Option<SocketAddr>,
    /// The mail catcher's SMTP server.
    pub inbox_smtp: Option<SocketAddr>,
}

/// Everything that runs. Dropping it aborts; [`Running::stop`] ends it in order.
pub struct Running {
    pub(crate) addresses: Addresses,
    pub(crate) signals: Signals,
    pub(crate) info: Info,
    pub(crate) control: Option<Control>,
    /// Says why a service cannot go on, once that is so.
    pub(crate) failure: Option<watch::Receiver<Option<String>>>,
    /// Tells the listeners to stop.
    pub(crate) close: watch::Sender<bool>,
    pub(crate) listeners: Vec<JoinHandle<std::io::Result<()>>>,
    /// Background work of our own, which may be cut at any moment.
    pub(crate) tasks: Vec<JoinHandle<()>>,
    pub(crate) notifications: Option<Notifications>,
    /// Services' background work, in the order of their start.
    pub(crate) services: Vec<Stop>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) postgres: Option<Postgres>,
    /// What the user should be told once.
    pub(crate) notices: Vec<String>,
}

impl Running {
    /// Where everything listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What the start found worth telling.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// What it tells about itself.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Runs until SIGTERM, SIGINT or a stop through the control socket, then ends everything in order. A second signal
    /// ends the process at once; the embedded PostgreSQL then recovers at the next start, and nothing is lost.
    pub async fn wait(mut self) -> Result<(), Error> {
        tokio::select! {
            () = self.signals.next() => tracing::info!("stopping"),
            () = ordered(self.control.as_ref()) => tracing::info!("stopping as ordered"),
            reason = hopeless(self.failure.take()) => {
                self.stop().await;
                return Err(Error::GaveUp(reason));
            }
        }
        let Ok(mut again) = Signals::listen() else {
            self.stop().await;
            return Ok(());
        };
        tokio::select! {
            () = self.stop() => Ok(()),
            () = again.next() => {
                tracing::warn!("stopping at once");
                // 128 + SIGINT, as a shell reports it.
                std::process::exit(130);
            }
        }
    }

    /// Ends everything in order: no new requests, those in flight finish, services, pools, the database last.
    pub async fn stop(mut self) {
        self.close.send_replace(true);
        for listener in self.listeners.drain(..) {
            match listener.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a listener ended with an error"),
                Err(error) => tracing::warn!(%error, "a listener crashed"),
            }
        }
        drop(self.notifications.take());
        while let Some(service) = self.services.pop() {
            service.await;
        }
        for pool in self.pools.drain(..) {
            pool.close().await;
        }
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await;
        }
        // Last: while the socket is there, another start says that this one is still running.
        drop(self.control.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Resolves when a stop was asked for through the control socket; never without one.
async fn ordered(control: Option<&Control>) {
    match control {
        Some(control) => control.stop_requested().await,
        None => std::future::pending().await,
    }
}

/// Resolves when a service cannot go on; never without one that may say so.
async fn hopeless(failure: Option<watch::Receiver<Option<String>>>) -> String {
    if let Some(mut failure) = failure
        && let Ok(reason) = failure.wait_for(Option::is_some).await
        && let Some(reason) = reason.clone()
    {
        return reason;
    }
    std::future::pending().await
}
