//! The client for requests to others: one TLS provider, the system's authorities, and where strangers say what is asked,
//! a look at the address.

mod addresses;

use std::sync::OnceLock;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

pub use addresses::{Addresses, Special};

/// A client with the process's one TLS provider and the system's authorities, which are read once. On a machine without
/// any (a bare container) it can be made all the same, and trusts nobody.
pub fn builder() -> ClientBuilder {
    // An error means that it is set up already, and it is the same for all.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().tls_certs_only(authorities().iter().cloned())
}

/// The same for URLs that strangers name: no name and no redirect leads to an address that may not be asked. An address that
/// stands in the URL itself is the caller's to look at, with [`Addresses::allow_url`].
pub fn guarded(addresses: Addresses, redirects: usize) -> ClientBuilder {
    let followed = Policy::custom(move |attempt| {
        if attempt.previous().len() > redirects {
            attempt.error("too many redirects")
        } else if !addresses.allow_url(attempt.url()) {
            attempt.error(addresses::REFUSED)
        } else {
            attempt.follow()
        }
    });
    builder().redirect(followed).dns_resolver(addresses::Guarded(addresses))
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
    #![allow(clippy::unwrap_used)]
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_client_can_always_be_made() {
        assert!(builder().build().is_ok());
    }

    #[tokio::test]
    async fn neither_a_name_nor_a_redirect_leads_where_it_may_not() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 2000]).unwrap();
                let head = "HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
            }
        });
        let why = async |addresses: Addresses| {
            let client = guarded(addresses, 5).build().unwrap();
            let error = client.get(format!("http://localhost:{port}/")).send().await.unwrap_err();
            (error.is_connect(), error.is_redirect())
        };
        assert_eq!(why(Addresses::PUBLIC).await, (true, false));
        assert_eq!(why(Addresses { loopback: true, ..Addresses::PUBLIC }).await, (false, true));
    }
}
