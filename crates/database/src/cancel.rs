//! Asking the server to stop what a connection is doing.

use std::fmt;

use crate::error::Error;
use crate::startup::{self, Route};

/// Stops the statement that a connection is running, from anywhere.
#[derive(Clone)]
pub struct CancelToken {
    pub(crate) route: Route,
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
}

impl CancelToken {
    /// Asks the server to cancel, over a connection encrypted like the one concerned.
    ///
    /// Returns when the server has passed the request on. Whether something was running, and is stopped, shows on
    /// the connection itself (SQLSTATE 57014).
    pub async fn cancel(&self) -> Result<(), Error> {
        startup::cancel(&self.route, self.process_id, self.secret_key).await
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}
