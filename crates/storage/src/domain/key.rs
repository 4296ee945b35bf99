//! Object keys.

use std::fmt;

use crate::{Error, Result};

/// The key of an object in its bucket: a path that leads nowhere else.
///
/// Non-empty, at most 1024 bytes, no segment `.` or `..`, no control characters. Without the setting for unicode keys
/// only what the original allows: `A–Z a–z 0–9 _ / ! - . * ' ( ) space & $ @ = ; : + , ?`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey(Box<str>);

/// What a file in a folder of an empty folder is called: Studio makes it, and S3 for a key that ends in a slash.
const FOLDER_MARKER: &str = ".emptyFolderPlaceholder";

/// The longest key, in bytes: S3's limit.
const MAX_BYTES: usize = 1024;

impl ObjectKey {
    /// A key from its decoded text.
    pub fn parse(key: &str, unicode: bool) -> Result<Self> {
        let allowed = |c: char| if unicode { !c.is_control() } else { is_classic(c) };
        let leads_on = |segment: &str| !matches!(segment, "." | "..");
        let fits = (1..=MAX_BYTES).contains(&key.len())
            && key.chars().all(allowed)
            && key.split('/').all(leads_on)
            && !key.starts_with('/');
        if fits { Ok(Self(key.into())) } else { Err(Error::invalid_key(key)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it marks an empty folder: it has no content, and no type to be checked.
    #[must_use]
    pub fn is_folder_marker(&self) -> bool {
        self.0.ends_with(FOLDER_MARKER)
    }
}

/// The characters of the original's keys and, but for the slash, of bucket names.
pub(crate) fn is_classic(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '_' | '/'
                | '!'
                | '-'
                | '.'
                | '*'
                | '\''
                | '('
                | ')'
                | ' '
                | '&'
                | '$'
                | '@'
                | '='
                | ';'
                | ':'
                | '+'
                | ','
                | '?'
        )
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ObjectKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_what_the_original_allows() {
        for good in ["a", "a/b.txt", "a//b", "folder/", "it's (1) & @=;:+,?$!*-_.png", "...", "a/.b", "a/..b"]
        {
            assert_eq!(ObjectKey::parse(good, false).unwrap().as_str(), good);
        }
        let long = "a".repeat(1025);
        for bad in [
            "", "/a", ".", "..", "a/../b", "../a", "a/..", "a/./b", "ä", "a%b", "a#", "a\\b", "a|b", "a\0",
            &long,
        ] {
            assert_eq!(ObjectKey::parse(bad, false), Err(Error::invalid_key(bad)));
        }
    }

    #[test]
    fn unicode_keys_are_a_choice() {
        assert_eq!(ObjectKey::parse("日本/ö%.txt", true).unwrap().as_str(), "日本/ö%.txt");
        for bad in ["a\0b", "a\nb", "../a", "a/./b"] {
            assert!(ObjectKey::parse(bad, true).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_key_climbs(key in "[a./]{0,20}", unicode: bool) {
            if let Ok(key) = ObjectKey::parse(&key, unicode) {
                let mut depth = 0_i32;
                for segment in key.as_str().split('/') {
                    depth += match segment { "" | "." => 0, ".." => -1, _ => 1 };
                    prop_assert!(depth >= 0);
                }
            }
        }
    }
}
