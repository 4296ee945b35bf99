//! `auth.mfa_challenges`: questions to second factors that wait for their answers.

use database::Connection;
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;

/// A challenge. Its code is a secret: nothing here is logged.
pub(crate) struct Challenge {
    pub(crate) id: Uuid,
    pub(crate) created_at: Timestamp,
    pub(crate) is_verified: bool,
    pub(crate) ip_address: String,
    pub(crate) otp_code: String,
    /// JSON of the ceremony of a security key.
    pub(crate) session_data: Option<String>,
}

/// What is asked.
pub(crate) struct Asked<'a> {
    pub(crate) id: Uuid,
    /// As the row keeps it.
    pub(crate) otp_code: &'a str,
    pub(crate) session_data: Option<String>,
}

impl Asked<'_> {
    /// A question that needs nothing but an answer.
    pub(crate) fn new() -> Self {
        Self { id: Uuid::new_v4(), otp_code: "", session_data: None }
    }
}

/// Writes a challenge of a factor and when the factor was last challenged.
pub(crate) async fn insert(
    db: &mut Connection,
    factor_id: Uuid,
    ip_address: &str,
    asked: Asked<'_>,
) -> Result<(Uuid, Timestamp)> {
    let (id, now) = (asked.id, Timestamp::now_stored());
    db.execute(
        "insert into auth.mfa_challenges
             (id, factor_id, created_at, ip_address, otp_code, web_authn_session_data)
         values ($1, $2, $3, $4::text::inet, $5, $6::text::jsonb)",
        &[&id, &factor_id, &now, &ip_address, &asked.otp_code, &asked.session_data],
    )
    .await?;
    db.execute(
        "update auth.mfa_factors set last_challenged_at = $1, updated_at = $1 where id = $2",
        &[&now, &factor_id],
    )
    .await?;
    Ok((id, now))
}

/// A challenge of a factor.
pub(crate) async fn find(db: &mut Connection, factor_id: Uuid, id: Uuid) -> Result<Option<Challenge>> {
    let sql = "select id, created_at, verified_at is not null as is_verified, host(ip_address) as ip_address,
             coalesce(otp_code, '') as otp_code, web_authn_session_data::text as session_data
         from auth.mfa_challenges where id = $1 and factor_id = $2";
    let Some(row) = db.query_opt(sql, &[&id, &factor_id]).await? else { return Ok(None) };
    Ok(Some(Challenge {
        id: row.get("id")?,
        created_at: row.get("created_at")?,
        is_verified: row.get("is_verified")?,
        ip_address: row.get("ip_address")?,
        otp_code: row.get("otp_code")?,
        session_data: row.get("session_data")?,
    }))
}

/// Closes a challenge. False if another request closed it first.
pub(crate) async fn close(db: &mut Connection, id: Uuid) -> Result<bool> {
    let sql = "update auth.mfa_challenges set verified_at = $1 where id = $2 and verified_at is null";
    Ok(db.execute(sql, &[&Timestamp::now(), &id]).await? == 1)
}

/// Removes a challenge. False if another request did first.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<bool> {
    Ok(db.execute("delete from auth.mfa_challenges where id = $1", &[&id]).await? == 1)
}
