//! Why a start failed, in words that say what to do.

use std::net::SocketAddr;

/// A start or a run that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there.
    #[error("port {} is taken, so {what} cannot listen on {address}", address.port())]
    PortTaken {
        /// What wanted to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The setting that chooses another one.
        setting: &'static str,
    },
    /// The system does not let us listen there.
    #[error("{what} cannot listen on {address}")]
    Listen {
        /// What wanted to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::PortTaken { setting, .. } => Some(format!(
                "another monobase or Supabase stack may be running here: stop it, choose another port with {setting}, or \
                 let `--port 0` pick free ones"
            )),
            Self::Listen { .. } => None,
        }
    }
}
