//! `auth.audit_log_entries`.

use database::Connection;
use serde::Serialize;
use uuid::Uuid;

use super::Result;
use super::batch::Batch;
use crate::json::{self, Object, Timestamp};
use crate::metadata::Stored;

/// An entry as administrators read it.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) payload: Object,
    pub(crate) created_at: Timestamp,
    pub(crate) ip_address: String,
}

/// Writes an entry.
pub(crate) fn insert(batch: &mut Batch, id: Uuid, payload: &Object, ip_address: &str) {
    let payload = json::to_string(payload);
    batch.add(
        "insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
         values ('00000000-0000-0000-0000-000000000000', $1, $2::text::json, $3, $4)",
        [Box::new(id), Box::new(payload), Box::new(Timestamp::now()), Box::new(ip_address.to_owned())],
    );
}

/// Which field of an entry a search looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    Author,
    Action,
    Type,
}

/// One page of entries, newest first, and how many match.
pub(crate) async fn page(
    db: &mut Connection,
    search: Option<(Scope, &str)>,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Entry>, u64)> {
    let (matches, text) = match search {
        None | Some((_, "")) => ("$1::text is not null", ""),
        Some((Scope::Author, text)) => (
            "payload->>'actor_username' ilike '%' || $1::text || '%'
             or payload->>'actor_name' ilike '%' || $1::text || '%'",
            text,
        ),
        Some((Scope::Action, text)) => ("payload->>'action' ilike '%' || $1::text || '%'", text),
        Some((Scope::Type, text)) => ("payload->>'log_type' ilike '%' || $1::text || '%'", text),
    };
    let from = format!(
        "from auth.audit_log_entries
         where instance_id = '00000000-0000-0000-0000-000000000000' and ({matches})"
    );
    let total: i64 =
        db.query_one(&format!("select count(*) as total {from}"), &[&text]).await?.get("total")?;
    let sql = format!(
        "select id, payload, coalesce(created_at, 'epoch') as created_at, ip_address {from}
         order by created_at desc limit $2 offset $3"
    );
    let rows = db.query(&sql, &[&text, &limit, &offset]).await?;
    let entries = rows
        .iter()
        .map(|row| {
            Ok(Entry {
                id: row.get("id")?,
                payload: row.get::<Stored>("payload")?.0,
                created_at: row.get("created_at")?,
                ip_address: row.get("ip_address")?,
            })
        })
        .collect::<Result<_>>()?;
    Ok((entries, total.unsigned_abs()))
}
