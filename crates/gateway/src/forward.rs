//! The headers a service sees: who asked, from where, by which address.

use std::net::IpAddr;

use http::header::{CONNECTION, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Trusted;
use crate::identity::Consumer;
use crate::routes::Route;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PATH: HeaderName = HeaderName::from_static("x-forwarded-path");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CONSUMER_ID: HeaderName = HeaderName::from_static("x-consumer-id");
const CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
const CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
const CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");
const CREDENTIAL_USERNAME: HeaderName = HeaderName::from_static("x-credential-username");
const CONSUMER_GROUPS: HeaderName = HeaderName::from_static("x-consumer-groups");
const ANONYMOUS_CONSUMER: HeaderName = HeaderName::from_static("x-anonymous-consumer");
const PROXY: HeaderName = HeaderName::from_static("proxy");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The other end of a connection, with the header values that follow from it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address at the other end of the socket.
    pub address: IpAddr,
    trusted: bool,
    address_value: HeaderValue,
    port_value: HeaderValue,
}

impl Peer {
    /// A peer that connected to `port`.
    #[must_use]
    pub fn new(address: IpAddr, port: u16, trusted: &Trusted) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            trusted: trusted.includes(address),
            // Addresses and numbers are visible ASCII.
            address_value: HeaderValue::try_from(address.to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            port_value: HeaderValue::from(port),
        }
    }

    /// The client's own address: what a trusted proxy says it is, otherwise the peer's.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap) -> IpAddr {
        if !self.trusted {
            return self.address;
        }
        let named = headers
            .get(&REAL_IP)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok());
        named
            .or_else(|| {
                // The last hop wrote the last entry; entries before it are hearsay.
                let list = headers.get_all(&FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
                list.rsplit(',').next()?.trim().parse().ok()
            })
            .map_or(self.address, |address: IpAddr| address.to_canonical())
    }

    /// Whether a request came straight from this machine, not through a proxy on it: each of these headers betrays one.
    pub(crate) fn is_local(&self, headers: &HeaderMap) -> bool {
        const OF_PROXIES: [&str; 8] = [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-real-ip",
            "forwarded",
            "via",
            "cf-connecting-ip",
        ];
        self.address.is_loopback() && !OF_PROXIES.iter().any(|name| headers.contains_key(*name))
    }
}

/// Sets and clears the headers that only the door may write.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    peer: &Peer,
    host: Option<&str>,
    path: &str,
    route: &Route,
    consumer: Option<Consumer>,
    request_id: &HeaderValue,
) {
    headers.reserve(12);
    drop_hop_by_hop(headers);
    forward_address(headers, peer);
    forward_origin(headers, peer, host);
    headers.insert(FORWARDED_PATH, HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/")));
    if route.prefix == "/" {
        headers.remove(&FORWARDED_PREFIX);
    } else {
        headers.insert(FORWARDED_PREFIX, HeaderValue::from_static(route.prefix));
    }
    if !headers.contains_key(&REQUEST_ID) {
        headers.insert(REQUEST_ID, request_id.clone());
    }
    name_consumer(headers, consumer);
}

fn forward_address(headers: &mut HeaderMap, peer: &Peer) {
    if !peer.trusted {
        headers.insert(FORWARDED_FOR, peer.address_value.clone());
        headers.insert(REAL_IP, peer.address_value.clone());
        return;
    }
    let client = peer.client(headers);
    let chain = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).fold(
        String::new(),
        |mut chain, value| {
            chain.push_str(value);
            chain.push_str(", ");
            chain
        },
    );
    let forwarded_for = if chain.is_empty() {
        peer.address_value.clone()
    } else {
        HeaderValue::try_from(chain + &peer.address.to_string())
            .unwrap_or_else(|_| peer.address_value.clone())
    };
    headers.insert(FORWARDED_FOR, forwarded_for);
    let real_ip = if client == peer.address {
        peer.address_value.clone()
    } else {
        HeaderValue::try_from(client.to_string()).unwrap_or_else(|_| peer.address_value.clone())
    };
    headers.insert(REAL_IP, real_ip);
}

fn forward_origin(headers: &mut HeaderMap, peer: &Peer, host: Option<&str>) {
    if !peer.trusted || !headers.contains_key(&FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if (!peer.trusted || !headers.contains_key(&FORWARDED_HOST))
        && let Some(Ok(value)) = host.map(|host| HeaderValue::from_str(without_port(host)))
    {
        headers.insert(FORWARDED_HOST, value);
    }
    if !peer.trusted || !headers.contains_key(&FORWARDED_PORT) {
        headers.insert(FORWARDED_PORT, peer.port_value.clone());
    }
}

fn name_consumer(headers: &mut HeaderMap, consumer: Option<Consumer>) {
    // A client that sets one of these itself must not be believed by anyone behind the door.
    for name in [&CONSUMER_CUSTOM_ID, &CREDENTIAL_USERNAME, &CONSUMER_GROUPS, &ANONYMOUS_CONSUMER] {
        headers.remove(name);
    }
    if let Some(consumer) = consumer {
        headers.insert(CONSUMER_ID, HeaderValue::from_static(consumer.id()));
        headers.insert(CONSUMER_USERNAME, HeaderValue::from_static(consumer.name()));
        headers.insert(CREDENTIAL_IDENTIFIER, HeaderValue::from_static(consumer.id()));
    } else {
        for name in [&CONSUMER_ID, &CONSUMER_USERNAME, &CREDENTIAL_IDENTIFIER] {
            headers.remove(name);
        }
    }
}

/// Headers that concern this connection alone. `Connection: upgrade` stays: it belongs to the request.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| {
                !["close", "keep-alive", "upgrade"].iter().any(|kept| name.eq_ignore_ascii_case(kept))
            })
            .filter_map(|name| name.parse().ok())
            // What the door itself decides by or writes cannot be named away.
            .filter(|name| *name != HOST && *name != UPGRADE)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    headers.remove(&PROXY);
    headers.remove(&PROXY_CONNECTION);
    if headers.get(TE).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.remove(TE);
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::routes::{ROUTES, Table};

    fn seen(peer: &str, consumer: Option<Consumer>, sent: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let table = Table::new(ROUTES);
        let route = table.find("/rest/v1/todos").unwrap().1;
        let peer = Peer::new(peer.parse().unwrap(), 54321, &Trusted::Private);
        prepare(
            &mut headers,
            &peer,
            Some("api.example.com:54321"),
            "/rest/v1/todos",
            route,
            consumer,
            &HeaderValue::from_static("0123"),
        );
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn a_plain_request_is_described() {
        insta::assert_snapshot!(seen("127.0.0.1", Some(Consumer::Anon), &[]));
    }

    #[test]
    fn a_stranger_cannot_forge_where_it_comes_from_or_who_it_is() {
        insta::assert_snapshot!(seen(
            "203.0.113.9",
            None,
            &[
                ("x-forwarded-for", "10.0.0.1"),
                ("x-real-ip", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil"),
                ("x-forwarded-port", "1"),
                ("x-forwarded-path", "/evil"),
                ("x-forwarded-prefix", "/evil"),
                ("x-consumer-id", "1"),
                ("x-consumer-username", "service_role"),
                ("x-consumer-custom-id", "1"),
                ("x-consumer-groups", "admin"),
                ("x-credential-identifier", "1"),
                ("x-credential-username", "service_role"),
                ("x-anonymous-consumer", "true"),
            ],
        ));
    }

    #[test]
    fn a_proxy_nearby_is_believed() {
        insta::assert_snapshot!(seen(
            "10.0.0.2",
            None,
            &[
                ("x-forwarded-for", "198.51.100.4"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "app.example.com"),
                ("x-forwarded-port", "443"),
            ],
        ));
    }

    #[test]
    fn headers_of_one_connection_do_not_pass() {
        insta::assert_snapshot!(seen(
            "127.0.0.1",
            None,
            &[
                ("connection", "keep-alive, x-secret"),
                ("x-secret", "1"),
                ("proxy", "http://evil"),
                ("proxy-connection", "keep-alive"),
                ("te", "gzip"),
            ],
        ));
    }

    #[test]
    fn only_an_unproxied_loopback_request_is_local() {
        let peer = Peer::new("127.0.0.1".parse().unwrap(), 54321, &Trusted::Private);
        let mut headers = HeaderMap::new();
        assert!(peer.is_local(&headers));
        for name in ["x-forwarded-for", "x-real-ip", "x-forwarded-proto", "via"] {
            headers.clear();
            headers.insert(name, HeaderValue::from_static("127.0.0.1"));
            assert!(!peer.is_local(&headers), "{name}");
        }
    }
}
