//! Positions in the write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A position in the write-ahead log, in bytes. As text two hexadecimal halves: `16/B374D848`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position in the write-ahead log")]
pub struct ParseLsnError;

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, ParseLsnError> {
        let half = |text: &str| u32::from_str_radix(text, 16).map_err(|_| ParseLsnError);
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        Ok(Lsn(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_position_reads_as_the_server_writes_it() {
        assert_eq!("16/B374D848".parse(), Ok(Lsn(0x16_B374_D848)));
        assert_eq!(Lsn(0).to_string(), "0/0");
        for wrong in ["", "16", "16/", "x/1", "1/123456789", "1/2/3"] {
            assert_eq!(wrong.parse::<Lsn>(), Err(ParseLsnError), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn positions_survive_their_text(position in any::<u64>()) {
            prop_assert_eq!(Lsn(position).to_string().parse::<Lsn>().unwrap(), Lsn(position));
        }
    }
}
