//! `Upload-Metadata`: names, each with a value in Base64, separated by commas.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// The longest header that is read.
const MAX_LENGTH: usize = 1 << 20;

/// Names and decoded values, in the order sent. Values are text for all that this server reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata(Vec<(String, Option<String>)>);

impl Metadata {
    /// Reads the header; `None` when it is malformed: a name that is empty, twice there or not ASCII, a value that is not
    /// Base64 of UTF-8.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        if header.len() > MAX_LENGTH {
            return None;
        }
        let text = std::str::from_utf8(header).ok()?;
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        let mut names = HashSet::new();
        for pair in text.split(',') {
            let mut parts = pair.split(' ').filter(|part| !part.is_empty());
            let (name, value, rest) = (parts.next()?, parts.next(), parts.next());
            let is_name = name.bytes().all(|byte| (33..127).contains(&byte) && byte != b',');
            if rest.is_some() || !is_name || !names.insert(name) {
                return None;
            }
            let value = match value {
                None => None,
                Some(value) => {
                    let bytes = STANDARD.decode(value).or_else(|_| STANDARD_NO_PAD.decode(value)).ok()?;
                    Some(String::from_utf8(bytes).ok()?)
                }
            };
            pairs.push((name.to_owned(), value));
        }
        (!pairs.is_empty()).then_some(Self(pairs))
    }

    /// A value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref())
    }

    /// The header that [`Metadata::parse`] reads.
    #[cfg(test)]
    pub(crate) fn header(&self) -> String {
        let pair = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name} {}", STANDARD.encode(value)),
            None => name.clone(),
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_decoded() {
        let metadata = Metadata::parse(b"bucketName YnVja2V0, objectName YS9iLnR4dA==,flag").unwrap();
        assert_eq!(metadata.get("bucketName"), Some("bucket"));
        assert_eq!(metadata.get("objectName"), Some("a/b.txt"));
        assert_eq!(metadata.get("flag"), None);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for bad in ["", " ", ",", "a !", "a YQ== YQ==", "a YQ==,a YQ==", "a YQ==,,b YQ==", "a gIA="] {
            assert_eq!(Metadata::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in prop::collection::btree_map("[a-zA-Z!-+]{1,8}", prop::option::of("\\PC{1,10}"), 1..5)) {
            let metadata = Metadata(pairs.into_iter().collect());
            prop_assert_eq!(Metadata::parse(metadata.header().as_bytes()), Some(metadata));
        }

        #[test]
        fn strangers_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Metadata::parse(&bytes);
        }
    }
}
