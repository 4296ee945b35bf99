//! Names of blobs.

use std::fmt;

/// The name of a blob.
///
/// Ours are version ids, independent of the object's key: no key can lead out of the store, be too long for a file
/// name, or be a directory for another. [`BlobName::upstream`] names what the original program wrote before us.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobName(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Version(Box<str>),
    Upstream(Box<str>),
}

impl BlobName {
    /// A name that nobody has used.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Repr::Version(uuid::Uuid::new_v4().to_string().into()))
    }

    /// The name that a row's `version` gives; `None` when it could not be one: 1 to 64 of `A–Z a–z 0–9 - _`.
    #[must_use]
    pub fn of_version(version: &str) -> Option<Self> {
        let fits = (1..=64).contains(&version.len())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        fits.then(|| Self(Repr::Version(version.into())))
    }

    /// Where the original keeps an object: `<tenant>/<bucket>/<key>/<version>`, below the volume's bucket folder; with
    /// `-$v-` before the version where it was set up so (`separated`). A row without version has its file right at the
    /// key. `None` when a segment would lead elsewhere.
    #[must_use]
    pub fn upstream(
        tenant: &str,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        separated: bool,
    ) -> Option<Self> {
        let mut path = format!("{tenant}/{bucket}/{key}");
        if let Some(version) = version {
            path.push_str(if separated { "-$v-" } else { "/" });
            path.push_str(version);
        }
        let safe = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains(['\0', '\\']);
        path.split('/').all(safe).then(|| Self(Repr::Upstream(path.into())))
    }

    /// The version id, for names of ours.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match &self.0 {
            Repr::Version(version) => Some(version),
            Repr::Upstream(_) => None,
        }
    }

    /// The key in a store that has keys or paths, without leading slash: `ab/<version>` with the first two characters
    /// as a folder, or the original's path.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.0 {
            Repr::Version(version) => format!("{}/{version}", shard(version)),
            Repr::Upstream(path) => path.to_string(),
        }
    }
}

/// Folders of a few thousand files instead of one of millions. Two hexadecimal digits for our own ids.
fn shard(version: &str) -> String {
    let mut shard: String = version.chars().take(2).map(|c| c.to_ascii_lowercase()).collect();
    while shard.len() < 2 {
        shard.push('_');
    }
    shard
}

impl fmt::Debug for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_a_file_in_a_small_folder() {
        let name = BlobName::of_version("0aF4-x").unwrap();
        assert_eq!((name.path().as_str(), name.version()), ("0a/0aF4-x", Some("0aF4-x")));
        assert_eq!(BlobName::of_version("1").unwrap().path(), "1_/1");
        for bad in ["", "a/b", "..", "a.b", "é", &"x".repeat(65)] {
            assert_eq!(BlobName::of_version(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_originals_paths_lead_nowhere_else() {
        let path =
            |key, version| BlobName::upstream("stub", "b", key, version, false).map(|name| name.path());
        assert_eq!(path("a/b.txt", Some("v")).as_deref(), Some("stub/b/a/b.txt/v"));
        assert_eq!(path("a", None).as_deref(), Some("stub/b/a"));
        for bad in ["../x", "a/../../x", "a//b", "./a", "/a", "a/", "a\0b", "a\\..\\b"] {
            assert_eq!(path(bad, Some("v")), None, "{bad}");
        }
    }
}
