//! The message that a wallet signs, line by line.

use chrono::{DateTime, Utc};

use super::{ethereum, solana};
use crate::http::GoUrl;

/// Which wallets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    Solana,
    Ethereum,
}

/// A message, understood but not yet believed.
#[derive(Debug)]
pub(crate) struct Message {
    chain: Chain,
    raw: String,
    pub(crate) domain: String,
    pub(crate) address: String,
    pub(crate) statement: String,
    /// As it is written.
    pub(crate) uri: String,
    pub(crate) network: String,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) not_before: Option<DateTime<Utc>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl Chain {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Solana => "solana",
            Self::Ethereum => "ethereum",
        }
    }

    /// As people write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Solana => "Solana",
            Self::Ethereum => "Ethereum",
        }
    }

    /// What the original's messages about a message begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Solana => "siws",
            Self::Ethereum => "siwe",
        }
    }

    fn is_address(self, text: &str) -> bool {
        match self {
            Self::Solana => {
                (32..=44).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
            Self::Ethereum => text
                .strip_prefix("0x")
                .is_some_and(|hex| hex.len() == 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())),
        }
    }

    fn is_network(self, text: &str) -> bool {
        match self {
            Self::Solana => {
                matches!(text, "" | "solana:mainnet" | "solana:devnet" | "solana:testnet" | "solana:localnet")
            }
            Self::Ethereum => text.parse::<i64>().is_ok_and(|id| id > 0),
        }
    }
}

impl Message {
    /// Reads a message; the text says what is wrong with it.
    pub(crate) fn parse(chain: Chain, raw: &str) -> Result<Self, String> {
        let wrong = |reason: &str| format!("{}: {reason}", chain.prefix());
        let lines: Vec<&str> = raw.split('\n').collect();
        if lines.len() < 6 {
            return Err(wrong("message needs at least 6 lines"));
        }
        let ending = format!(" wants you to sign in with your {} account:", chain.name());
        let domain = lines[0]
            .strip_suffix(&ending)
            .ok_or_else(|| wrong(&format!("message first line does not end in {ending:?}")))?;
        let domain = domain.trim();
        if !is_domain(domain) {
            return Err(wrong("domain in first line of message is not valid"));
        }
        let address = lines[1].trim();
        if !chain.is_address(address) {
            return Err(wrong(match chain {
                Chain::Solana => "wallet address is not in base58 format",
                Chain::Ethereum => "wallet address is not a valid Ethereum address",
            }));
        }
        if !lines[2].is_empty() {
            return Err(wrong("third line must be empty"));
        }
        let has_statement = !lines[3].is_empty() && lines[4].is_empty();
        let mut message = Self {
            chain,
            raw: raw.to_owned(),
            domain: domain.to_owned(),
            address: address.to_owned(),
            statement: if has_statement { lines[3].to_owned() } else { String::new() },
            uri: String::new(),
            network: String::new(),
            issued_at: DateTime::<Utc>::MIN_UTC,
            not_before: None,
            expires_at: None,
        };
        let mut version = "";
        let mut in_resources = false;
        let mut resources = 0;
        for (at, line) in lines.iter().enumerate().skip(if has_statement { 5 } else { 3 }) {
            let line = line.trim();
            if in_resources {
                if let Some(resource) = line.strip_prefix("- ") {
                    if !is_uri(resource.trim()) {
                        return Err(wrong(&format!("Resource at position {resources} has invalid URI")));
                    }
                    resources += 1;
                    continue;
                }
                in_resources = false;
            }
            if line == "Resources:" {
                in_resources = true;
                continue;
            }
            if line.is_empty() {
                continue;
            }
            let (key, value) = line
                .split_once(':')
                .ok_or_else(|| wrong(&format!("encountered unparsable line at index {at}")))?;
            let value = value.trim();
            let time = |name: &str| {
                DateTime::parse_from_rfc3339(value)
                    .map(|time| time.to_utc())
                    .map_err(|_| wrong(&format!("{name} is not a valid ISO8601 timestamp")))
            };
            match key {
                "URI" if is_uri(value) => message.uri = value.to_owned(),
                "URI" => return Err(wrong("URI is not valid")),
                "Version" => version = value,
                "Chain ID" if chain.is_network(value) => message.network = value.to_owned(),
                "Chain ID" => return Err(wrong("Chain ID is not valid")),
                "Issued At" => message.issued_at = time(key)?,
                "Expiration Time" => message.expires_at = Some(time(key)?),
                "Not Before" => message.not_before = Some(time(key)?),
                _ => {}
            }
        }
        if version != "1" {
            return Err(wrong(&format!("Version value is not supported, expected 1 got {version:?}")));
        }
        if message.issued_at == DateTime::<Utc>::MIN_UTC {
            return Err(wrong("Issued At is not specified"));
        }
        if message.uri.is_empty() {
            return Err(wrong("URI is not specified"));
        }
        if message.expires_at.is_some_and(|end| message.issued_at > end) {
            return Err(wrong("Issued At is after Expiration Time"));
        }
        if message.not_before.zip(message.expires_at).is_some_and(|(start, end)| start > end) {
            return Err(wrong("Not Before is after Expiration Time"));
        }
        Ok(message)
    }

    /// Whether the wallet of the address signed the message.
    pub(crate) fn is_signed(&self, signature: &[u8]) -> bool {
        match self.chain {
            Chain::Solana => solana::verify(&self.raw, &self.domain, &self.address, signature),
            Chain::Ethereum => ethereum::verify(&self.raw, &self.address, signature),
        }
    }
}

/// `localhost` or names with a dot, and perhaps a port.
fn is_domain(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_port = port
        .is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = host.rsplit_once('.').is_some_and(|(rest, top)| {
        top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic()) && rest.split('.').all(is_label)
    });
    is_port && (host == "localhost" || is_name)
}

/// An absolute address or path.
fn is_uri(text: &str) -> bool {
    GoUrl::parse(text).is_some_and(|url| text.starts_with('/') || !url.scheme().is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "app.example.com wants you to sign in with your Ethereum account:\n\
        0x196a28d05bA75C8dC35B0F6e71DD622D1aC82b7E\n\nI accept\n\nURI: https://app.example.com/x\nVersion: 1\n\
        Chain ID: 1\nNonce: 12345678\nIssued At: 2025-08-27T16:27:49.895Z\nResources:\n- https://a.example/\nRequest ID: 7";

    #[test]
    fn a_message_is_read_line_by_line() {
        let message = Message::parse(Chain::Ethereum, GOOD).unwrap();
        assert_eq!(message.domain, "app.example.com");
        assert_eq!(message.statement, "I accept");
        assert_eq!((message.uri.as_str(), message.network.as_str()), ("https://app.example.com/x", "1"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (from, to, reason) in [
            ("Ethereum account:", "Solana account:", "siwe: message first line does not end in"),
            ("app.example.com wants", "-x- wants", "siwe: domain in first line"),
            ("0x196a", "196a", "siwe: wallet address"),
            ("Version: 1", "Version: 2", "siwe: Version value is not supported, expected 1 got \"2\""),
            ("Chain ID: 1", "Chain ID: x", "siwe: Chain ID is not valid"),
            ("2025-08-27T16", "yesterday", "siwe: Issued At is not a valid"),
            ("URI: https://app.example.com/x", "URI: nowhere", "siwe: URI is not valid"),
            ("Nonce: 12345678", "Nonce", "siwe: encountered unparsable line at index 8"),
            ("- https://a.example/", "- nowhere", "siwe: Resource at position 0 has invalid URI"),
        ] {
            let error = Message::parse(Chain::Ethereum, &GOOD.replace(from, to)).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "(?s).{0,400}") {
            let _ = Message::parse(Chain::Solana, &text);
            let _ = Message::parse(Chain::Ethereum, &text);
        }
    }
}
