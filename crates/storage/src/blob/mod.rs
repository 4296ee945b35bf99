//! Where objects' bytes are kept: the trait of a store, and the names of blobs.
//!
//! A blob is immutable: it is written once under a name that nobody else uses, read, copied, and deleted. Key, type,
//! checksums and visibility are the row's matter. Stable: the doors and other stores build on this module.

mod buffers;
mod digest;
mod lane;
mod leaves;
pub mod local;
mod name;
pub mod s3;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

pub use local::LocalStore;
pub use name::BlobName;
pub use s3::S3Store;

/// A future of a store.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Bytes on their way in.
pub type Inflow = Pin<Box<dyn Stream<Item = std::result::Result<Bytes, BodyError>> + Send>>;

/// Bytes on their way out.
pub enum Outflow {
    /// All of them are here.
    Ready(Bytes),
    /// They come.
    Coming(Pin<Box<dyn Stream<Item = std::result::Result<Bytes, StoreError>> + Send>>),
}

impl Stream for Outflow {
    type Item = std::result::Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Self::Ready(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Ready(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Coming(stream) => stream.as_mut().poll_next(cx),
        }
    }
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// The client went away, stopped sending, or broke the framing.
    #[error("the body ended early: {0}")]
    Incomplete(String),
    /// A door refused it: a checksum, a chunk's signature, a form without end.
    #[error("{0}")]
    Refused(Box<crate::Error>),
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such blob.
    #[error("there is no such blob")]
    NotFound,
    /// The store has no room left.
    #[error("the store is full")]
    Full,
    /// The body that was to be stored ended early. Nothing is left of it.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The range does not lie within the blob.
    #[error("the range lies outside of the blob")]
    Range,
    /// The store cannot be reached or answered that it is overloaded; trying again may help.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The store refused in its own words.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The file system failed.
    #[error("the file system failed: {0}")]
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

/// What a store may keep beside the bytes (S3's native headers). The row is the truth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// How many bytes will come, when it is known.
    pub size: Option<u64>,
    /// Whether nobody expects the tag to be MD5 of the bytes, so that the store may hash leaves of them.
    pub by_leaves: bool,
}

/// A blob that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Its size in bytes.
    pub size: u64,
    /// MD5 of its bytes, computed while they passed, or over the MD5s of its leaves.
    pub md5: [u8; 16],
    /// How many leaves, if it was hashed by them.
    pub leaves: Option<u64>,
}

impl Written {
    /// Its entity tag, quoted. By leaves it has the form of tags of uploads in parts.
    #[must_use]
    pub fn etag(&self) -> String {
        let digest = hex::encode(self.md5);
        match self.leaves {
            None => format!("\"{digest}\""),
            Some(leaves) => format!("\"{digest}-{leaves}\""),
        }
    }
}

/// A blob opened for reading.
pub struct Blob {
    /// Its whole size in bytes.
    pub size: u64,
    /// The part of it that `body` delivers.
    pub range: Range<u64>,
    /// The bytes.
    pub body: Outflow,
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

/// One of the blobs that [`Store::compose`] joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its name.
    pub name: BlobName,
    /// Its size in bytes.
    pub size: u64,
}

/// A place for blobs. Every method may be called by many at a time; a future that is dropped leaves at most garbage under
/// the name it was to write, never a blob that looks whole.
pub trait Store: Send + Sync + 'static {
    /// For logs and metrics: `file`, `s3`.
    fn kind(&self) -> &'static str;

    /// Writes a blob to its end and makes it durable. An error leaves nothing behind that could be taken for it.
    fn put<'a>(
        &'a self,
        name: &'a BlobName,
        attributes: &'a Attributes,
        body: Inflow,
    ) -> BoxFuture<'a, Result<Written, StoreError>>;

    /// Opens a blob, or the part `range` of it (half open; the end is cut at the blob's).
    fn get<'a>(
        &'a self,
        name: &'a BlobName,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Blob, StoreError>>;

    /// The size of a blob.
    fn head<'a>(&'a self, name: &'a BlobName) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Copies a blob within the store, durably.
    fn copy<'a>(
        &'a self,
        from: &'a BlobName,
        to: &'a BlobName,
        attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Joins blobs, in order, to a new one, durably; the pieces stay. This is how uploads in parts end: each part is a
    /// blob of its own, so that parts survive a restart and may come to any node. Returns the size of the whole.
    fn compose<'a>(
        &'a self,
        pieces: &'a [Piece],
        to: &'a BlobName,
        attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Deletes blobs. One that does not exist counts as deleted.
    fn delete<'a>(&'a self, names: &'a [BlobName]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Whether the store answers.
    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What a store of the original's says of a blob, for rows that do not say it.
    fn described<'a>(&'a self, name: &'a BlobName) -> BoxFuture<'a, Attributes> {
        let _ = name;
        Box::pin(std::future::ready(Attributes::default()))
    }

    /// The file in which a blob lies, for stores that have files.
    fn path(&self, name: &BlobName) -> Option<std::path::PathBuf> {
        let _ = name;
        None
    }
}

/// An [`Inflow`] of one buffer.
pub fn once(bytes: Bytes) -> Inflow {
    Box::pin(futures_util::stream::once(std::future::ready(Ok(bytes))))
}

/// Cuts a body that grows beyond `limit` bytes with [`BodyError::TooLarge`].
pub fn limited(body: Inflow, limit: u64) -> Inflow {
    use futures_util::StreamExt as _;
    let mut left = limit;
    Box::pin(body.map(move |chunk| {
        let chunk = chunk?;
        left = left.checked_sub(chunk.len() as u64).ok_or(BodyError::TooLarge)?;
        Ok(chunk)
    }))
}
