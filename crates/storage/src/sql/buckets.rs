//! `storage.buckets`.

use database::{Param, Row, Statement};
use serde_json::Value;

use super::objects::{superuser, unstorable};
use super::{text, wire_time};
use crate::Context;
use crate::domain::{Bucket, BucketQuery, BucketRow, BucketUpdate, Domain, NewBucket};
use crate::error::{Code, Error, Result};

macro_rules! columns {
    () => {
        concat!(
            "b.id, b.name, b.owner::text, b.public, b.type::text, b.file_size_limit, to_json(b.allowed_mime_types)::text, ",
            wire_time!("b.created_at"),
            ", ",
            wire_time!("b.updated_at")
        )
    };
}

/// Buckets for tables of another format, listed beside the others.
const ANALYTICS: &str = concat!(
    "select a.id, a.id as name, null as owner, false as public, a.type::text, null::bigint as file_size_limit, ",
    "null as allowed_mime_types, ",
    wire_time!("a.created_at"),
    " as created_at, ",
    wire_time!("a.updated_at"),
    " as updated_at from storage.buckets_analytics a"
);

fn bucket_row(row: &Row) -> BucketRow {
    BucketRow {
        id: text(row, 0).unwrap_or_default(),
        name: text(row, 1).unwrap_or_default(),
        owner: text(row, 2).unwrap_or_default(),
        public: row.text(3) == Some("t"),
        kind: text(row, 4),
        file_size_limit: row.text(5).and_then(|limit| limit.parse().ok()),
        allowed_mime_types: row.get(6).and_then(|json| serde_json::from_slice(json).ok()),
        created_at: text(row, 7).unwrap_or_default(),
        updated_at: text(row, 8).unwrap_or_default(),
    }
}

/// A bucket, whatever policies say.
pub(crate) async fn find(domain: &Domain, bucket: &str) -> Result<Option<Bucket>> {
    if unstorable(&[bucket]) {
        return Ok(None);
    }
    let params = [Param::Text(bucket)];
    let sql = "select id, public, file_size_limit, to_json(allowed_mime_types)::text from storage.buckets where id = $1";
    let results = domain.pool().request(&superuser(domain), &[Statement::new(sql, &params)]).await?;
    let row = results.first().and_then(|result| result.rows.first());
    Ok(row.map(|row| Bucket {
        id: text(row, 0).unwrap_or_default(),
        public: row.text(1) == Some("t"),
        file_size_limit: row.text(2).and_then(|limit| limit.parse().ok()),
        allowed_mime_types: row
            .get(3)
            .and_then(|json| serde_json::from_slice::<Option<Vec<String>>>(json).ok())
            .flatten()
            .unwrap_or_default(),
    }))
}

/// A bucket that the caller may see.
pub(crate) async fn get(domain: &Domain, context: &Context, bucket: &str) -> Result<Option<BucketRow>> {
    if unstorable(&[bucket]) {
        return Ok(None);
    }
    let params = [Param::Text(bucket)];
    let sql = concat!("select ", columns!(), " from storage.buckets b where b.id = $1");
    let request = context.reading(domain.search_path());
    let results = domain.pool().request(&request, &[Statement::new(sql, &params)]).await?;
    Ok(results.first().and_then(|result| result.rows.first()).map(bucket_row))
}

pub(crate) async fn create(domain: &Domain, context: &Context, bucket: &NewBucket) -> Result<()> {
    let limit = bucket.file_size_limit.map(|limit| limit.to_string());
    let types = bucket.allowed_mime_types.as_ref().map(|types| Value::from(types.clone()).to_string());
    let params = [
        Param::Text(bucket.id.as_str()),
        Param::Text(bucket.name.as_str()),
        context.caller.owner().into(),
        context.caller.subject.as_deref().into(),
        Param::Text(if bucket.public { "true" } else { "false" }),
        limit.as_deref().into(),
        types.as_deref().into(),
    ];
    let sql = "insert into storage.buckets (id, name, owner, owner_id, public, file_size_limit, allowed_mime_types) \
               values ($1, $2, $3::uuid, $4, $5::boolean, $6::bigint, \
               case when $7::text is not null then array(select pg_catalog.jsonb_array_elements_text($7::jsonb)) end)";
    domain
        .pool()
        .request(&context.transaction(domain.search_path()), &[Statement::new(sql, &params)])
        .await?;
    Ok(())
}

pub(crate) async fn list(domain: &Domain, context: &Context, query: &BucketQuery) -> Result<Vec<BucketRow>> {
    let limit = query.limit.map(|limit| limit.to_string());
    let offset = query.offset.unwrap_or(0).to_string();
    let params = [query.search.as_deref().into(), limit.as_deref().into(), Param::Text(&offset)];
    // Columns are chosen among fixed texts, never spliced in.
    let column = match query.sort_column.as_deref() {
        Some("name") => "name",
        Some("created_at") => "created_at",
        Some("updated_at") => "updated_at",
        _ => "id",
    };
    let direction = if query.descending { "desc" } else { "asc" };
    let listed = if query.sort_column.is_some() {
        format!("order by {column} {direction}, id")
    } else {
        String::new()
    };
    let sql = format!(
        "select * from ((select {} from storage.buckets b) union all ({ANALYTICS})) as listed \
         (id, name, owner, public, type, file_size_limit, allowed_mime_types, created_at, updated_at) \
         where $1::text is null or strpos(lower(name), lower($1)) > 0 {listed} limit $2::bigint offset $3::bigint",
        columns!()
    );
    let request = context.reading(domain.search_path());
    let results = domain.pool().request(&request, &[Statement::new(&sql, &params)]).await?;
    Ok(results.first().map(|result| result.rows.iter().map(bucket_row).collect()).unwrap_or_default())
}

/// False when the caller sees no such bucket or may not change it.
pub(crate) async fn update(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    update: &BucketUpdate,
) -> Result<bool> {
    if unstorable(&[bucket]) {
        return Ok(false);
    }
    let public = update.public.map(|public| if public { "true" } else { "false" });
    let limit = update.file_size_limit.flatten().map(|limit| limit.to_string());
    let types = update.allowed_mime_types.clone().flatten().map(|types| Value::from(types).to_string());
    let flag = |given: bool| Param::Text(if given { "true" } else { "false" });
    let params = [
        Param::Text(bucket),
        public.into(),
        flag(update.file_size_limit.is_some()),
        limit.as_deref().into(),
        flag(update.allowed_mime_types.is_some()),
        types.as_deref().into(),
    ];
    let sql = "update storage.buckets set public = coalesce($2::boolean, public), \
               file_size_limit = case when $3::boolean then $4::bigint else file_size_limit end, \
               allowed_mime_types = case when not $5::boolean then allowed_mime_types \
               when $6::text is not null then array(select pg_catalog.jsonb_array_elements_text($6::jsonb)) end, \
               updated_at = now() where id = $1 returning id";
    let request = context.transaction(domain.search_path());
    let results = domain.pool().request(&request, &[Statement::new(sql, &params)]).await?;
    Ok(results.first().is_some_and(|result| !result.rows.is_empty()))
}

/// False when the caller sees no such bucket or may not delete it.
pub(crate) async fn delete(domain: &Domain, context: &Context, bucket: &str) -> Result<bool> {
    if unstorable(&[bucket]) {
        return Ok(false);
    }
    let params = [Param::Text(bucket)];
    let delete = [Statement::new("delete from storage.buckets where id = $1 returning id", &params)];
    let request = context.transaction(domain.search_path());
    let mut outcome = domain.pool().request(&request, &delete).await;
    if let Err(error) = &outcome
        && error.as_db().and_then(|report| report.constraint.as_deref()) == Some("prefixes_bucketId_fkey")
    {
        // Folders without anything in them, which the triggers of some versions left behind.
        let ghosts = "delete from storage.prefixes where bucket_id = $1 \
                      and not exists (select from storage.objects where bucket_id = $1)";
        domain.pool().request(&super::objects::own(), &[Statement::new(ghosts, &params)]).await?;
        outcome = domain.pool().request(&request, &delete).await;
    }
    match outcome {
        Ok(results) => Ok(results.first().is_some_and(|result| !result.rows.is_empty())),
        Err(error) if error.sqlstate().is_some_and(|code| *code == "23503") => {
            let full = "The bucket you tried to delete is not empty";
            Err(Error::new(Code::InvalidRequest, full).with_status(409))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the database answers and has our tables.
pub(crate) async fn answers(domain: &Domain) -> Result<()> {
    let sql = "select from storage.buckets limit 1";
    domain.pool().request(&superuser(domain), &[Statement::new(sql, &[])]).await?;
    Ok(())
}
