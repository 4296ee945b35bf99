//! What is known of a request before its route runs.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use uuid::Uuid;

use super::Form;
use crate::State;
use crate::config::Config;
use crate::error::ApiVersion;
use crate::news::News;
use crate::outbox::Written;

/// A request without its body.
#[derive(Debug)]
pub(crate) struct RequestContext {
    /// Shown to callers as `error_id` and written to every log line.
    pub(crate) id: String,
    /// The caller's address; empty when nothing tells it.
    pub(crate) ip: String,
    pub(crate) user_agent: String,
    pub(crate) api_version: ApiVersion,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Form,
    pub(crate) headers: HeaderMap,
    /// Mails that leave after the commit.
    pub(crate) written: Mutex<Vec<Written>>,
    /// What somebody is told when all is done.
    pub(crate) news: Mutex<Vec<News>>,
}

impl RequestContext {
    pub(super) fn new<B>(request: &Request<B>, config: &Config) -> Self {
        let headers = request.headers().clone();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        Self {
            id: request_id(&headers, config),
            ip: client_ip(&headers, peer),
            user_agent: text(&headers, "user-agent").to_owned(),
            api_version: ApiVersion::from_headers(&headers),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: Form::parse(request.uri().query().unwrap_or_default()),
            headers,
            written: Mutex::default(),
            news: Mutex::default(),
        }
    }

    /// A header's text; empty when absent or not ASCII.
    pub(crate) fn header(&self, name: &str) -> &str {
        text(&self.headers, name)
    }

    /// The path with its query, as it came.
    pub(crate) fn user_agent(&self) -> Option<&str> {
        Some(self.user_agent.as_str()).filter(|agent| !agent.is_empty())
    }

    /// The caller's address as the database stores it.
    pub(crate) fn ip(&self) -> Option<&str> {
        Some(self.ip.as_str()).filter(|ip| !ip.is_empty())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A fresh UUID, or whatever the configured header holds, be it nothing.
fn request_id(headers: &HeaderMap, config: &Config) -> String {
    match &config.request_id_header {
        Some(name) => text(headers, name).to_owned(),
        None => Uuid::new_v4().to_string(),
    }
}

/// The first address of `X-Forwarded-For` that is one, else the peer's.
fn client_ip(headers: &HeaderMap, peer: Option<IpAddr>) -> String {
    text(headers, "x-forwarded-for")
        .split(',')
        .find_map(|part| part.trim().parse::<IpAddr>().ok())
        .or(peer)
        .map(|ip| ip.to_canonical().to_string())
        .unwrap_or_default()
}

/// The request's context as a handler takes it.
#[derive(Clone)]
pub(crate) struct Context(pub(crate) Arc<RequestContext>);

impl Deref for Context {
    type Target = RequestContext;

    fn deref(&self) -> &RequestContext {
        &self.0
    }
}

impl FromRequestParts<State> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

impl Context {
    /// The context that [`front`](super::front) put beside the request.
    pub(super) fn of(parts: &Parts) -> Self {
        let context = parts.extensions.get::<Arc<RequestContext>>().cloned();
        Self(context.expect("invariant: routes are only reachable through `front`"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(forwarded: &'static str, peer: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        client_ip(&headers, peer.map(|peer| peer.parse().unwrap()))
    }

    #[test]
    fn the_first_parseable_forwarded_address_wins() {
        assert_eq!(ip("10.1.2.3, 10.0.0.1", None), "10.1.2.3");
        assert_eq!(ip("unknown, 2001:DB8::1", Some("127.0.0.1")), "2001:db8::1");
        assert_eq!(ip("::ffff:192.0.2.7", None), "192.0.2.7");
        assert_eq!(ip("nonsense", Some("127.0.0.1")), "127.0.0.1");
        assert_eq!(ip("", None), "");
    }
}
