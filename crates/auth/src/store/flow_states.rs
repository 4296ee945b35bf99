//! `auth.flow_state`: PKCE flows that began and were not exchanged yet.

use database::Connection;
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;
use crate::session::Method;

/// A flow as its exchange needs it.
#[derive(Debug)]
pub(crate) struct FlowState {
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) challenge: String,
    pub(crate) challenge_method: String,
    pub(crate) provider_type: String,
    pub(crate) provider_access_token: String,
    pub(crate) provider_refresh_token: String,
    pub(crate) method: String,
    pub(crate) created_at: Timestamp,
    pub(crate) code_issued_at: Option<Timestamp>,
}

/// Begins a flow; `challenge_method` is in the database's spelling. Without a user, a provider will tell whose it is.
pub(crate) async fn insert(
    db: &mut Connection,
    user_id: Option<Uuid>,
    provider_type: &str,
    method: Method,
    challenge: &str,
    challenge_method: &str,
) -> Result<Uuid> {
    let id = Uuid::new_v4();
    db.execute(
        "insert into auth.flow_state (
             id, user_id, auth_code, code_challenge_method, code_challenge, provider_type,
             provider_access_token, provider_refresh_token, created_at, updated_at, authentication_method
         ) values ($1, $2, $3, $4::text::auth.code_challenge_method, $5, $6, '', '', $7, $7, $8)",
        &[
            &id,
            &user_id,
            &Uuid::new_v4().to_string(),
            &challenge_method,
            &challenge,
            &provider_type,
            &Timestamp::now(),
            &method.as_str(),
        ],
    )
    .await?;
    Ok(id)
}

/// What a provider told for a flow.
pub(crate) struct Told<'a> {
    pub(crate) user_id: Uuid,
    pub(crate) access_token: &'a str,
    pub(crate) refresh_token: &'a str,
}

/// Whether there is such a flow.
pub(crate) async fn exists(db: &mut Connection, id: Uuid) -> Result<bool> {
    Ok(db.query_opt("select id from auth.flow_state where id = $1", &[&id]).await?.is_some())
}

/// Gives a flow its user and returns its code; none if it has a user already or has ended.
pub(crate) async fn fulfil(db: &mut Connection, id: Uuid, told: Told<'_>) -> Result<Option<String>> {
    let sql = "update auth.flow_state
         set user_id = $2, provider_access_token = $3, provider_refresh_token = $4,
             auth_code_issued_at = $5, updated_at = $5
         where id = $1 and user_id is null
         returning auth_code";
    let params: [&(dyn database::ToSql + Sync); 5] =
        [&id, &told.user_id, &told.access_token, &told.refresh_token, &Timestamp::now()];
    db.query_opt(sql, &params).await?.map(|row| row.get("auth_code")).transpose()
}

/// The flow of a code.
pub(crate) async fn by_code(db: &mut Connection, code: &str) -> Result<Option<FlowState>> {
    let row = db
        .query_opt(
            "select id, user_id, code_challenge, code_challenge_method::text as code_challenge_method, provider_type,
                 coalesce(provider_access_token, '') as provider_access_token,
                 coalesce(provider_refresh_token, '') as provider_refresh_token,
                 authentication_method, coalesce(created_at, 'epoch') as created_at, auth_code_issued_at
             from auth.flow_state where auth_code = $1 limit 1",
            &[&code],
        )
        .await?;
    row.map(|row| {
        Ok(FlowState {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            challenge: row.get("code_challenge")?,
            challenge_method: row.get("code_challenge_method")?,
            provider_type: row.get("provider_type")?,
            provider_access_token: row.get("provider_access_token")?,
            provider_refresh_token: row.get("provider_refresh_token")?,
            method: row.get("authentication_method")?,
            created_at: row.get("created_at")?,
            code_issued_at: row.get("auth_code_issued_at")?,
        })
    })
    .transpose()
}

/// Issues the code of a user's newest flow of a method.
pub(crate) async fn issue_code(db: &mut Connection, user_id: Uuid, method: Method) -> Result<Option<String>> {
    let row = db
        .query_opt(
            "update auth.flow_state set auth_code_issued_at = $3, updated_at = $3
             where id = (
                 select id from auth.flow_state
                 where user_id = $1 and authentication_method = $2
                 order by created_at desc limit 1
             )
             returning auth_code",
            &[&user_id, &method.as_str(), &Timestamp::now()],
        )
        .await?;
    row.map(|row| row.get("auth_code")).transpose()
}

/// Ends a flow. False if another request ended it first.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<bool> {
    Ok(db.execute("delete from auth.flow_state where id = $1", &[&id]).await? == 1)
}
