//! Uploads in parts: each part is a blob of its own, known by the upload's id and the part's number.
//!
//! TUS and S3 keep their uploads in tables of their own; here is what their parts have in common.

use std::ops::Range;

use md5::{Digest, Md5};
use serde_json::{Map, Value};

use super::{Domain, NewObject, Object, Stored};
use crate::blob::{Attributes, BlobName, Inflow, Piece, Written};
use crate::sql;
use crate::{Context, Error, Result};

/// A part that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its number, from 1 in S3.
    pub number: u32,
    /// Its blob.
    pub blob: BlobName,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, quoted.
    pub etag: String,
    /// What else a door knows of it.
    pub checksums: Map<String, Value>,
    /// When it was written.
    pub written_at: String,
}

/// A part that was just written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartWritten {
    /// Size and digest.
    pub written: Written,
    /// Its entity tag, quoted.
    pub etag: String,
}

/// The most bytes that the checksums of an object's parts have together: ten thousand of the longest.
pub(crate) const MOST_PART_CHECKSUMS: u64 = 10_000 * 32;

/// The tag of an object in parts, quoted: MD5 over the parts' MD5s, and their number.
#[must_use]
pub(crate) fn etag_of_parts(parts: &[Part]) -> String {
    let mut digest = Md5::new();
    for part in parts {
        digest.update(hex::decode(part.etag.trim_matches('"')).unwrap_or_default());
    }
    format!("\"{}-{}\"", hex::encode(digest.finalize()), parts.len())
}

impl Domain {
    /// Streams a part into a blob of its own and records it; a part of the same number is replaced.
    ///
    /// `checksums` is asked when the body has ended.
    pub async fn write_part(
        &self,
        upload: &str,
        number: u32,
        body: Inflow,
        size: Option<u64>,
        limit: u64,
        checksums: impl FnOnce(&Written) -> Result<Map<String, Value>>,
    ) -> Result<PartWritten> {
        let blob = self.begin_blob().await?;
        let attributes = Attributes { size, ..Attributes::default() };
        let written = self.store_blob(&blob, &attributes, body, limit).await?;
        let recorded = match checksums(&written) {
            Ok(checksums) => self.record_part(upload, number, &blob, &written, &checksums).await,
            Err(error) => Err(error),
        };
        match recorded {
            Ok(()) => Ok(PartWritten { written, etag: written.etag() }),
            Err(error) => {
                self.abandon(vec![blob]);
                Err(error)
            }
        }
    }

    /// Records a durable blob as a part. The blob of a part that it replaces goes.
    pub async fn record_part(
        &self,
        upload: &str,
        number: u32,
        blob: &BlobName,
        written: &Written,
        checksums: &Map<String, Value>,
    ) -> Result<()> {
        let etag = written.etag();
        let replaced = sql::parts::record(self, upload, number, blob, written.size, &etag, checksums).await?;
        self.discard(replaced.and_then(|old| BlobName::of_version(&old)).into_iter().collect());
        Ok(())
    }

    /// The parts of an upload, by number.
    pub async fn parts(&self, upload: &str) -> Result<Vec<Part>> {
        sql::parts::list(self, upload).await
    }

    /// Bytes of the checksums of the parts that an object was uploaded in, which stand one after another in their order;
    /// none where they are not known.
    pub async fn part_checksums(&self, object: &Object, bytes: Range<u64>) -> Result<Vec<u8>> {
        let known = object.row.metadata.as_ref().is_some_and(|members| members.contains_key("parts"));
        match &object.row.version {
            Some(version) if known => sql::parts::checksums(self, version, bytes).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Forgets the parts of an upload and removes their blobs.
    pub async fn drop_parts(&self, upload: &str) -> Result<()> {
        let gone = sql::parts::delete(self, upload).await?;
        self.discard(gone.iter().filter_map(|old| BlobName::of_version(old)).collect());
        Ok(())
    }

    /// Joins parts to one blob and makes that an object: `object` says what it is; its `blob` is replaced by the joined
    /// one and its size by the parts'. The parts stay until [`Domain::drop_parts`].
    pub async fn complete_parts(
        &self,
        context: &Context,
        parts: &[Part],
        mut object: NewObject,
    ) -> Result<Stored> {
        let blob = self.begin_blob().await?;
        let pieces: Vec<Piece> =
            parts.iter().map(|part| Piece { name: part.blob.clone(), size: part.size }).collect();
        let attributes = Attributes {
            content_type: Some(object.content_type.clone()),
            cache_control: Some(object.cache_control.clone()),
            size: Some(pieces.iter().map(|piece| piece.size).sum()),
            ..Attributes::default()
        };
        let size = match self.store().compose(&pieces, &blob, &attributes).await {
            Ok(size) if Some(size) == attributes.size => size,
            other => {
                self.abandon(vec![blob]);
                return Err(match other {
                    Ok(size) => Error::internal(format!("parts became {size} bytes")),
                    Err(error) => error.into(),
                });
            }
        };
        object.blob = blob;
        object.written.size = size;
        self.commit(context, object).await
    }
}
