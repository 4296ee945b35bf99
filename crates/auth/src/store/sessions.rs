//! `auth.sessions`.

use chrono::NaiveDateTime;
use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use super::batch::Batch;
use super::rows::Rows;
use crate::json::Timestamp;
use crate::session::{MethodUsed, Session};

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
    let sql = format!("select {COLUMNS}, {METHODS} from auth.sessions s where id = $1");
    let Some(row) = db.query_opt(&sql, &[&id]).await? else { return Ok(None) };
    read_with_methods(&row).map(Some)
}

/// As [`with_methods`], and whether the row is now locked; it is not where somebody else holds it.
pub(crate) async fn with_methods_locked(db: &mut Connection, id: Uuid) -> Result<Option<(Session, bool)>> {
    let sql = format!(
        "with held as (select id from auth.sessions where id = $1 for update skip locked)
         select {COLUMNS}, {METHODS}, exists (select from held) as is_locked from auth.sessions s where id = $1"
    );
    let Some(row) = db.query_opt(&sql, &[&id]).await? else { return Ok(None) };
    Ok(Some((read_with_methods(&row)?, row.get("is_locked")?)))
}

/// The methods of a session, most recent first.
const METHODS: &str = "(select json_agg(a order by a.updated_at desc) from auth.mfa_amr_claims a
     where a.session_id = s.id) as methods";

fn read_with_methods(row: &TypedRow) -> Result<Session> {
    Ok(Session { amr: row.get::<Rows<MethodUsed>>("methods")?.0, ..read(row)? })
}

/// All sessions of a user, without their methods.
pub(crate) async fn of_user(db: &mut Connection, user_id: Uuid) -> Result<Vec<Session>> {
    let sql = format!("select {COLUMNS} from auth.sessions where user_id = $1");
    db.query(&sql, &[&user_id]).await?.iter().map(read).collect()
}

/// Inserts a session at aal1.
pub(crate) fn insert(batch: &mut Batch, session: &Session, user_agent: Option<&str>, ip: Option<&str>) {
    batch.add(
        "insert into auth.sessions (
             id, user_id, created_at, updated_at, aal, not_after, user_agent, ip, tag, oauth_client_id
         ) values ($1, $2, $3, $3, $4::text::auth.aal_level, $5, $6, $7::text::inet, $8, $9)",
        [
            Box::new(session.id),
            Box::new(session.user_id),
            Box::new(session.created_at),
            Box::new(session.aal.clone()),
            Box::new(session.not_after),
            Box::new(user_agent.map(str::to_owned)),
            Box::new(ip.map(str::to_owned)),
            Box::new(session.tag.clone()),
            Box::new(session.oauth_client_id),
        ],
    );
}

/// Remembers when and from where a session was refreshed.
pub(crate) fn update_refresh(
    batch: &mut Batch,
    id: Uuid,
    at: Timestamp,
    user_agent: Option<&str>,
    ip: Option<&str>,
) {
    batch.add(
        "update auth.sessions
         set refreshed_at = $1, user_agent = $2, ip = $3::text::inet, updated_at = $4 where id = $5",
        [
            Box::new(at.0.naive_utc()),
            Box::new(user_agent.map(str::to_owned)),
            Box::new(ip.map(str::to_owned)),
            Box::new(at),
            Box::new(id),
        ],
    );
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

/// A session reaches aal2 by a factor.
pub(crate) async fn reach_aal2(db: &mut Connection, id: Uuid, factor_id: Uuid) -> Result<()> {
    let sql = "update auth.sessions set aal = 'aal2', factor_id = $1, updated_at = $2 where id = $3";
    db.execute(sql, &[&factor_id, &Timestamp::now(), &id]).await.map(|_| ())
}

/// Ends the sessions of a user in which no second factor was used.
pub(crate) async fn delete_below_aal2(db: &mut Connection, user_id: Uuid) -> Result<()> {
    db.execute("delete from auth.sessions where user_id = $1 and aal < 'aal2'", &[&user_id]).await.map(|_| ())
}

/// Takes back what sessions reached by a factor that is gone: its methods, and the level if no other second factor was
/// used there.
pub(crate) async fn downgrade(
    db: &mut Connection,
    user_id: Uuid,
    factor_id: Uuid,
    method: &str,
) -> Result<()> {
    db.execute(
        "delete from auth.mfa_amr_claims a using auth.sessions s
         where a.session_id = s.id and s.user_id = $1 and s.factor_id = $2 and a.authentication_method = $3",
        &[&user_id, &factor_id, &method],
    )
    .await?;
    db.execute(
        "update auth.sessions s
         set factor_id = null, updated_at = $3, aal = case when exists (
                 select from auth.mfa_amr_claims a where a.session_id = s.id
                     and a.authentication_method in ('totp', 'mfa/phone', 'mfa/webauthn')
             ) then 'aal2' else 'aal1' end::auth.aal_level
         where s.user_id = $1 and s.factor_id = $2",
        &[&user_id, &factor_id, &Timestamp::now()],
    )
    .await
    .map(|_| ())
}
