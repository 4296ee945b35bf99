//! What a bucket is and what may be said about one.

use serde::Serialize;

use super::key::is_classic;
use super::mime::MimeRule;
use crate::{Code, Error, Result};

/// The id of a new bucket: 1 to 100 of the characters of keys but for the slash, no white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName(Box<str>);

impl BucketName {
    /// A name for a bucket to be made.
    pub fn parse(name: &str, reserved_suffix: &str) -> Result<Self> {
        let fits = (1..=100).contains(&name.len())
            && name.chars().all(|c| is_classic(c) && c != '/')
            && name.trim() == name
            && !matches!(name, "." | "..")
            && (reserved_suffix.is_empty() || !name.ends_with(reserved_suffix));
        if fits { Ok(Self(name.into())) } else { Err(Error::invalid_bucket_name()) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A bucket's limit on the size of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimit(pub u64);

impl SizeLimit {
    /// Reads `20GB`, `500 KB`, `1.5MB`, `3B` or bare bytes; units are powers of 1000.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let power = match unit.trim().to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            "KB" => 1,
            "MB" => 2,
            "GB" => 3,
            _ => return Err(Self::invalid()),
        };
        let number: f64 = number.parse().map_err(|_| Self::invalid())?;
        let bytes = number * 1000_f64.powi(power);
        if !(0.0..=9e15).contains(&bytes) {
            return Err(Self::invalid());
        }
        Ok(Self(bytes as u64))
    }

    fn invalid() -> Error {
        Error::invalid_request("Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B")
    }
}

/// What a new bucket is to be.
#[derive(Debug, Clone)]
pub struct NewBucket {
    /// Its id, by which all routes and policies know it.
    pub id: BucketName,
    /// Its name.
    pub name: BucketName,
    /// Whether everyone may download from it.
    pub public: bool,
    /// The largest object in it, in bytes.
    pub file_size_limit: Option<u64>,
    /// The content types that it takes; none or empty for any.
    pub allowed_mime_types: Option<Vec<String>>,
}

/// What is to change about a bucket. Absent members stay as they are.
#[derive(Debug, Clone, Default)]
pub struct BucketUpdate {
    /// Whether everyone may download from it.
    pub public: Option<bool>,
    /// `Some(None)` lifts the limit.
    pub file_size_limit: Option<Option<u64>>,
    /// `Some(None)` allows any type.
    pub allowed_mime_types: Option<Option<Vec<String>>>,
}

/// Which buckets to list.
#[derive(Debug, Clone, Default)]
pub struct BucketQuery {
    /// At most so many.
    pub limit: Option<u64>,
    /// Skipping so many.
    pub offset: Option<u64>,
    /// `id`, `name`, `created_at`, `updated_at`
    pub sort_column: Option<String>,
    /// Descending.
    pub descending: bool,
    /// Contained in the name, in any case.
    pub search: Option<String>,
}

/// A bucket as object operations need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its id.
    pub id: String,
    /// Whether everyone may download from it.
    pub public: bool,
    /// The largest object in it, in bytes.
    pub file_size_limit: Option<u64>,
    /// The content types that it takes; empty for any.
    pub allowed_mime_types: Vec<String>,
}

impl Bucket {
    /// The largest object that an upload may make, given the service's own limit.
    #[must_use]
    pub fn limit(&self, global: u64) -> u64 {
        self.file_size_limit.map_or(global, |limit| limit.min(global))
    }

    /// Refuses a content type that the bucket does not take.
    pub fn check_content_type(&self, content_type: &str) -> Result<()> {
        if super::content_type_fits(&self.allowed_mime_types, content_type) {
            Ok(())
        } else {
            Err(Error::invalid_mime_type(content_type))
        }
    }
}

/// A row of `storage.buckets` as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct BucketRow {
    pub id: String,
    pub name: String,
    pub owner: String,
    pub public: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub file_size_limit: Option<u64>,
    pub allowed_mime_types: Option<Vec<String>>,
    pub created_at: String,
    pub updated_at: String,
}

/// Drops empty entries and refuses those that are no content type.
pub(crate) fn check_mime_types(types: Vec<String>) -> Result<Vec<String>> {
    let types: Vec<String> = types.into_iter().filter(|entry| !entry.is_empty()).collect();
    match types.iter().find(|entry| MimeRule::parse(entry).is_none()) {
        Some(bad) => Err(Error::new(Code::InvalidMimeType, format!("mime type {bad} is not supported"))),
        None => Ok(types),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names() {
        for good in ["a", "my bucket", "avatars-2.x", "it's", &"x".repeat(100)] {
            assert!(BucketName::parse(good, "--table-s3").is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a/b", "ä", "x--table-s3", "..", ".", &"x".repeat(101)] {
            assert_eq!(BucketName::parse(bad, "--table-s3"), Err(Error::invalid_bucket_name()), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_in_powers_of_a_thousand() {
        for (text, bytes) in [
            ("0", 0),
            ("20mb", 20_000_000),
            ("1234MB", 1_234_000_000),
            ("1.5 KB", 1500),
            ("3B", 3),
            ("7", 7),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(SizeLimit::parse(text), Ok(SizeLimit(bytes)), "{text}");
        }
        for bad in ["", "MB", "-1", "1TB", "1.2.3MB", "99999999GB", "1e3"] {
            assert!(SizeLimit::parse(bad).is_err(), "{bad}");
        }
    }
}
