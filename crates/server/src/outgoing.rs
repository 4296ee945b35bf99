//! The client for requests to others.

use std::time::Duration;

/// A client with the process's one TLS provider, the system's authorities and a limit on connecting. It follows no
/// redirects: whoever wants that says so.
pub(crate) fn client() -> reqwest::ClientBuilder {
    ::outgoing::builder().redirect(reqwest::redirect::Policy::none()).connect_timeout(Duration::from_secs(10))
}
