//! What the door can be told.

use std::net::IpAddr;
use std::time::Duration;

/// The settings of the front door. The defaults suit a development machine and a server behind a reverse proxy alike.
#[derive(Debug, Clone)]
pub struct Config {
    /// The longest request body, in bytes, for services that read bodies into memory; `None` for no limit. Storage and
    /// functions stream, and have limits of their own.
    pub max_body: Option<u64>,
    /// The port that clients reach us by, for `X-Forwarded-Port`. `None` for the port listened on.
    pub public_port: Option<u16>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted: Trusted,
    /// How long a request waits for a service that is still starting before it is told to come back.
    pub start_wait: Duration,
    /// One line a request on standard output, in nginx's `combined` format.
    pub access_log: bool,
    /// Auth answers requests without an API key, as it does in the Supabase CLI's local stack.
    pub auth_without_key: bool,
    /// Limits of the connections themselves.
    pub connection: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_body: Some(64 << 20),
            public_port: None,
            trusted: Trusted::Private,
            start_wait: Duration::from_secs(10),
            access_log: false,
            auth_without_key: false,
            connection: Limits::default(),
        }
    }
}

/// What one connection may use, in bytes and in time.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest request head that is answered; up to twice as much is read to be able to answer.
    pub max_head: usize,
    /// A whole head must arrive within this time from its first byte.
    pub head_timeout: Duration,
    /// A connection without a request is closed after this time.
    pub idle_timeout: Duration,
    /// The longest pause within a request body.
    pub body_timeout: Duration,
    /// The longest time in which a client takes not one byte of an answer.
    pub write_timeout: Duration,
    /// Connections at a time; more wait to be accepted.
    pub max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head: 64 << 10,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            max_connections: 16_384,
        }
    }
}

/// The peers whose forwarding headers are believed. A client that can set them at will could choose its own address, and
/// with it its own rate limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// Loopback and private networks: where reverse proxies live.
    Private,
    /// Only these addresses.
    Addresses(Vec<IpAddr>),
}

impl Trusted {
    /// Whether forwarding headers from this peer are believed.
    #[must_use]
    pub fn includes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        match self {
            Self::Private => match peer {
                IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
                IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
            },
            Self::Addresses(list) => list.contains(&peer),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn private_peers_are_trusted_by_default() {
        for (peer, expected) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("192.168.0.7", true),
            ("::1", true),
            ("fd00::1", true),
            ("::ffff:127.0.0.1", true),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(Trusted::Private.includes(peer.parse().unwrap()), expected, "{peer}");
        }
    }

    #[test]
    fn a_list_replaces_the_default() {
        let trusted = Trusted::Addresses(vec!["8.8.8.8".parse().unwrap()]);
        assert!(trusted.includes("8.8.8.8".parse().unwrap()));
        assert!(!trusted.includes("127.0.0.1".parse().unwrap()));
    }
}
