//! Copies and moves.

use serde_json::{Map, Value};

use super::parts::MOST_PART_CHECKSUMS;
use super::{Condition, Domain, EventKind, Mode, NewObject, Object, ObjectKey, Stored, UploadKind};
use crate::blob::{Attributes, Written};
use crate::sql;
use crate::{Context, Error, Result};

/// What to copy, and to where.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// The bucket and key to read from.
    pub source: (String, ObjectKey),
    /// The bucket and key to write to.
    pub destination: (String, ObjectKey),
    /// Whether an object at the destination is replaced.
    pub mode: Mode,
    /// What must hold of the destination.
    pub condition: Condition,
    /// New values instead of the source's; `None` copies its metadata as it is.
    pub metadata: Option<NewMetadata>,
    /// By which door it came.
    pub kind: UploadKind,
}

/// Metadata that a copy gets instead of its source's. Absent members are the source's.
#[derive(Debug, Clone, Default)]
pub struct NewMetadata {
    /// The content type.
    pub content_type: Option<String>,
    /// The cache control.
    pub cache_control: Option<String>,
    /// More members of `objects.metadata`, instead of the source's.
    pub extra: Option<Map<String, Value>>,
    /// The user's own.
    pub user_metadata: Option<Value>,
}

/// A copy that was made.
#[derive(Debug, Clone)]
pub struct Copied {
    /// What was stored.
    pub stored: Stored,
    /// Its row.
    pub object: Object,
}

/// What to move, and to where.
#[derive(Debug, Clone)]
pub struct MoveRequest {
    /// The bucket and key that it has.
    pub source: (String, String),
    /// The bucket and key that it is to have.
    pub destination: (String, ObjectKey),
}

/// Members of `objects.metadata` that are made anew for every object.
const MADE: [&str; 7] =
    ["eTag", "size", "mimetype", "cacheControl", "lastModified", "contentLength", "httpStatusCode"];

impl Domain {
    /// Copies an object. Needs SELECT on the source and what an upload needs on the destination.
    pub async fn copy(&self, context: &Context, request: CopyRequest) -> Result<Copied> {
        let (bucket, key) = &request.source;
        let source = self.find(context, bucket, key).await?;
        let (to_bucket, to_key) = &request.destination;
        let target = match sql::buckets::find(self, to_bucket).await? {
            Some(bucket) => bucket,
            None => {
                let missing = Error::invalid_request("The related resource does not exist");
                return Err(missing.with_status(404));
            }
        };
        let new = request.metadata.unwrap_or_default();
        let content_type = new.content_type.unwrap_or_else(|| source.content_type().to_owned());
        let cache_control = new.cache_control.unwrap_or_else(|| source.cache_control().to_owned());
        let size = self.size_of(&source).await?;
        // The original looks at neither: a copy was a way around a bucket's limits.
        if size > target.limit(self.config().file_size_limit) {
            return Err(Error::too_large());
        }
        if !to_key.is_folder_marker() {
            target.check_content_type(&content_type)?;
        }
        let blob = self
            .begin_upload(context, to_bucket, to_key, request.mode, Some(size), source.row.metadata.as_ref())
            .await?;
        let attributes = Attributes {
            content_type: Some(content_type.clone()),
            cache_control: Some(cache_control.clone()),
            size: Some(size),
            ..Attributes::default()
        };
        let from = self.blob_of(&source).await?;
        if let Err(error) = self.store().copy(&from, &blob, &attributes).await {
            self.abandon(vec![blob]);
            return Err(error.into());
        }
        let condition = match (request.mode, request.condition) {
            (Mode::Create, Condition::Any) => Condition::Absent,
            (_, condition) => condition,
        };
        let extra = new.extra.unwrap_or_else(|| {
            let mut extra = source.row.metadata.clone().unwrap_or_default();
            extra.retain(|name, _| !MADE.contains(&name.as_str()));
            extra
        });
        let user_metadata = new.user_metadata.or_else(|| source.row.user_metadata.clone());
        let part_checksums = self.part_checksums(&source, 0..MOST_PART_CHECKSUMS).await?;
        let object = NewObject {
            bucket: to_bucket.clone(),
            key: to_key.clone(),
            blob,
            written: Written { size, md5: [0; 16], leaves: None },
            etag: source.etag().map(str::to_owned),
            condition,
            content_type,
            cache_control,
            extra,
            user_metadata,
            part_checksums,
            kind: request.kind,
            event: Some(EventKind::CreatedCopy),
        };
        let stored = self.commit(context, object).await?;
        let object = self.find_signed(context, to_bucket, to_key).await?;
        Ok(Copied { stored, object })
    }

    /// Moves an object: its row gets another name, its bytes stay where they are. Needs SELECT and UPDATE.
    pub async fn move_object(&self, context: &Context, request: &MoveRequest) -> Result<()> {
        let (bucket, key) = &request.source;
        let (to_bucket, to_key) = &request.destination;
        let source = sql::objects::find(self, context, bucket, key).await?.ok_or_else(Error::no_such_key)?;
        if (bucket.as_str(), key.as_str()) == (to_bucket.as_str(), to_key.as_str()) {
            return Ok(());
        }
        let target = match sql::buckets::find(self, to_bucket).await? {
            Some(target) => target,
            None => {
                let missing = Error::invalid_request("The related resource does not exist");
                return Err(missing.with_status(404));
            }
        };
        if bucket != to_bucket {
            if source.size().is_some_and(|size| size > target.limit(self.config().file_size_limit)) {
                return Err(Error::too_large());
            }
            if !to_key.is_folder_marker() {
                target.check_content_type(source.content_type())?;
            }
        }
        // What the original wrote lies at a place that follows from the key: it becomes a blob of ours first.
        let from = self.blob_of(&source).await?;
        let moved = if from.version().is_some() {
            None
        } else {
            let blob = self.begin_blob().await?;
            if let Err(error) = self.store().copy(&from, &blob, &Attributes::default()).await {
                self.abandon(vec![blob]);
                return Err(error.into());
            }
            Some(blob)
        };
        let version = moved.as_ref().and_then(|blob| blob.version());
        if let Err(error) =
            sql::objects::rename(self, context, &source, to_bucket, to_key.as_str(), version).await
        {
            self.abandon(moved.into_iter().collect());
            return Err(error);
        }
        let now = version.or(source.row.version.as_deref());
        let old = (bucket.clone(), key.clone(), source.row.version.clone());
        self.events().tell(self, context, EventKind::RemovedMove, bucket, key, old.2.as_deref(), |_| {});
        self.events().tell(self, context, EventKind::CreatedMove, to_bucket, to_key.as_str(), now, |event| {
            event.metadata = source.row.metadata.clone().map(Value::Object);
            event.old = Some(old);
        });
        if moved.is_some() {
            self.discard(vec![from]);
        }
        Ok(())
    }
}
