//! Phone numbers: E.164 without the plus sign.

use crate::error::{Error, Result};

/// A number without its leading `+` and without spaces.
pub(crate) fn strip(number: &str) -> String {
    number.strip_prefix('+').unwrap_or(number).replace(' ', "")
}

/// A number as it is stored: two to fifteen digits that don't begin with zero.
pub(crate) fn parse(number: &str) -> Result<String> {
    let number = strip(number);
    let valid = (2..=15).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !number.starts_with('0');
    if valid { Ok(number) } else { Err(Error::invalid("Invalid phone number format (E.164 required)")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_lose_plus_and_spaces() {
        assert_eq!(parse("+49 170 1234567").unwrap(), "491701234567");
        for bad in ["", "1", "0123", "++49170", "12a4", "1234567890123456"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
