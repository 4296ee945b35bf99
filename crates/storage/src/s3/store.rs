//! The statements of the S3 door alone: uploads in parts, CORS rules.

use chrono::{DateTime, Utc};
use database::{Param, ResultSet, Row, Statement};
use serde_json::{Map, Value};

use crate::checksum::Algorithm;
use crate::domain::{Domain, successor};
use crate::{Context, Error, Result};

/// What sorts after every name.
const LAST: &str = "\u{10ffff}\u{10ffff}";

/// An upload in parts that is under way.
#[derive(Debug, Clone)]
pub(super) struct MultipartUpload {
    pub(super) id: String,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) owner: Option<String>,
    pub(super) initiated: String,
    pub(super) user_metadata: Option<Value>,
    /// What the object will be: content type, cache control, checksum algorithm and the like.
    pub(super) details: Map<String, Value>,
}

impl MultipartUpload {
    pub(super) fn detail(&self, name: &str) -> Option<&str> {
        self.details.get(name).and_then(Value::as_str)
    }

    /// The algorithm of its parts' checksums, if it was begun with one.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::named(self.detail("checksumAlgorithm")?)
    }
}

/// Records an upload that was allowed.
pub(super) async fn create_upload(domain: &Domain, upload: &MultipartUpload) -> Result<()> {
    let user_metadata = upload.user_metadata.as_ref().map(Value::to_string);
    let details = Value::Object(upload.details.clone()).to_string();
    let params: [Param<'_>; 5] = [
        upload.id.as_str().into(),
        upload.bucket.as_str().into(),
        upload.key.as_str().into(),
        upload.owner.as_deref().into(),
        user_metadata.as_deref().into(),
    ];
    let more = [upload.id.as_str().into(), details.as_str().into()];
    let statements = [
        Statement::new(
            "insert into storage.s3_multipart_uploads (id, bucket_id, key, version, owner_id, user_metadata, \
             upload_signature, in_progress_size) values ($1, $2, $3, $1, $4, $5::jsonb, '', 0)",
            &params,
        ),
        Statement::new("insert into _storage.multipart (upload_id, details) values ($1, $2::jsonb)", &more),
    ];
    write(domain, &statements).await?;
    Ok(())
}

const UPLOAD: &str = "u.id, u.bucket_id, u.key, u.owner_id, \
     to_char(u.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), u.user_metadata::text, m.details::text";

fn upload_of(row: &Row) -> MultipartUpload {
    let json = |at| row.text(at).and_then(|text| serde_json::from_str::<Value>(text).ok());
    MultipartUpload {
        id: row.text(0).unwrap_or_default().to_owned(),
        bucket: row.text(1).unwrap_or_default().to_owned(),
        key: row.text(2).unwrap_or_default().to_owned(),
        owner: row.text(3).map(str::to_owned),
        initiated: row.text(4).unwrap_or_default().to_owned(),
        user_metadata: json(5),
        details: match json(6) {
            Some(Value::Object(details)) => details,
            _ => Map::new(),
        },
    }
}

/// The upload of this id, bucket and key.
pub(super) async fn find_upload(
    domain: &Domain,
    id: &str,
    bucket: &str,
    key: &str,
) -> Result<Option<MultipartUpload>> {
    let sql = format!(
        "select {UPLOAD} from storage.s3_multipart_uploads u left join _storage.multipart m on m.upload_id = u.id \
         where u.id = $1 and u.bucket_id = $2 and u.key = $3"
    );
    let params = [id.into(), bucket.into(), key.into()];
    let results = write(domain, &[Statement::new(&sql, &params)]).await?;
    Ok(results.first().and_then(|result| result.rows.first()).map(upload_of))
}

/// Forgets an upload. Says whether there was one.
pub(super) async fn delete_upload(domain: &Domain, id: &str) -> Result<bool> {
    let params = [id.into()];
    let results = write(
        domain,
        &[Statement::new("delete from storage.s3_multipart_uploads where id = $1 returning id", &params)],
    )
    .await?;
    Ok(results.first().is_some_and(|result| !result.rows.is_empty()))
}

/// Where a listing of uploads goes on: after a key, or after an upload of the same key.
#[derive(Debug, Clone, Default)]
pub(super) struct UploadMarker {
    pub(super) key: String,
    pub(super) id: String,
}

/// Uploads under way by key and age, those that the caller's policies show.
pub(super) async fn list_uploads(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    prefix: &str,
    marker: &UploadMarker,
    limit: u32,
) -> Result<Vec<MultipartUpload>> {
    let end = successor(prefix).unwrap_or_else(|| LAST.to_owned());
    let limit = limit.to_string();
    let sql = "select u.id, u.bucket_id, u.key, u.owner_id, \
         to_char(u.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), null, null \
         from storage.s3_multipart_uploads u \
         where u.bucket_id = $1 and u.key >= $2 and u.key < $3 \
         and ($4 = '' or u.key > $4 or (u.key = $4 and $5 <> '' and (u.created_at, u.id) > \
             (select p.created_at, p.id from storage.s3_multipart_uploads p where p.id = $5))) \
         order by u.key, u.created_at, u.id limit $6::int";
    let params = [
        bucket.into(),
        prefix.into(),
        end.as_str().into(),
        marker.key.as_str().into(),
        marker.id.as_str().into(),
        limit.as_str().into(),
    ];
    let result = read(domain, context, &Statement::new(sql, &params)).await?;
    Ok(result.rows.iter().map(upload_of).collect())
}

/// A bucket's CORS rules.
pub(super) async fn cors_rules(domain: &Domain, bucket: &str) -> Result<Option<Value>> {
    let params = [bucket.into()];
    let results = write(
        domain,
        &[Statement::new("select rules::text from _storage.bucket_cors where bucket_id = $1", &params)],
    )
    .await?;
    let text = results.first().and_then(|result| result.rows.first()).and_then(|row| row.text(0));
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

/// Sets or removes a bucket's CORS rules.
pub(super) async fn set_cors_rules(domain: &Domain, bucket: &str, rules: Option<&Value>) -> Result<()> {
    match rules {
        Some(rules) => {
            let text = rules.to_string();
            let params = [bucket.into(), text.as_str().into()];
            let sql = "insert into _storage.bucket_cors (bucket_id, rules) values ($1, $2::jsonb) \
                 on conflict (bucket_id) do update set rules = excluded.rules";
            write(domain, &[Statement::new(sql, &params)]).await?;
        }
        None => {
            let params = [bucket.into()];
            write(
                domain,
                &[Statement::new("delete from _storage.bucket_cors where bucket_id = $1", &params)],
            )
            .await?;
        }
    }
    Ok(())
}

/// One statement under the caller's role.
async fn read(domain: &Domain, context: &Context, statement: &Statement<'_>) -> Result<ResultSet> {
    let settings = context.reading(domain.search_path());
    let mut results = domain.pool().request(&settings, std::slice::from_ref(statement)).await?;
    results.pop().ok_or_else(|| Error::internal("a statement without result"))
}

/// Statements in the service's own name, in one transaction: on tables that no client may touch.
async fn write(domain: &Domain, statements: &[Statement<'_>]) -> Result<Vec<ResultSet>> {
    Ok(domain.pool().request(&database::RequestContext::default(), statements).await?)
}

/// The moment as XML has it.
pub(super) fn xml_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
