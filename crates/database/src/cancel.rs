//! Asking the server to stop what a connection is doing.
use crate::error::Error;

/// Stops the statement that a connection is running, from anywhere.
#[derive(Debug, Clone)]
pub struct CancelToken {}

impl CancelToken {
    /// Asks the server to cancel. Returns when the server has taken note, which is before the statement ends.
    pub async fn cancel(&self) -> Result<(), Error> {
        todo!()
    }
}
