//! As much of CBOR (RFC 8949) as authenticators write: definite lengths, no floats, no tags.
//!
//! The bytes come from strangers: every length is checked against what is left, and nesting is bounded.

/// How deep values may nest. CTAP2 allows four; attestation statements of vendors go a little further.
const DEEPEST: usize = 8;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cbor {
    /// Integers of either sign.
    Int(i128),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Cbor>),
    Map(Vec<(Cbor, Cbor)>),
    Bool(bool),
    Null,
}

impl Cbor {
    /// Reads one value from the front and returns it with how many bytes it took.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader { bytes, at: 0 };
        let value = reader.value(DEEPEST)?;
        Some((value, reader.at))
    }

    /// The member of a map under a text.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries
            .iter()
            .find(|(key, _)| matches!(key, Self::Text(text) if text == name))
            .map(|(_, value)| value)
    }

    /// The member of a map under a number.
    pub(super) fn numbered(&self, number: i128) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(key, _)| *key == Self::Int(number)).map(|(_, value)| value)
    }

    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// The argument of a head: in the head itself or in the bytes behind it.
    fn argument(&mut self, low: u8) -> Option<u64> {
        let width = match low {
            0..=23 => return Some(u64::from(low)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        Some(self.take(width)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn length(&mut self, low: u8) -> Option<usize> {
        usize::try_from(self.argument(low)?).ok()
    }

    fn value(&mut self, depth: usize) -> Option<Cbor> {
        let depth = depth.checked_sub(1)?;
        let head = *self.take(1)?.first()?;
        let low = head & 0x1f;
        Some(match head >> 5 {
            0 => Cbor::Int(i128::from(self.argument(low)?)),
            1 => Cbor::Int(-1 - i128::from(self.argument(low)?)),
            2 => {
                let length = self.length(low)?;
                Cbor::Bytes(self.take(length)?.to_vec())
            }
            3 => {
                let length = self.length(low)?;
                Cbor::Text(String::from_utf8(self.take(length)?.to_vec()).ok()?)
            }
            4 => {
                let length = self.length(low)?;
                let mut items = Vec::new();
                for _ in 0..length {
                    items.push(self.value(depth)?);
                }
                Cbor::Array(items)
            }
            5 => {
                let length = self.length(low)?;
                let mut entries = Vec::new();
                for _ in 0..length {
                    let key = self.value(depth)?;
                    if entries.iter().any(|(known, _)| *known == key) {
                        return None;
                    }
                    entries.push((key, self.value(depth)?));
                }
                Cbor::Map(entries)
            }
            7 => match low {
                20 => Cbor::Bool(false),
                21 => Cbor::Bool(true),
                22 | 23 => Cbor::Null,
                _ => return None,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_kinds_of_the_rfc_are_read() {
        for (bytes, value) in [
            (&[0x17_u8][..], Cbor::Int(23)),
            (&[0x18, 0x64], Cbor::Int(100)),
            (&[0x39, 0x03, 0xe7], Cbor::Int(-1000)),
            (&[0x43, 1, 2, 3], Cbor::Bytes(vec![1, 2, 3])),
            (&[0x61, 0x61], Cbor::Text("a".into())),
            (&[0x82, 0x01, 0xf5], Cbor::Array(vec![Cbor::Int(1), Cbor::Bool(true)])),
            (&[0xa1, 0x61, 0x61, 0xf6], Cbor::Map(vec![(Cbor::Text("a".into()), Cbor::Null)])),
        ] {
            assert_eq!(Cbor::read(bytes), Some((value, bytes.len())));
        }
    }

    #[test]
    fn what_follows_a_value_is_left() {
        assert_eq!(Cbor::read(&[0x01, 0x02]).unwrap().1, 1);
    }

    #[test]
    fn broken_values_are_none() {
        let nested = vec![0x81; 100];
        let doubled = [0xa2, 0x01, 0x01, 0x01, 0x02];
        for bytes in
            [&[][..], &[0x43, 1], &[0x5b, 255, 255, 255, 255, 255, 255, 255, 255], &nested, &doubled, &[0x9f]]
        {
            assert_eq!(Cbor::read(bytes), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..256)) {
            if let Some((_, taken)) = Cbor::read(&bytes) {
                proptest::prop_assert!(taken <= bytes.len());
            }
        }
    }
}
