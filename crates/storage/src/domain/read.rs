//! Reading: who may see an object, and its bytes.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::{Bucket, Domain, Object, ObjectKey};
use crate::blob::{Blob, Outflow, StoreError};
use crate::sql;
use crate::{Context, Error, Result};

/// An object and its opened bytes.
#[derive(Debug)]
pub struct Opened {
    /// The row that was current when the bytes were opened.
    pub object: Object,
    /// The bytes.
    pub blob: Blob,
}

impl Domain {
    /// A bucket, whatever policies say about it: object operations need no bucket policy.
    pub async fn find_bucket(&self, bucket: &str) -> Result<Bucket> {
        sql::buckets::find(self, bucket).await?.ok_or_else(Error::no_such_bucket)
    }

    /// An object that the caller may see.
    pub async fn find(&self, context: &Context, bucket: &str, key: &ObjectKey) -> Result<Object> {
        let found = sql::objects::find(self, context, bucket, key.as_str()).await?;
        Ok(self.described(found.ok_or_else(Error::no_such_key)?).await)
    }

    /// The same object, with what its row does not say and a file of the original's does.
    async fn described(&self, mut object: Object) -> Object {
        if !self.0.adopts || object.metadata_text("mimetype").is_some() {
            return object;
        }
        for blob in self.blobs_of(&object.row.bucket_id, &object.row.name, object.row.version.as_deref()) {
            let told = self.store().described(&blob).await;
            let members = Arc::make_mut(&mut object.row).metadata.get_or_insert_default();
            for (name, value) in [("mimetype", told.content_type), ("cacheControl", told.cache_control)] {
                if let Some(value) = value {
                    members.entry(name).or_insert(value.into());
                }
            }
        }
        object
    }

    /// An object of a public bucket. A private bucket looks like none.
    pub async fn find_public(&self, bucket: &str, key: &ObjectKey) -> Result<Object> {
        match self.0.lookups.find(self, bucket, key.as_str()).await? {
            None => Err(Error::no_such_bucket()),
            Some(found) => Ok(self.described(found.ok_or_else(Error::no_such_key)?).await),
        }
    }

    /// An object, for whoever holds a signature instead of a role.
    pub async fn find_signed(&self, context: &Context, bucket: &str, key: &ObjectKey) -> Result<Object> {
        let context = context.elevated(&self.config().service_role);
        self.find(&context, bucket, key).await
    }

    /// Opens an object's bytes, or a part of them.
    ///
    /// An object that is replaced between the look at its row and the opening is opened as what it has become.
    pub async fn open(&self, object: Object, range: Option<Range<u64>>) -> Result<Opened> {
        match self.open_version(&object, range.clone()).await {
            Ok(blob) => Ok(Opened { object, blob }),
            Err(StoreError::NotFound) => {
                let context = Context::of_service(&self.config().service_role, "storage.object.get");
                let row = &object.row;
                let now = Box::pin(sql::objects::find(self, &context, &row.bucket_id, &row.name)).await?;
                match now {
                    Some(now) if now.row.version != object.row.version => {
                        let blob = self.open_version(&now, range).await?;
                        Ok(Opened { object: now, blob })
                    }
                    _ => Err(Error::blob_missing()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn open_version(&self, object: &Object, range: Option<Range<u64>>) -> Result<Blob, StoreError> {
        for blob in self.blobs_of(&object.row.bucket_id, &object.row.name, object.row.version.as_deref()) {
            if let Some(known) = self.0.small.get(&blob) {
                return remembered(known, range);
            }
            match self.store().get(&blob, range.clone()).await {
                Err(StoreError::NotFound) => {}
                Ok(opened) if range.is_none() && self.0.small.takes(&blob, opened.size) => {
                    let mut bytes = BytesMut::with_capacity(usize::try_from(opened.size).unwrap_or(0));
                    let mut body = opened.body;
                    while let Some(chunk) = body.next().await {
                        bytes.extend_from_slice(&chunk?);
                    }
                    let bytes = bytes.freeze();
                    self.0.small.put(&blob, &bytes);
                    return remembered(bytes, None);
                }
                other => return other,
            }
        }
        Err(StoreError::NotFound)
    }

    /// The blob in which an object's bytes lie.
    pub async fn blob_of(&self, object: &Object) -> Result<crate::blob::BlobName> {
        let row = &object.row;
        for blob in self.blobs_of(&row.bucket_id, &row.name, row.version.as_deref()) {
            match self.store().head(&blob).await {
                Ok(_) => return Ok(blob),
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::blob_missing())
    }

    /// The size of an object: from its row, else from the store.
    pub async fn size_of(&self, object: &Object) -> Result<u64> {
        match object.size() {
            Some(size) => Ok(size),
            None => Ok(self.store().head(&self.blob_of(object).await?).await?),
        }
    }
}

/// A blob that is in memory.
fn remembered(bytes: Bytes, range: Option<Range<u64>>) -> Result<Blob, StoreError> {
    let size = bytes.len() as u64;
    let range = match range {
        None => 0..size,
        Some(range) if range.start < size && range.start < range.end => range.start..range.end.min(size),
        Some(_) => return Err(StoreError::Range),
    };
    // Within the bytes, whose length fits.
    let part = bytes.slice(range.start as usize..range.end as usize);
    Ok(Blob { size, range, body: Outflow::Ready(part) })
}

impl Domain {
    /// Blobs that were removed are not remembered, either.
    pub(crate) fn forget(&self, blobs: &[crate::blob::BlobName]) {
        self.0.small.forget(blobs);
    }

    /// Those of the keys that the caller may see.
    pub async fn visible_keys(
        &self,
        context: &Context,
        bucket: &str,
        keys: &[String],
    ) -> Result<Vec<String>> {
        sql::objects::find_many(self, context, bucket, keys).await
    }

    /// Whether database and store answer.
    pub async fn healthy(&self) -> Result<()> {
        sql::buckets::answers(self).await?;
        self.store().health().await?;
        Ok(())
    }
}
