//! Whether an address is likely to receive mail: looked at before anything is sent to it, where that is configured.
//!
//! The rules are those of GoTrue's extended validation: names that are reserved or mistyped, providers whose names have a
//! shortest length, domains that take no mail, a service of the project's own. In doubt an address is good.

mod dns;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::State;
use crate::error::{Error, ErrorCode, Result};
use dns::Answer;

/// Longest wait for name servers and for the service.
const PATIENCE: Duration = Duration::from_secs(3);
/// More of the service's answer is not read.
const LONGEST_ANSWER: usize = 1024;

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct AddressChecks {
    /// The built-in rules.
    pub extended: bool,
    /// A service that is asked with `{"email"}` and says `{"valid"}`; none if empty.
    pub service_url: String,
    /// Headers of that request.
    pub service_headers: BTreeMap<String, Vec<String>>,
    /// Mail servers of domains that are refused, in lower case and without a dot at the end.
    pub blocked_servers: BTreeSet<String>,
}

/// Addresses that people type instead of their own.
const NOBODYS: [&str; 4] = ["test@gmail.com", "example@gmail.com", "someone@gmail.com", "test@email.com"];

/// Domains that are reserved (RFC 2606), mistyped, or nobody's provider.
const NO_PROVIDERS: [&str; 12] = [
    "test",
    "example",
    "invalid",
    "local",
    "localhost",
    "test.com",
    "example.com",
    "example.net",
    "example.org",
    "gamil.com",
    "anonymous.com",
    "email.com",
];

/// Reserved top-level domains (RFC 2606) and those of local networks.
const RESERVED: [&str; 5] = [".test", ".example", ".invalid", ".local", ".localhost"];

/// The shortest name that Gmail gives.
const SHORTEST_AT_GMAIL: usize = 6;

/// Refuses an address that is not worth a mail.
pub(crate) async fn check(state: &State, address: &str) -> Result<()> {
    let checks = &state.config().mailer.address_checks;
    let served = !checks.service_url.is_empty();
    let domain = match checks.extended {
        true => Some(plausible_domain(address).ok_or_else(|| invalid(address))?),
        false => None,
    };
    let takes_mail = async {
        match domain {
            Some(domain) => takes_mail(domain, &checks.blocked_servers).await,
            None => true,
        }
    };
    let agrees = async { !served || agrees(state, checks, address).await };
    // Who does not answer in time has nothing against it.
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(takes_mail, agrees) });
    match both.await {
        Ok((true, true)) | Err(_) => Ok(()),
        Ok(_) => Err(invalid(address)),
    }
}

fn invalid(address: &str) -> Error {
    Error::bad_request(ErrorCode::EmailAddressInvalid, format!("Email address {address:?} is invalid"))
}

/// The domain of an address that the rules have nothing against.
fn plausible_domain(address: &str) -> Option<&str> {
    let (name, domain) = address.rsplit_once('@')?;
    let refused = name.is_empty()
        || NOBODYS.contains(&address)
        || NO_PROVIDERS.contains(&domain)
        || RESERVED.iter().any(|suffix| domain.ends_with(suffix))
        || (domain == "gmail.com" && name.len() < SHORTEST_AT_GMAIL);
    (!refused && !domain.is_empty()).then_some(domain)
}

/// A domain without mail servers is its own (RFC 5321); one without an address either takes none.
async fn takes_mail(domain: &str, blocked: &BTreeSet<String>) -> bool {
    match dns::mail_servers(domain).await {
        Answer::Found(servers) => !servers.iter().any(|server| blocked.contains(server)),
        Answer::Unknown => true,
        Answer::Nothing => match tokio::net::lookup_host((domain, 25)).await {
            Ok(mut addresses) => !addresses.any(|address| blocked.contains(&address.ip().to_string())),
            // The system does not tell "there is none" from "nobody answered"; the mail servers' lookup was answered, though.
            Err(_) => false,
        },
    }
}

/// What the project's own service says. If it fails, it has nothing against it.
async fn agrees(state: &State, checks: &AddressChecks, address: &str) -> bool {
    #[derive(Default, Deserialize)]
    struct Verdict {
        valid: Option<bool>,
    }
    let ask = async {
        let mut request = state
            .outside()
            .client()
            .post(&checks.service_url)
            .header("content-type", "application/json")
            .body(crate::json::to_string(&json!({"email": address})));
        for (name, values) in &checks.service_headers {
            for value in values {
                request = request.header(name, value);
            }
        }
        let mut answer = request.send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok::<_, reqwest::Error>(serde_json::from_slice::<Verdict>(&body).unwrap_or_default())
    };
    match ask.await {
        Ok(verdict) => verdict.valid.unwrap_or(true),
        Err(error) => {
            tracing::warn!(error = %error.without_url(), "the service that looks at addresses does not answer");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_mistyped_and_short_names_are_refused() {
        for good in ["ann@sub.x.io", "abcdef@gmail.com", "ann@testing.dev"] {
            assert!(plausible_domain(good).is_some(), "{good}");
        }
        for bad in [
            "test@gmail.com",
            "abcde@gmail.com",
            "ann@example.com",
            "ann@localhost",
            "ann@printer.local",
            "ann@gamil.com",
            "ann@",
            "@x.io",
            "ann",
        ] {
            assert_eq!(plausible_domain(bad), None, "{bad}");
        }
    }
}
