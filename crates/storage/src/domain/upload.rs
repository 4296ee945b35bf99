//! Uploads: probe, release, stream, commit.
//!
//! The probe runs the caller's statement under the caller's role and takes it back, in the same round trip that enters
//! the blob-to-be into the ledger. Then the connection is free. When the blob is durable, one transaction makes the row
//! that refers to it; the blob it replaces goes afterwards.

use serde_json::{Map, Value};

use super::object::metadata;
use super::{Bucket, Domain, EventKind, ObjectKey};
use crate::blob::{Attributes, BlobName, Inflow, StoreError, Written, limited};
use crate::sql::{self, Probe};
use crate::{Context, Error, Result};

/// Which policies an upload needs: they are those of two different statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// INSERT alone; the key must be free.
    Create,
    /// INSERT, SELECT and UPDATE, even where the key is free.
    Upsert,
}

/// What must hold of the key at the moment of the commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing: the last writer wins.
    #[default]
    Any,
    /// There is no object (`x-upsert: false`, S3's `If-None-Match: *`).
    Absent,
    /// There is an object with one of these entity tags (quoted), or with any tag for `*` (S3's `If-Match`).
    Matches(Vec<String>),
    /// There is no object with one of these entity tags (quoted); there may be another or none (`If-None-Match`).
    Differs(Vec<String>),
}

impl Condition {
    /// Whether it allows a write over what is there: the tag of the object, which may have none, if there is one.
    #[must_use]
    pub fn allows(&self, current: Option<Option<&str>>) -> bool {
        let listed = |tags: &[String], etag: Option<&str>| {
            tags.iter().any(|tag| tag == "*" || Some(tag.as_str()) == etag)
        };
        match (self, current) {
            (Self::Any, _) => true,
            (Self::Absent, current) => current.is_none(),
            (Self::Matches(tags), current) => current.is_some_and(|etag| listed(tags, etag)),
            (Self::Differs(tags), current) => current.is_none_or(|etag| !listed(tags, etag)),
        }
    }
}

/// By which door content came, as events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    /// REST.
    Standard,
    /// TUS.
    Resumable,
    /// S3.
    S3,
}

impl UploadKind {
    /// The word in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Resumable => "resumable",
            Self::S3 => "s3",
        }
    }
}

/// An upload whose body is about to come.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The bucket, as [`Domain::find_bucket`] gave it.
    pub bucket: Bucket,
    /// The key.
    pub key: ObjectKey,
    /// Which policies it needs.
    pub mode: Mode,
    /// What must hold when it is committed; [`Mode::Create`] implies [`Condition::Absent`].
    pub condition: Condition,
    /// The content type, checked against the bucket's.
    pub content_type: String,
    /// The cache control, verbatim.
    pub cache_control: String,
    /// More members of `objects.metadata` (S3's content encoding, checksums).
    pub extra: Map<String, Value>,
    /// The user's own metadata.
    pub user_metadata: Option<Value>,
    /// How long the body says it is.
    pub size: Option<u64>,
    /// The largest body that is taken; at most what the bucket allows.
    pub limit: u64,
    /// By which door it came.
    pub kind: UploadKind,
}

/// A durable blob that is to become an object.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// The bucket's id.
    pub bucket: String,
    /// The key.
    pub key: ObjectKey,
    /// The blob, from [`Domain::begin_blob`] or [`Domain::store`].
    pub blob: BlobName,
    /// Size and digest.
    pub written: Written,
    /// The entity tag, quoted, when it is not the MD5 (uploads in parts).
    pub etag: Option<String>,
    /// What must hold of the key.
    pub condition: Condition,
    /// The content type.
    pub content_type: String,
    /// The cache control, verbatim.
    pub cache_control: String,
    /// More members of `objects.metadata`.
    pub extra: Map<String, Value>,
    /// The user's own metadata.
    pub user_metadata: Option<Value>,
    /// The checksums of the parts that it came in, one after another; empty without any.
    pub part_checksums: Vec<u8>,
    /// By which door it came.
    pub kind: UploadKind,
    /// What the event is called; the usual choice between created by POST and by PUT without one.
    pub event: Option<EventKind>,
}

/// An object that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The row's id.
    pub id: String,
    /// The version, which is the blob's name.
    pub version: String,
    /// The entity tag, quoted.
    pub etag: String,
    /// The size in bytes.
    pub size: u64,
    /// Whether it replaced another.
    pub replaced: bool,
}

impl Domain {
    /// Asks the policies whether the caller may upload, and enters a blob into the ledger. One round trip; nothing
    /// stays but the entry. `size` is that of the body, as far as it is known.
    pub async fn begin_upload(
        &self,
        context: &Context,
        bucket: &str,
        key: &ObjectKey,
        mode: Mode,
        size: Option<u64>,
        metadata: Option<&Map<String, Value>>,
    ) -> Result<BlobName> {
        // The commit is the service role's: asked by itself it would do the same statement twice. Only a long body is not to
        // be taken for nothing.
        let commits = *context.caller.role == *self.config().service_role;
        if commits && size.is_some_and(|size| size <= SHORT) {
            return self.begin_blob().await;
        }
        let blob = BlobName::fresh();
        let metadata = metadata.map(|map| Value::Object(map.clone()).to_string());
        let probe = Probe { bucket, key: key.as_str(), mode, metadata: metadata.as_deref() };
        sql::objects::probe(self, context, &probe, blob.version()).await?;
        Ok(blob)
    }

    /// Asks the policies whether the caller may upload. Nothing stays.
    pub async fn may_upload(
        &self,
        context: &Context,
        bucket: &str,
        key: &ObjectKey,
        mode: Mode,
    ) -> Result<()> {
        let probe = Probe { bucket, key: key.as_str(), mode, metadata: None };
        sql::objects::probe(self, context, &probe, None).await
    }

    /// Enters a blob into the ledger without asking any policy: for parts of uploads that were allowed before.
    pub async fn begin_blob(&self) -> Result<BlobName> {
        let blob = BlobName::fresh();
        sql::ledger::enter(self, &blob).await?;
        Ok(blob)
    }

    /// Streams a body into a blob of [`Domain::begin_upload`] or [`Domain::begin_blob`]. On failure the blob is gone.
    pub async fn store_blob(
        &self,
        blob: &BlobName,
        attributes: &Attributes,
        body: Inflow,
        limit: u64,
    ) -> Result<Written> {
        if attributes.size.is_some_and(|size| size > limit) {
            self.abandon(vec![blob.clone()]);
            return Err(Error::too_large());
        }
        let guard = Unfinished::new(self, blob);
        let written = self.store().put(blob, attributes, limited(body, limit)).await?;
        // Half a body is no object.
        if let Some(size) = attributes.size.filter(|size| *size != written.size) {
            return Err(Error::invalid_request(format!(
                "the body has {} bytes where {size} were announced",
                written.size
            )));
        }
        guard.disarm();
        Ok(written)
    }

    /// The whole of a simple upload: probe, stream, commit.
    pub async fn upload(&self, context: &Context, upload: Upload, body: Inflow) -> Result<Stored> {
        let limit = if upload.key.is_folder_marker() { 0 } else { upload.limit };
        if upload.size.is_some_and(|size| size > limit) {
            return Err(Error::too_large());
        }
        let known = announced(&upload);
        let blob = self
            .begin_upload(context, &upload.bucket.id, &upload.key, upload.mode, upload.size, Some(&known))
            .await?;
        let attributes = Attributes {
            content_type: Some(upload.content_type.clone()),
            cache_control: Some(upload.cache_control.clone()),
            size: upload.size,
            by_leaves: upload.size.is_some_and(|size| size > IN_ONE),
        };
        let written = self.store_blob(&blob, &attributes, body, limit).await?;
        let condition = match (upload.mode, upload.condition) {
            (Mode::Create, Condition::Any) => Condition::Absent,
            (_, condition) => condition,
        };
        self.commit(
            context,
            NewObject {
                bucket: upload.bucket.id,
                key: upload.key,
                blob,
                written,
                etag: None,
                condition,
                content_type: upload.content_type,
                cache_control: upload.cache_control,
                extra: upload.extra,
                user_metadata: upload.user_metadata,
                part_checksums: Vec::new(),
                kind: upload.kind,
                event: None,
            },
        )
        .await
    }

    /// Makes a durable blob an object: visible at once and for good when this returns. The blob of an object that it
    /// replaces goes afterwards. On failure the blob is gone, and what was there before is still there.
    ///
    /// Runs as the service role, since the policies were asked before; the owner is the caller.
    pub async fn commit(&self, context: &Context, object: NewObject) -> Result<Stored> {
        let guard = Unfinished::new(self, &object.blob);
        let etag = object.etag.clone().unwrap_or_else(|| object.written.etag());
        let members = metadata(
            &object.written,
            Some(&etag),
            &object.content_type,
            &object.cache_control,
            &object.extra,
        );
        let members = Value::Object(members);
        let committed = sql::objects::commit(self, context, &object, &members).await?;
        guard.disarm();
        self.count_one();
        let version = object.blob.version().unwrap_or_default().to_owned();
        let kind = object.event.unwrap_or(if committed.replaced.is_some() {
            EventKind::CreatedPut
        } else {
            EventKind::CreatedPost
        });
        self.events().tell(
            self,
            context,
            kind,
            &object.bucket,
            object.key.as_str(),
            Some(&version),
            |event| {
                event.metadata = Some(members);
                event.upload = Some(object.kind);
            },
        );
        let replaced = committed.replaced.is_some();
        if let Some(old) = committed.replaced {
            self.discard(self.blobs_of(&object.bucket, object.key.as_str(), old.as_deref()));
        }
        Ok(Stored { id: committed.id, version, etag, size: object.written.size, replaced })
    }

    /// Reads a blob's size where a store only tells that (parts joined to a whole).
    pub async fn blob_size(&self, blob: &BlobName) -> Result<u64, StoreError> {
        self.store().head(blob).await
    }
}

/// The most bytes whose tag is their MD5: what is longer comes in parts, as far as its tag tells, because the original
/// sends it to S3 in parts of this size.
const IN_ONE: u64 = 5 << 20;

/// A body of at most so many bytes is taken before anything is known to be in its way, where only its commit could tell.
const SHORT: u64 = 128 << 10;

/// What is known of an upload before its body came, for policies that look at it.
fn announced(upload: &Upload) -> Map<String, Value> {
    let mut known = Map::new();
    known.insert("mimetype".into(), Value::from(upload.content_type.as_str()));
    known.insert("cacheControl".into(), Value::from(upload.cache_control.as_str()));
    if let Some(size) = upload.size {
        known.insert("size".into(), size.into());
        known.insert("contentLength".into(), size.into());
    }
    known
}

/// Removes a blob unless it became an object, however the upload ends: also when the client goes away and nobody polls
/// the upload any more.
struct Unfinished<'d> {
    domain: &'d Domain,
    blob: &'d BlobName,
    armed: bool,
}

impl<'d> Unfinished<'d> {
    fn new(domain: &'d Domain, blob: &'d BlobName) -> Self {
        Self { domain, blob, armed: true }
    }

    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.domain.abandon(vec![self.blob.clone()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_look_at_what_is_there() {
        let tags = || vec!["\"a\"".to_owned(), "\"b\"".to_owned()];
        let any = || vec!["*".to_owned()];
        let (none, a, c, untagged) = (None, Some(Some("\"a\"")), Some(Some("\"c\"")), Some(None));
        for (condition, allowed) in [
            (Condition::Any, [true; 4]),
            (Condition::Absent, [true, false, false, false]),
            (Condition::Matches(tags()), [false, true, false, false]),
            (Condition::Matches(any()), [false, true, true, true]),
            (Condition::Differs(tags()), [true, false, true, true]),
        ] {
            assert_eq!(
                [none, a, c, untagged].map(|current| condition.allows(current)),
                allowed,
                "{condition:?}"
            );
        }
    }
}
