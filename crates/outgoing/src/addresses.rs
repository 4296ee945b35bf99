//! Which machines may be asked. A name is looked at after it was resolved, so that no name can stand for a forbidden
//! address; a redirect is looked at like the first address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What a refusal says.
pub(crate) const REFUSED: &str = "the address is not allowed";

/// Which addresses may be asked besides public ones, lest a URL reach what only this machine can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// 127.0.0.0/8, ::1, and "any address".
    pub loopback: bool,
    /// 169.254.0.0/16 (where clouds keep their credentials), fe80::/10.
    pub link_local: bool,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7 and the like.
    pub private: bool,
}

/// What an address is that is not a public one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// This machine.
    Loopback,
    /// No address in particular, which is this machine, too.
    Unspecified,
    /// This machine's neighbours, where clouds keep their credentials.
    LinkLocal,
    /// A network that is not the internet.
    Private,
    /// Many machines.
    Multicast,
}

impl Special {
    /// What an address is; `None` for a public one.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) => Some(match () {
                () if address.is_loopback() => Self::Loopback,
                () if address.octets()[0] == 0 => Self::Unspecified,
                () if address.is_link_local() => Self::LinkLocal,
                () if address.is_private() || shared(address) => Self::Private,
                () if address.is_broadcast() || address.is_multicast() => Self::Multicast,
                () => return None,
            }),
            IpAddr::V6(address) => Some(match embedded(address) {
                // An address of the other kind behind a translator counts as that.
                Some(inner) => return Self::of(IpAddr::V4(inner)),
                None if address.is_loopback() => Self::Loopback,
                None if address.is_unspecified() => Self::Unspecified,
                None if address.is_unicast_link_local() => Self::LinkLocal,
                None if address.is_unique_local() => Self::Private,
                None if address.is_multicast() => Self::Multicast,
                None => return None,
            }),
        }
    }
}

impl Addresses {
    /// Public addresses alone.
    pub const PUBLIC: Self = Self { loopback: false, link_local: false, private: false };
    /// All addresses.
    pub const ANY: Self = Self { loopback: true, link_local: true, private: true };

    /// Whether this one may be asked.
    #[must_use]
    pub fn allow(self, address: IpAddr) -> bool {
        match Special::of(address) {
            None => true,
            Some(Special::Loopback | Special::Unspecified) => self.loopback,
            Some(Special::LinkLocal) => self.link_local,
            Some(Special::Private | Special::Multicast) => self.private,
        }
    }

    /// Whether the address in a URL, if there is one instead of a name, may be asked.
    #[must_use]
    pub fn allow_url(self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        literal.parse::<IpAddr>().map_or(true, |address| self.allow(address))
    }
}

/// 100.64.0.0/10, between customers and their carrier.
fn shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

/// The IPv4 address inside 64:ff9b::/96 or 2002::/16.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let halves = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(halves(high, low)),
        _ => None,
    }
}

/// Resolves names to the addresses that may be asked.
pub(crate) struct Guarded(pub(crate) Addresses);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let some = !found.is_empty();
            let kept: Vec<SocketAddr> = found.into_iter().filter(|found| allowed.allow(found.ip())).collect();
            if some && kept.is_empty() {
                return Err(REFUSED.into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn allowed(addresses: Addresses, text: &str) -> bool {
        addresses.allow(text.parse().unwrap())
    }

    #[test]
    fn the_machine_itself_is_out_of_reach() {
        let usual = Addresses { private: true, ..Addresses::PUBLIC };
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(!allowed(usual, address), "{address}");
        }
        for address in ["93.184.216.34", "10.0.0.1", "192.168.1.1", "fd00::1", "2606:4700::1111"] {
            assert!(allowed(usual, address), "{address}");
        }
        for address in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(!allowed(Addresses::PUBLIC, address), "{address}");
        }
    }

    #[test]
    fn an_address_in_a_url_is_looked_at() {
        let usual = Addresses { private: true, ..Addresses::PUBLIC };
        let allows = |url: &str| usual.allow_url(&url.parse().unwrap());
        assert!(!allows("http://127.1/a"));
        assert!(!allows("http://0x7f000001/a"));
        assert!(!allows("http://[::1]:80/a"));
        assert!(allows("http://localhost/a"), "its addresses are looked at when they are known");
    }
}
