//! Operations on buckets.

use super::{BucketQuery, BucketRow, BucketUpdate, Domain, EventKind, NewBucket};
use crate::sql;
use crate::{Code, Context, Error, Result};

impl Domain {
    /// Makes a bucket. Needs INSERT on buckets.
    pub async fn create_bucket(&self, context: &Context, bucket: &NewBucket) -> Result<()> {
        self.check_limit(bucket.file_size_limit)?;
        sql::buckets::create(self, context, bucket).await.map_err(|error| match error.code {
            Code::ResourceAlreadyExists => {
                Error::new(Code::BucketAlreadyExists, "The resource already exists")
            }
            _ => error,
        })?;
        let id = bucket.id.as_str();
        self.events().tell(self, context, EventKind::BucketCreated, id, bucket.name.as_str(), None, |_| {});
        Ok(())
    }

    /// The buckets that the caller may see.
    pub async fn list_buckets(&self, context: &Context, query: &BucketQuery) -> Result<Vec<BucketRow>> {
        sql::buckets::list(self, context, query).await
    }

    /// A bucket that the caller may see.
    pub async fn get_bucket(&self, context: &Context, bucket: &str) -> Result<BucketRow> {
        sql::buckets::get(self, context, bucket).await?.ok_or_else(Error::no_such_bucket)
    }

    /// Changes a bucket. Needs SELECT and UPDATE on it.
    pub async fn update_bucket(&self, context: &Context, bucket: &str, update: &BucketUpdate) -> Result<()> {
        self.check_limit(update.file_size_limit.flatten())?;
        if sql::buckets::update(self, context, bucket, update).await? {
            Ok(())
        } else {
            Err(Error::no_such_bucket())
        }
    }

    /// Deletes an empty bucket. Needs SELECT and DELETE on it.
    pub async fn delete_bucket(&self, context: &Context, bucket: &str) -> Result<()> {
        if !sql::buckets::delete(self, context, bucket).await? {
            return Err(Error::no_such_bucket());
        }
        self.events().tell(self, context, EventKind::BucketDeleted, bucket, bucket, None, |_| {});
        Ok(())
    }

    fn check_limit(&self, limit: Option<u64>) -> Result<()> {
        match limit {
            Some(limit) if limit > self.config().file_size_limit => Err(Error::too_large()),
            _ => Ok(()),
        }
    }
}
