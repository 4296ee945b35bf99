//! `auth.saml_relay_states`: sign-ins that went to a provider and have not come back.
//!
//! Two more things are kept there for a day, under names that no request has: which assertions were used, so that none is
//! used twice, and when the session of a PKCE flow has to end.

use chrono::{DateTime, Utc};
use database::Connection;
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;

/// Seconds after which a row is of no use to anybody.
const KEPT: i64 = 24 * 3600;
const SESSION_END: &str = "session end";

/// A sign-in at a provider.
#[derive(Debug)]
pub(crate) struct RelayState {
    pub(crate) provider_id: Uuid,
    pub(crate) request_id: String,
    pub(crate) redirect_to: String,
    pub(crate) flow_state_id: Option<Uuid>,
    pub(crate) created_at: Timestamp,
}

/// Remembers a sign-in and returns what stands for it on its way. Forgets some old ones.
pub(crate) async fn insert(db: &mut Connection, state: &RelayState) -> Result<Uuid> {
    sweep(db).await?;
    let id = Uuid::new_v4();
    db.execute(
        "insert into auth.saml_relay_states (
             id, sso_provider_id, request_id, redirect_to, flow_state_id, created_at, updated_at
         ) values ($1, $2, $3, $4, $5, $6, $6)",
        &[
            &id,
            &state.provider_id,
            &state.request_id,
            &state.redirect_to,
            &state.flow_state_id,
            &state.created_at,
        ],
    )
    .await?;
    Ok(id)
}

/// Forgets some of what is of no use any more.
async fn sweep(db: &mut Connection) -> Result<()> {
    db.execute(
        "delete from auth.saml_relay_states where id in (
             select id from auth.saml_relay_states where created_at < $1 limit 100 for update skip locked
         )",
        &[&Timestamp::now().plus_seconds(-KEPT)],
    )
    .await
    .map(|_| ())
}

/// Takes a sign-in out: of two that bring the same only one gets it.
pub(crate) async fn take(db: &mut Connection, id: Uuid) -> Result<Option<RelayState>> {
    let row = db
        .query_opt(
            "delete from auth.saml_relay_states where id = $1 and request_id like 'id-%'
             returning sso_provider_id, request_id, coalesce(redirect_to, '') as redirect_to, flow_state_id,
                 coalesce(created_at, 'epoch') as created_at",
            &[&id],
        )
        .await?;
    row.map(|row| {
        Ok(RelayState {
            provider_id: row.get("sso_provider_id")?,
            request_id: row.get("request_id")?,
            redirect_to: row.get("redirect_to")?,
            flow_state_id: row.get("flow_state_id")?,
            created_at: row.get("created_at")?,
        })
    })
    .transpose()
}

/// Uses an assertion up. False if it was before. Runs in the transaction that it lets somebody in by.
pub(crate) async fn spend(db: &mut Connection, provider_id: Uuid, assertion_id: &str) -> Result<bool> {
    sweep(db).await?;
    let name = format!("assertion {assertion_id}");
    // Whoever brings the same at the same moment waits here until we are through.
    db.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", &[&format!("{provider_id} {name}")])
        .await?;
    let spent = db
        .execute(
            "insert into auth.saml_relay_states (id, sso_provider_id, request_id, created_at, updated_at)
             select $1, $2, $3, $4, $4
             where not exists (
                 select from auth.saml_relay_states where sso_provider_id = $2 and request_id = $3
             )",
            &[&Uuid::new_v4(), &provider_id, &name, &Timestamp::now()],
        )
        .await?;
    Ok(spent == 1)
}

/// Remembers when the session of a flow has to end.
pub(crate) async fn keep_end(
    db: &mut Connection,
    provider_id: Uuid,
    flow_id: Uuid,
    end: DateTime<Utc>,
) -> Result<()> {
    db.execute(
        "insert into auth.saml_relay_states (
             id, sso_provider_id, request_id, redirect_to, flow_state_id, created_at, updated_at
         ) values ($1, $2, $3, $4, $5, $6, $6)",
        &[&Uuid::new_v4(), &provider_id, &SESSION_END, &end.to_rfc3339(), &flow_id, &Timestamp::now()],
    )
    .await
    .map(|_| ())
}

/// When the session of a flow has to end.
pub(crate) async fn end_of(db: &mut Connection, flow_id: Uuid) -> Result<Option<Timestamp>> {
    let sql = "select redirect_to::timestamptz as session_end from auth.saml_relay_states
         where flow_state_id = $1 and request_id = $2";
    db.query_opt(sql, &[&flow_id, &SESSION_END]).await?.map(|row| row.get("session_end")).transpose()
}
