//! `auth.refresh_tokens`. The values are secrets: nothing here is ever logged.

use std::fmt;

use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use super::batch::Batch;
use crate::json::Timestamp;

/// A refresh token as it is stored.
#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) id: i64,
    pub(crate) token: String,
    pub(crate) user_id: String,
    pub(crate) parent: String,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) revoked: bool,
    pub(crate) updated_at: Timestamp,
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("id", &self.id)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

const COLUMNS: &str = "id, coalesce(token, '') as token, coalesce(user_id, '') as user_id, \
     coalesce(parent, '') as parent, session_id, coalesce(revoked, false) as revoked, \
     coalesce(updated_at, 'epoch') as updated_at";

fn read(row: &TypedRow) -> Result<RefreshToken> {
    Ok(RefreshToken {
        id: row.get("id")?,
        token: row.get("token")?,
        user_id: row.get("user_id")?,
        parent: row.get("parent")?,
        session_id: row.get("session_id")?,
        revoked: row.get("revoked")?,
        updated_at: row.get("updated_at")?,
    })
}

/// The row of a token.
pub(crate) async fn find(db: &mut Connection, token: &str) -> Result<Option<RefreshToken>> {
    let sql = format!("select {COLUMNS} from auth.refresh_tokens where token = $1");
    db.query_opt(&sql, &[&token]).await?.as_ref().map(read).transpose()
}

/// The row of a token, locked; nothing if it is gone or somebody else holds it.
pub(crate) async fn find_and_lock(db: &mut Connection, token: &str) -> Result<Option<RefreshToken>> {
    let sql = format!("select {COLUMNS} from auth.refresh_tokens where token = $1 for update skip locked");
    db.query_opt(&sql, &[&token]).await?.as_ref().map(read).transpose()
}

/// The newest token of a session that is not revoked.
pub(crate) async fn active(db: &mut Connection, session_id: Uuid) -> Result<Option<RefreshToken>> {
    let sql = format!(
        "select {COLUMNS} from auth.refresh_tokens where session_id = $1 and revoked is false order by id desc limit 1"
    );
    db.query_opt(&sql, &[&session_id]).await?.as_ref().map(read).transpose()
}

/// The token of a session to replace: the active one, else the newest.
pub(crate) async fn current(db: &mut Connection, session_id: Uuid) -> Result<Option<RefreshToken>> {
    let sql = format!(
        "select {COLUMNS} from auth.refresh_tokens where session_id = $1
         order by coalesce(revoked, false), id desc limit 1 for update"
    );
    db.query_opt(&sql, &[&session_id]).await?.as_ref().map(read).transpose()
}

/// Inserts a token; `parent` is the one it replaces.
pub(crate) fn insert(batch: &mut Batch, token: &str, user_id: Uuid, parent: Option<&str>, session_id: Uuid) {
    batch.add(
        "insert into auth.refresh_tokens (
             instance_id, token, user_id, parent, session_id, revoked, created_at, updated_at
         ) values ('00000000-0000-0000-0000-000000000000', $1, $2, $3, $4, false, $5, $5)",
        [
            Box::new(token.to_owned()),
            Box::new(user_id.to_string()),
            Box::new(parent.map(str::to_owned)),
            Box::new(session_id),
            Box::new(Timestamp::now()),
        ],
    );
}

/// Revokes one token.
pub(crate) fn revoke(batch: &mut Batch, id: i64) {
    let sql = "update auth.refresh_tokens set revoked = true, updated_at = $1 where id = $2";
    batch.add(sql, [Box::new(Timestamp::now()), Box::new(id)]);
}

/// Revokes every token of a session.
pub(crate) async fn revoke_family(db: &mut Connection, session_id: Uuid) -> Result<()> {
    let sql = "update auth.refresh_tokens set revoked = true, updated_at = now()
         where session_id = $1 and revoked = false";
    db.execute(sql, &[&session_id]).await.map(|_| ())
}

/// Removes one token.
pub(crate) async fn delete(db: &mut Connection, id: i64) -> Result<()> {
    db.execute("delete from auth.refresh_tokens where id = $1", &[&id]).await.map(|_| ())
}
