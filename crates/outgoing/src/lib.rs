//! The client for requests to others: one TLS provider, the system's authorities.

use std::sync::OnceLock;

use reqwest::{Certificate, Client, ClientBuilder};

/// A client with the process's one TLS provider and the system's authorities, which are read once. On a machine without
/// any (a bare container) it can be made all the same, and trusts nobody.
pub fn builder() -> ClientBuilder {
    // An error means that it is set up already, and it is the same for all.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().tls_certs_only(authorities().iter().cloned())
}

fn authorities() -> &'static [Certificate] {
    static AUTHORITIES: OnceLock<Vec<Certificate>> = OnceLock::new();
    AUTHORITIES.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        found.iter().filter_map(|der| Certificate::from_der(der).ok()).collect()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_client_can_always_be_made() {
        assert!(super::builder().build().is_ok());
    }
}
