//! `_storage.uploads`: resumable uploads that are under way, and those that ended not long ago.

use database::{Param, RequestContext, Row, Statement};
use serde_json::{Map, Value};

use super::address::UploadId;
use crate::blob::{BlobName, Written};
use crate::domain::Domain;
use crate::{Error, Result};

/// An upload.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) id: UploadId,
    pub(super) owner: Option<String>,
    /// Bytes in all, once the client has said.
    pub(super) length: Option<u64>,
    pub(super) upsert: bool,
    /// `header`: the client's `Upload-Metadata`. `complete`: it has become an object.
    pub(super) metadata: Map<String, Value>,
    /// Bytes that are there.
    pub(super) offset: u64,
    /// When it will be forgotten, as HTTP writes it.
    pub(super) expires: String,
    pub(super) expired: bool,
}

impl Upload {
    pub(super) fn is_complete(&self) -> bool {
        self.metadata.get("complete").and_then(Value::as_bool) == Some(true)
    }

    /// The client's `Upload-Metadata`.
    pub(super) fn header(&self) -> &str {
        self.metadata.get("header").and_then(Value::as_str).unwrap_or_default()
    }
}

async fn run(domain: &Domain, statements: &[Statement<'_>]) -> Result<Vec<database::ResultSet>> {
    Ok(domain.pool().request(&RequestContext::default(), statements).await?)
}

/// Records a new upload, which is kept for `seconds`.
pub(super) async fn create(domain: &Domain, upload: &Upload, seconds: u64) -> Result<()> {
    let length = upload.length.map(|length| length.to_string());
    let metadata = Value::Object(upload.metadata.clone()).to_string();
    let (upsert, seconds) = (upload.upsert.to_string(), seconds.to_string());
    let params = [
        Param::Text(&upload.id.version),
        Param::Text(&upload.id.bucket),
        Param::Text(&upload.id.key),
        upload.owner.as_deref().into(),
        length.as_deref().into(),
        Param::Text(&upsert),
        Param::Text(&metadata),
        Param::Text(&seconds),
    ];
    let sql = "insert into _storage.uploads (id, bucket_id, key, version, owner_id, length, upsert, metadata, expires_at) \
         values ($1, $2, $3, $1, $4, $5::bigint, $6::boolean, $7::jsonb, now() + make_interval(secs => $8::float8))";
    run(domain, &[Statement::new(sql, &params)]).await?;
    Ok(())
}

const FIND: &str = "select u.owner_id, u.length, u.upsert, u.metadata::text, \
     case when u.metadata @> '{\"complete\": true}' then coalesce(u.length, 0) \
          else coalesce((select sum(p.size) from _storage.parts p where p.upload_id = u.id), 0) end, \
     extract(epoch from u.expires_at)::bigint, u.expires_at < now() \
     from _storage.uploads u where u.id = $1 and u.bucket_id = $2 and u.key = $3";

/// The upload with this id.
pub(super) async fn find(domain: &Domain, id: &UploadId) -> Result<Option<Upload>> {
    let params = [Param::Text(&id.version), Param::Text(&id.bucket), Param::Text(&id.key)];
    let results = run(domain, &[Statement::new(FIND, &params)]).await?;
    let row = results.first().and_then(|result| result.rows.first());
    Ok(row.map(|row| upload_of(id, row)))
}

fn upload_of(id: &UploadId, row: &Row) -> Upload {
    let number = |at| row.text(at).and_then(|text| text.parse::<u64>().ok());
    let expires = row
        .text(5)
        .and_then(|text| chrono::DateTime::from_timestamp(text.parse().ok()?, 0))
        .map(crate::http_parts::http_date);
    Upload {
        id: id.clone(),
        owner: row.text(0).map(str::to_owned),
        length: number(1),
        upsert: row.text(2) == Some("t"),
        metadata: row.text(3).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        offset: number(4).unwrap_or_default(),
        expires: expires.unwrap_or_default(),
        expired: row.text(6) == Some("t"),
    }
}

/// Records a durable blob as the part at `offset`, and keeps the upload for another while. False when the upload is gone
/// or has another offset by now: another request was faster.
pub(super) async fn record(
    domain: &Domain,
    id: &UploadId,
    offset: u64,
    blob: &BlobName,
    written: &Written,
    seconds: u64,
) -> Result<bool> {
    let (offset, size, seconds) = (offset.to_string(), written.size.to_string(), seconds.to_string());
    let etag = written.etag();
    let name = blob.version().ok_or_else(|| Error::internal("a part has a blob of ours"))?;
    let key = [Param::Text(&id.version)];
    let params = [
        Param::Text(&id.version),
        Param::Text(name),
        Param::Text(&size),
        Param::Text(&etag),
        Param::Text(&offset),
    ];
    let later = [Param::Text(&id.version), Param::Text(&seconds)];
    let insert = "with part as ( \
             insert into _storage.parts (upload_id, number, blob, size, etag) \
             select u.id, coalesce(max(p.number), 0) + 1, $2, $3::bigint, $4 \
             from _storage.uploads u left join _storage.parts p on p.upload_id = u.id \
             where u.id = $1 and not u.metadata @> '{\"complete\": true}' \
             group by u.id having coalesce(sum(p.size), 0) = $5::bigint \
             returning blob) \
         select _storage.keep(blob) from part";
    let statements = [
        Statement::new("select from _storage.uploads where id = $1 for update", &key),
        Statement::new(insert, &params),
        Statement::new(
            "update _storage.uploads set expires_at = now() + make_interval(secs => $2::float8) where id = $1",
            &later,
        ),
    ];
    let results = run(domain, &statements).await?;
    Ok(results.get(1).is_some_and(|result| !result.rows.is_empty()))
}

/// Says how long the upload is, which its creation deferred. False when that is known already.
pub(super) async fn set_length(domain: &Domain, id: &UploadId, length: u64) -> Result<bool> {
    let length = length.to_string();
    let params = [Param::Text(&id.version), Param::Text(&length)];
    let sql = "update _storage.uploads set length = $2::bigint where id = $1 and length is null returning id";
    let results = run(domain, &[Statement::new(sql, &params)]).await?;
    Ok(results.first().is_some_and(|result| !result.rows.is_empty()))
}

/// Notes that the upload has become an object: a client that lost the answer still finds it.
pub(super) async fn set_complete(domain: &Domain, id: &UploadId) -> Result<()> {
    let params = [Param::Text(&id.version)];
    let sql = "update _storage.uploads set metadata = metadata || '{\"complete\": true}' where id = $1";
    run(domain, &[Statement::new(sql, &params)]).await?;
    Ok(())
}

/// Forgets an upload.
pub(super) async fn delete(domain: &Domain, id: &UploadId) -> Result<()> {
    let params = [Param::Text(&id.version)];
    run(domain, &[Statement::new("delete from _storage.uploads where id = $1", &params)]).await?;
    Ok(())
}
