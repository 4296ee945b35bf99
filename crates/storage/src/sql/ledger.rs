//! `_storage.blobs`: which blobs we wrote.

use database::{Param, RequestContext, Statement};

use crate::blob::BlobName;
use crate::domain::Domain;
use crate::error::Result;

pub(crate) const ENTER: &str = "insert into _storage.blobs (name) values ($1)";

/// Enters a blob that is about to be written.
pub(crate) async fn enter(domain: &Domain, blob: &BlobName) -> Result<()> {
    let params = [Param::from(blob.version())];
    let context = RequestContext::default().with("synchronous_commit", "off");
    domain.pool().request(&context, &[Statement::new(ENTER, &params)]).await?;
    Ok(())
}

/// Strikes blobs out that are gone.
pub(crate) async fn strike(domain: &Domain, blobs: &[BlobName]) -> Result<()> {
    let names: Vec<&str> = blobs.iter().filter_map(BlobName::version).collect();
    if names.is_empty() {
        return Ok(());
    }
    let names = serde_json::Value::from(names).to_string();
    let params = [Param::Text(&names)];
    let sql = "delete from _storage.blobs \
               where name = any (array(select pg_catalog.jsonb_array_elements_text($1::jsonb)))";
    domain.pool().request(&RequestContext::default(), &[Statement::new(sql, &params)]).await?;
    Ok(())
}

/// Dooms those of the blobs that no row has come to refer to. From then on none can.
pub(crate) async fn doom_unfinished(domain: &Domain, blobs: &[BlobName]) -> Result<Vec<BlobName>> {
    let names: Vec<&str> = blobs.iter().filter_map(BlobName::version).collect();
    let names = serde_json::Value::from(names).to_string();
    let params = [Param::Text(&names)];
    let sql = "update _storage.blobs set doomed_at = now() \
               where name = any (array(select pg_catalog.jsonb_array_elements_text($1::jsonb))) \
                   and committed_at is null returning name";
    let results = domain.pool().request(&RequestContext::default(), &[Statement::new(sql, &params)]).await?;
    Ok(names_of(results.first()))
}

/// Dooms blobs that no row refers to and that are old enough for that to mean something, and returns all that are
/// doomed, at most `limit`.
pub(crate) async fn doom_orphans(domain: &Domain, grace_seconds: u64, limit: u64) -> Result<Vec<BlobName>> {
    let (grace, limit) = (grace_seconds.to_string(), limit.to_string());
    let params = [Param::Text(&grace), Param::Text(&limit)];
    // The condition on the times is looked at again when a writer has just committed the row (its `committed_at` is
    // now), the conditions on other tables are not: this is what keeps a blob that became an object a moment ago.
    let orphans = "update _storage.blobs set doomed_at = now() where name in ( \
                       select b.name from _storage.blobs b \
                       where b.doomed_at is null \
                           and coalesce(b.committed_at, b.written_at) < now() - make_interval(secs => $1::float8) \
                           and not exists (select from storage.objects o where o.version = b.name) \
                           and not exists (select from _storage.parts p where p.blob = b.name) \
                       limit $2::bigint) \
                   and doomed_at is null \
                   and coalesce(committed_at, written_at) < now() - make_interval(secs => $1::float8)";
    let limits = [params[1]];
    let doomed =
        "select name from _storage.blobs where doomed_at is not null order by doomed_at limit $1::bigint";
    let statements = [Statement::new(orphans, &params), Statement::new(doomed, &limits)];
    let results = domain.pool().request(&super::objects::own(), &statements).await?;
    Ok(names_of(results.get(1)))
}

fn names_of(result: Option<&database::ResultSet>) -> Vec<BlobName> {
    let names = result.map(|result| result.rows.iter().filter_map(|row| row.text(0)));
    names.into_iter().flatten().filter_map(BlobName::of_version).collect()
}
