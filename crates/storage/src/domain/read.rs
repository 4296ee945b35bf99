//! Reading: who may see an object, and its bytes.

use std::ops::Range;

use super::{Bucket, Domain, Object, ObjectKey};
use crate::blob::{Blob, StoreError};
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
        sql::objects::find(self, context, bucket, key.as_str()).await?.ok_or_else(Error::no_such_key)
    }

    /// An object of a public bucket. A private bucket looks like none.
    pub async fn find_public(&self, bucket: &str, key: &ObjectKey) -> Result<Object> {
        match sql::objects::find_public(self, bucket, key.as_str()).await? {
            None => Err(Error::no_such_bucket()),
            Some(found) => found.ok_or_else(Error::no_such_key),
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
                let now = sql::objects::find(self, &context, &object.row.bucket_id, &object.row.name).await?;
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
            match self.store().get(&blob, range.clone()).await {
                Err(StoreError::NotFound) => {}
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

impl Domain {
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
