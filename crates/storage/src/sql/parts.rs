//! `_storage.parts`: the parts of uploads.

use std::ops::Range;

use database::{Param, RequestContext, Statement};
use serde_json::{Map, Value};

use super::{text, wire_time};
use crate::blob::BlobName;
use crate::domain::{Domain, Part};
use crate::error::{Error, Result};

/// Keeps the checksums of the parts that a blob was joined from.
pub(super) const KEEP_CHECKSUMS: &str =
    "insert into _storage.part_checksums (blob, checksums) values ($1, $2::bytea)";

/// Bytes of the checksums of the parts that a blob was joined from; none where they are not known.
pub(crate) async fn checksums(domain: &Domain, blob: &str, bytes: Range<u64>) -> Result<Vec<u8>> {
    let (first, length) = (bytes.start.saturating_add(1).to_string(), (bytes.end - bytes.start).to_string());
    let params = [Param::Text(blob), Param::Text(&first), Param::Text(&length)];
    let sql = "select encode(substring(checksums from $2::int for $3::int), 'hex') \
               from _storage.part_checksums where blob = $1";
    let results = domain.pool().request(&RequestContext::default(), &[Statement::new(sql, &params)]).await?;
    let text = results.first().and_then(|result| result.scalar()).unwrap_or_default();
    hex::decode(text).map_err(Error::internal)
}

/// Records a part and returns the blob of the one that it replaces.
pub(crate) async fn record(
    domain: &Domain,
    upload: &str,
    number: u32,
    blob: &BlobName,
    size: u64,
    etag: &str,
    checksums: &Map<String, Value>,
) -> Result<Option<String>> {
    let (number, size) = (number.to_string(), size.to_string());
    let checksums = Value::Object(checksums.clone()).to_string();
    let key = [Param::Text(upload), Param::Text(&number)];
    let params = [
        key[0],
        key[1],
        Param::from(blob.version()),
        Param::Text(&size),
        Param::Text(etag),
        Param::Text(&checksums),
    ];
    let keep = [Param::from(blob.version())];
    let before = "select blob from _storage.parts where upload_id = $1 and number = $2::int for update";
    let write = "insert into _storage.parts (upload_id, number, blob, size, etag, checksums) \
                 values ($1, $2::int, $3, $4::bigint, $5, $6::jsonb) \
                 on conflict (upload_id, number) do update set blob = excluded.blob, size = excluded.size, \
                 etag = excluded.etag, checksums = excluded.checksums, written_at = now()";
    let statements = [
        Statement::new(before, &key),
        Statement::new(write, &params),
        Statement::new("select _storage.keep($1)", &keep),
    ];
    let results = domain.pool().request(&super::objects::own(), &statements).await?;
    Ok(results.first().and_then(|result| result.scalar()).map(str::to_owned))
}

/// The parts of an upload, by number.
pub(crate) async fn list(domain: &Domain, upload: &str) -> Result<Vec<Part>> {
    let params = [Param::Text(upload)];
    let sql = concat!(
        "select number, blob, size, etag, checksums::text, ",
        wire_time!("written_at"),
        " from _storage.parts where upload_id = $1 order by number"
    );
    let results = domain.pool().request(&RequestContext::default(), &[Statement::new(sql, &params)]).await?;
    let rows = results.into_iter().next().map(|result| result.rows).unwrap_or_default();
    let part = |row: &database::Row| {
        Some(Part {
            number: row.text(0)?.parse().ok()?,
            blob: BlobName::of_version(row.text(1)?)?,
            size: row.text(2)?.parse().ok()?,
            etag: text(row, 3)?,
            checksums: serde_json::from_str(row.text(4)?).ok()?,
            written_at: text(row, 5)?,
        })
    };
    Ok(rows.iter().filter_map(part).collect())
}

/// Forgets the parts of an upload and returns their blobs.
pub(crate) async fn delete(domain: &Domain, upload: &str) -> Result<Vec<String>> {
    let params = [Param::Text(upload)];
    let sql = "delete from _storage.parts where upload_id = $1 returning blob";
    let results = domain.pool().request(&RequestContext::default(), &[Statement::new(sql, &params)]).await?;
    let rows = results.into_iter().next().map(|result| result.rows).unwrap_or_default();
    Ok(rows.iter().filter_map(|row| text(row, 0)).collect())
}

/// Uploads whose parts are of no use any more: expired ones, which are forgotten here, and those that nobody knows.
pub(crate) async fn stale(domain: &Domain, grace_seconds: u64) -> Result<Vec<String>> {
    let grace = grace_seconds.to_string();
    let params = [Param::Text(&grace)];
    let expired = "delete from _storage.uploads where expires_at < now()";
    let unknown = "select distinct p.upload_id from _storage.parts p \
                   where p.written_at < now() - make_interval(secs => $1::float8) \
                       and not exists (select from _storage.uploads u where u.id = p.upload_id) \
                       and not exists (select from storage.s3_multipart_uploads u where u.id = p.upload_id) \
                   limit 1000";
    let statements = [Statement::new(expired, &[]), Statement::new(unknown, &params)];
    let results = domain.pool().request(&super::objects::own(), &statements).await?;
    let rows = results.into_iter().nth(1).map(|result| result.rows).unwrap_or_default();
    Ok(rows.iter().filter_map(|row| text(row, 0)).collect())
}
