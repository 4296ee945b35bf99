//! Whether an address that an administrator names may be asked, told before anything is stored.

use std::net::IpAddr;
use std::time::Duration;

use outgoing::Special;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::State;
use crate::error::{Error, Result};
use crate::http::GoUrl;

/// Longest wait for a name's addresses.
const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses what is not HTTPS, and what leads to this machine or its network. Requests are guarded again when they are made:
/// a name may lead elsewhere by then.
pub(crate) async fn check(state: &State, url: &str) -> Result<()> {
    let parsed = GoUrl::parse(url).ok_or_else(|| Error::invalid("Invalid URL format"))?;
    if parsed.scheme() != "https" {
        return Err(Error::invalid("URL must use HTTPS"));
    }
    let host = parsed.hostname().to_ascii_lowercase();
    if host.is_empty() {
        return Err(Error::invalid("URL must have a valid hostname"));
    }
    if state.config().external.private_addresses {
        return Ok(());
    }
    let literal = host.parse::<IpAddr>().ok();
    let is_here = matches!(literal.and_then(Special::of), Some(Special::Loopback | Special::Unspecified));
    if is_here || host == "localhost" || host.ends_with(".localhost") {
        return Err(Error::invalid("URL cannot point to localhost or loopback addresses"));
    }
    let found = match literal {
        Some(address) => vec![address],
        None => resolve(&host).await.ok_or_else(|| Error::invalid("Unable to resolve hostname"))?,
    };
    for address in found {
        let what = match Special::of(address) {
            None => continue,
            Some(Special::Loopback) => "loopback",
            Some(Special::Unspecified) => "unspecified",
            Some(Special::LinkLocal) => "link-local",
            Some(Special::Private) => "private network",
            Some(Special::Multicast) => "multicast",
        };
        return Err(Error::invalid(format!("URL cannot resolve to {what} addresses")));
    }
    Ok(())
}

async fn resolve(host: &str) -> Option<Vec<IpAddr>> {
    let found: Vec<IpAddr> =
        timeout(PATIENCE, lookup_host((host, 443))).await.ok()?.ok()?.map(|found| found.ip()).collect();
    (!found.is_empty()).then_some(found)
}
