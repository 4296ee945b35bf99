//! Requests that this service makes itself.

use std::time::Duration;

/// A client for webhooks and caches. TLS is by the one provider of this program, whoever sets it up first.
pub(crate) fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    ::outgoing::builder().timeout(timeout).build()
}
