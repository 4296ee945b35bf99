//! The HTTP client for calls to the outside: hooks, captchas, providers of text messages, templates.

use std::time::Duration;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A client. Callers limit each call.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    outgoing::builder().connect_timeout(CONNECT).pool_idle_timeout(Duration::from_secs(30)).build()
}
