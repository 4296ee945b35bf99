//! Deletion: rows first, their blobs after the commit.

use super::{Domain, EventKind, ObjectRow};
use crate::sql;
use crate::{Code, Context, Error, Result};

impl Domain {
    /// Deletes one object. Needs SELECT and DELETE; one that is not there, not visible or not deletable is not found.
    pub async fn delete(&self, context: &Context, bucket: &str, key: &str) -> Result<()> {
        let gone = self.delete_many(context, bucket, &[key.to_owned()]).await?;
        if gone.is_empty() { Err(Error::no_such_key()) } else { Ok(()) }
    }

    /// Deletes those of the keys that the caller may delete and returns their rows.
    pub async fn delete_many(
        &self,
        context: &Context,
        bucket: &str,
        keys: &[String],
    ) -> Result<Vec<ObjectRow>> {
        let gone = sql::objects::delete(self, context, bucket, keys).await?;
        self.removed(context, &gone);
        Ok(gone)
    }

    /// Deletes all objects of a bucket that there are now. Needs SELECT on the bucket, SELECT and DELETE on the objects.
    pub async fn empty_bucket(&self, context: &Context, bucket: &str) -> Result<()> {
        if sql::buckets::get(self, context, bucket).await?.is_none() {
            return Err(Error::no_such_bucket());
        }
        let max = self.config().empty_bucket_max;
        if sql::objects::count(self, bucket, max + 1).await? > max {
            let many = "Unable to empty the bucket because it contains too many objects";
            return Err(Error::new(Code::InvalidRequest, many).with_status(409));
        }
        let (gone, left) = sql::objects::delete_all(self, context, bucket).await?;
        self.removed(context, &gone);
        // To see objects is not to be allowed to remove them: the original takes the one for the other.
        if gone.is_empty() && left { Err(Error::access_denied("Access denied")) } else { Ok(()) }
    }

    fn removed(&self, context: &Context, gone: &[ObjectRow]) {
        let mut blobs = Vec::with_capacity(gone.len());
        for row in gone {
            let version = row.version.as_deref();
            blobs.extend(self.blobs_of(&row.bucket_id, &row.name, version));
            self.events().tell(
                self,
                context,
                EventKind::RemovedDelete,
                &row.bucket_id,
                &row.name,
                version,
                |event| {
                    event.metadata = row.metadata.clone().map(serde_json::Value::Object);
                },
            );
        }
        self.discard(blobs);
    }
}
