//! `auth.oauth_client_states`: secrets of sign-ins that are under way at a provider which wants a proof key of us.

use database::Connection;
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;

/// A sign-in's secret.
#[derive(Debug)]
pub(crate) struct ClientState {
    /// The provider it is for.
    pub(crate) provider: String,
    pub(crate) verifier: String,
    pub(crate) created_at: Timestamp,
}

/// Remembers a secret until the provider sends somebody back.
pub(crate) async fn insert(db: &mut Connection, provider: &str, verifier: &str) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let sql = "insert into auth.oauth_client_states (id, provider_type, code_verifier, created_at)
         values ($1, $2, $3, $4)";
    db.execute(sql, &[&id, &provider, &verifier, &Timestamp::now()]).await?;
    Ok(id)
}

/// Takes a secret, which is good for one use.
pub(crate) async fn take(db: &mut Connection, id: Uuid) -> Result<Option<ClientState>> {
    let sql = "delete from auth.oauth_client_states where id = $1
         returning provider_type, coalesce(code_verifier, '') as code_verifier, created_at";
    let row = db.query_opt(sql, &[&id]).await?;
    row.map(|row| {
        Ok(ClientState {
            provider: row.get("provider_type")?,
            verifier: row.get("code_verifier")?,
            created_at: row.get("created_at")?,
        })
    })
    .transpose()
}
