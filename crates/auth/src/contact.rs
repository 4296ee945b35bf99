//! E-mail addresses and message channels.

use crate::config::Config;
use crate::error::{Error, Result};

/// An address as it is stored: lower case, of the form local@domain (one label suffices).
pub(crate) fn email(address: &str) -> Result<String> {
    if address.is_empty() {
        return Err(Error::invalid("An email address is required"));
    }
    if address.len() > 255 {
        return Err(Error::invalid("An email address is too long"));
    }
    match address.rsplit_once('@') {
        Some((local, domain)) if is_local(local) && domain.split('.').all(is_label) => {
            Ok(address.to_lowercase())
        }
        _ => Err(Error::invalid("Unable to validate email address: invalid format")),
    }
}

fn is_local(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte))
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// How a text message travels.
pub(crate) fn channel(name: &str, config: &Config) -> Result<()> {
    let valid = match name {
        // The hook may know ways that we do not.
        _ if config.hooks.send_sms.enabled => true,
        "sms" => true,
        "whatsapp" => config.sms.provider.knows_whatsapp(),
        _ => false,
    };
    if valid {
        return Ok(());
    }
    Err(Error::invalid(
        "Invalid channel, supported values are 'sms' or 'whatsapp'. 'whatsapp' is only supported if Twilio or \
         Twilio Verify is used as the provider.",
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_lowered() {
        assert_eq!(email("Some.One+tag@Example.COM").unwrap(), "some.one+tag@example.com");
        assert_eq!(email("root@localhost").unwrap(), "root@localhost");
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for bad in ["plain", "@x.y", "a@", "a@b..c", "a@-b.c", "a b@c.d", "a@b@c", "ä@b.c", "a@b.c "] {
            assert!(email(bad).is_err(), "{bad}");
        }
        let long = format!("{}@b.c", "a".repeat(252));
        assert_eq!(email(&long).unwrap_err().to_string(), "400: An email address is too long");
    }
}
