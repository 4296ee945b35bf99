//! `auth.sessions`.

use chrono::NaiveDateTime;
use database::{Connection, TypedRow};
use uuid::Uuid;

use super::{Result, amr};
use crate::json::Timestamp;
use crate::session::Session;

const COLUMNS: &str = "id, user_id, coalesce(created_at, 'epoch') as created_at, aal::text as aal, not_after, \
     refreshed_at, tag, oauth_client_id";

fn read(row: &TypedRow) -> Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        created_at: row.get("created_at")?,
        aal: row.get("aal")?,
        not_after: row.get("not_after")?,
        // The column has no zone; what is written there is UTC.
        refreshed_at: row.get::<Option<NaiveDateTime>>("refreshed_at")?.map(|at| Timestamp(at.and_utc())),
        tag: row.get("tag")?,
        oauth_client_id: row.get("oauth_client_id")?,
        amr: Vec::new(),
    })
}

/// A session, without its methods.
pub(crate) async fn by_id(db: &mut Connection, id: Uuid) -> Result<Option<Session>> {
    let sql = format!("select {COLUMNS} from auth.sessions where id = $1");
    db.query_opt(&sql, &[&id]).await?.as_ref().map(read).transpose()
}

/// A session with its methods.
pub(crate) async fn with_methods(db: &mut Connection, id: Uuid) -> Result<Option<Session>> {
    let Some(mut session) = by_id(db, id).await? else { return Ok(None) };
    session.amr = amr::of_session(db, id).await?;
    Ok(Some(session))
}

/// Locks a session's row unless somebody else holds it.
pub(crate) async fn try_lock(db: &mut Connection, id: Uuid) -> Result<bool> {
    let sql = "select id from auth.sessions where id = $1 limit 1 for update skip locked";
    Ok(db.query_opt(sql, &[&id]).await?.is_some())
}

/// All sessions of a user, without their methods.
pub(crate) async fn of_user(db: &mut Connection, user_id: Uuid) -> Result<Vec<Session>> {
    let sql = format!("select {COLUMNS} from auth.sessions where user_id = $1");
    db.query(&sql, &[&user_id]).await?.iter().map(read).collect()
}

/// Inserts a session at aal1.
pub(crate) async fn insert(
    db: &mut Connection,
    session: &Session,
    user_agent: Option<&str>,
    ip: Option<&str>,
) -> Result<()> {
    db.execute(
        "insert into auth.sessions (id, user_id, created_at, updated_at, aal, not_after, user_agent, ip, tag)
         values ($1, $2, $3, $3, $4::text::auth.aal_level, $5, $6, $7::text::inet, $8)",
        &[
            &session.id,
            &session.user_id,
            &session.created_at,
            &session.aal,
            &session.not_after,
            &user_agent,
            &ip,
            &session.tag,
        ],
    )
    .await
    .map(|_| ())
}

/// Remembers when and from where a session was refreshed.
pub(crate) async fn update_refresh(
    db: &mut Connection,
    id: Uuid,
    at: Timestamp,
    user_agent: Option<&str>,
    ip: Option<&str>,
) -> Result<()> {
    db.execute(
        "update auth.sessions
         set refreshed_at = $1, user_agent = $2, ip = $3::text::inet, updated_at = $4 where id = $5",
        &[&at.0.naive_utc(), &user_agent, &ip, &at, &id],
    )
    .await
    .map(|_| ())
}

/// Ends all sessions of a user.
pub(crate) async fn delete_of_user(db: &mut Connection, user_id: Uuid) -> Result<()> {
    db.execute("delete from auth.sessions where user_id = $1", &[&user_id]).await.map(|_| ())
}

/// Ends one session.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.sessions where id = $1", &[&id]).await.map(|_| ())
}

/// Ends all sessions of a user but one.
pub(crate) async fn delete_others(db: &mut Connection, user_id: Uuid, keep: Uuid) -> Result<()> {
    db.execute("delete from auth.sessions where user_id = $1 and id <> $2", &[&user_id, &keep])
        .await
        .map(|_| ())
}
