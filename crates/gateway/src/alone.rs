//! One service alone at the root path: the listener without the door.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service as _;

use crate::body::{Inbound, Meter};
use crate::listener::Handler;

/// A router that answers everything itself, as the original program does: no keys, no limits but those of time.
pub struct Alone {
    router: Router,
    body_timeout: Duration,
}

impl Alone {
    /// Serves `router`; a request body may pause for `body_timeout`.
    #[must_use]
    pub fn new(router: Router, body_timeout: Duration) -> Self {
        Self { router, body_timeout }
    }
}

/// Nothing is counted.
pub struct Uncounted;

impl Meter for Uncounted {
    fn sent(&mut self, _bytes: u64) {}
}

impl Handler for Alone {
    type Peer = SocketAddr;
    type Guard = Uncounted;

    fn connected(&self, peer: SocketAddr, _local: SocketAddr) -> SocketAddr {
        peer
    }

    async fn answer(&self, peer: &SocketAddr, request: Request<Incoming>) -> (Response<Body>, Uncounted) {
        let mut request = request.map(|body| {
            let empty = http_body::Body::is_end_stream(&body);
            if empty { Body::empty() } else { Body::new(Inbound::new(body, None, self.body_timeout).0) }
        });
        request.extensions_mut().insert(axum::extract::ConnectInfo(*peer));
        let Ok(response) = self.router.clone().call(request).await;
        (response, Uncounted)
    }
}
