//! `auth.mfa_amr_claims`: how a session was authenticated.

use database::Connection;
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;
use crate::session::{Method, MethodUsed};

/// The methods of a session, most recent first.
pub(crate) async fn of_session(db: &mut Connection, session_id: Uuid) -> Result<Vec<MethodUsed>> {
    let sql = "select authentication_method as method, updated_at from auth.mfa_amr_claims
         where session_id = $1 order by updated_at desc";
    let rows = db.query(sql, &[&session_id]).await?;
    rows.iter().map(|row| Ok(MethodUsed { method: row.get("method")?, at: row.get("updated_at")? })).collect()
}

/// Adds a method to a session, or renews it.
pub(crate) async fn add(db: &mut Connection, session_id: Uuid, method: Method) -> Result<()> {
    db.execute(
        "insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
         values ($1, $2, $3, $3, $4)
         on conflict on constraint mfa_amr_claims_session_id_authentication_method_pkey
         do update set updated_at = excluded.updated_at",
        &[&Uuid::new_v4(), &session_id, &Timestamp::now(), &method.as_str()],
    )
    .await
    .map(|_| ())
}
