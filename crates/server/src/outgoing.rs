//! The client for requests to others.

use std::time::Duration;

/// A client with the process's one TLS provider, the system's authorities and a limit on connecting. It follows no
/// redirects: whoever wants that says so.
pub(crate) fn client() -> reqwest::ClientBuilder {
    // Whoever is first sets it; it is the same for all.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
}
