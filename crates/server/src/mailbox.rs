//! The mail catcher inside a start: its listeners, and the way by which auth's mails get into it.

use std::net::SocketAddr;
use std::sync::Arc;

use ::mail::{Carrier, Carrying, Letter, Sender, SmtpError};
use config::{Config, Service};
use inbox::{Inbox, Limits};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Error, listen};

/// The catcher's listeners, bound before anything else starts.
pub(crate) struct Mailbox {
    inbox: Inbox,
    page: TcpListener,
    smtp: Option<TcpListener>,
}

impl Mailbox {
    /// Binds what the configuration asks for. There is none in production: whoever can read it can sign in as anybody.
    pub(crate) fn bind(config: &Config) -> Result<Option<Self>, Error> {
        if !config.services.contains(&Service::Inbox) || config.production {
            return Ok(None);
        }
        let page = listen::bind(config.listen.inbox, "the mail catcher", "local_smtp.port")?;
        let smtp = match config.file.local_smtp.smtp_port {
            None => None,
            Some(port) => {
                // Where the page has a port of the system's choice, everything has.
                let port = if config.listen.inbox.port() == 0 { 0 } else { port };
                let address = SocketAddr::new(config.listen.inbox.ip(), port);
                Some(listen::bind(address, "the mail catcher's SMTP server", "local_smtp.smtp_port")?)
            }
        };
        Ok(Some(Self { inbox: Inbox::new(Limits::default()), page, smtp }))
    }

    /// Where the page is.
    pub(crate) fn address(&self) -> Result<SocketAddr, Error> {
        self.page.local_addr().map_err(|error| Error::Internal(error.to_string()))
    }

    /// Where SMTP is spoken, if it is.
    pub(crate) fn smtp_address(&self) -> Option<SocketAddr> {
        self.smtp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The way in for auth's own mails.
    pub(crate) fn carrier(&self, config: &Config) -> Arc<dyn Carrier> {
        let local = &config.file.local_smtp;
        let sender = Sender { address: local.admin_email.clone(), name: local.sender_name.clone() };
        Arc::new(Caught { inbox: self.inbox.clone(), sender })
    }

    /// Serves until `closed` says otherwise.
    pub(crate) fn serve(self, closed: &watch::Sender<bool>) -> Vec<JoinHandle<std::io::Result<()>>> {
        let any_host = !self.address().is_ok_and(|address| address.ip().is_loopback());
        let router = inbox::router(self.inbox.clone(), env!("CARGO_PKG_VERSION"), any_host);
        let mut closing = closed.subscribe();
        let page = tokio::spawn(async move {
            let stop = async move {
                // A sender that is gone ends it, too.
                let _ = closing.wait_for(|closed| *closed).await;
            };
            axum::serve(self.page, router).with_graceful_shutdown(stop).await
        });
        let mut tasks = vec![page];
        if let Some(listener) = self.smtp {
            let mut closing = closed.subscribe();
            let inbox = self.inbox;
            tasks.push(tokio::spawn(async move {
                let stop = async move {
                    let _ = closing.wait_for(|closed| *closed).await;
                };
                inbox::serve_smtp(listener, inbox, stop).await
            }));
        }
        tasks
    }
}

/// Puts letters into the box without a detour.
struct Caught {
    inbox: Inbox,
    sender: Sender,
}

impl Carrier for Caught {
    fn carry<'a>(&'a self, letter: &'a Letter) -> Carrying<'a> {
        Box::pin(async move {
            let (_, bytes) = letter.message(&self.sender)?;
            self.inbox
                .accept(&self.sender.address, std::slice::from_ref(&letter.to), bytes)
                .map_err(|error| SmtpError::Refused(error.to_string()))
        })
    }
}
