//! `auth.oauth_authorizations` and `auth.oauth_consents`: what applications ask for and people agree to.

use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;

/// What an application asks for.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    /// The row's id; not the one in addresses.
    pub(crate) id: Uuid,
    pub(crate) public_id: String,
    pub(crate) client_id: Uuid,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) state: String,
    pub(crate) resource: String,
    pub(crate) challenge: String,
    pub(crate) challenge_method: String,
    pub(crate) status: String,
    pub(crate) expires_at: Timestamp,
    /// For the ID token.
    pub(crate) nonce: String,
}

impl Authorization {
    pub(crate) fn is_expired(&self) -> bool {
        Timestamp::now() > self.expires_at
    }
}

const COLUMNS: &str = "id, authorization_id, client_id, user_id, redirect_uri, scope, coalesce(state, '') as state, \
     coalesce(resource, '') as resource, coalesce(code_challenge, '') as code_challenge, \
     coalesce(code_challenge_method::text, '') as code_challenge_method, status::text as status, expires_at, \
     coalesce(nonce, '') as nonce";

fn read(row: &TypedRow) -> Result<Authorization> {
    Ok(Authorization {
        id: row.get("id")?,
        public_id: row.get("authorization_id")?,
        client_id: row.get("client_id")?,
        user_id: row.get("user_id")?,
        redirect_uri: row.get("redirect_uri")?,
        scope: row.get("scope")?,
        state: row.get("state")?,
        resource: row.get("resource")?,
        challenge: row.get("code_challenge")?,
        challenge_method: row.get("code_challenge_method")?,
        status: row.get("status")?,
        expires_at: row.get("expires_at")?,
        nonce: row.get("nonce")?,
    })
}

/// Remembers a request that waits for somebody's answer.
pub(crate) async fn insert(db: &mut Connection, asked: &Authorization) -> Result<()> {
    db.execute(
        "insert into auth.oauth_authorizations (
             id, authorization_id, client_id, redirect_uri, scope, state, resource, code_challenge,
             code_challenge_method, response_type, status, created_at, expires_at, nonce
         ) values (
             $1, $2, $3, $4, $5, nullif($6::text, ''), nullif($7::text, ''), $8,
             $9::text::auth.code_challenge_method, 'code', 'pending', $10, $11, nullif($12::text, '')
         )",
        &[
            &asked.id,
            &asked.public_id,
            &asked.client_id,
            &asked.redirect_uri,
            &asked.scope,
            &asked.state,
            &asked.resource,
            &asked.challenge,
            &asked.challenge_method,
            &Timestamp::now(),
            &asked.expires_at,
            &asked.nonce,
        ],
    )
    .await
    .map(|_| ())
}

/// The request of a public id, locked until the transaction ends.
pub(crate) async fn lock(db: &mut Connection, public_id: &str) -> Result<Option<Authorization>> {
    let sql =
        format!("select {COLUMNS} from auth.oauth_authorizations where authorization_id = $1 for update");
    db.query_opt(&sql, &[&public_id]).await?.as_ref().map(read).transpose()
}

/// The approved request of a code, locked until the transaction ends.
pub(crate) async fn lock_code(db: &mut Connection, code: &str) -> Result<Option<Authorization>> {
    let sql = format!(
        "select {COLUMNS} from auth.oauth_authorizations
         where authorization_code = $1 and status = 'approved' for update"
    );
    db.query_opt(&sql, &[&code]).await?.as_ref().map(read).transpose()
}

/// Says who answers.
pub(crate) async fn set_user(db: &mut Connection, id: Uuid, user_id: Uuid) -> Result<()> {
    let sql = "update auth.oauth_authorizations set user_id = $1 where id = $2";
    db.execute(sql, &[&user_id, &id]).await.map(|_| ())
}

/// The answer is yes; returns the code.
pub(crate) async fn approve(db: &mut Connection, id: Uuid) -> Result<String> {
    let code = Uuid::new_v4().to_string();
    let sql = "update auth.oauth_authorizations
         set status = 'approved', approved_at = $1, authorization_code = $2 where id = $3";
    db.execute(sql, &[&Timestamp::now(), &code, &id]).await?;
    Ok(code)
}

/// The request is over: `denied` or `expired`.
pub(crate) async fn close(db: &mut Connection, id: Uuid, status: &str) -> Result<()> {
    let sql = "update auth.oauth_authorizations
         set status = $1::text::auth.oauth_authorization_status where id = $2";
    db.execute(sql, &[&status, &id]).await.map(|_| ())
}

/// Forgets a request whose code was used.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.oauth_authorizations where id = $1", &[&id]).await.map(|_| ())
}

/// The scopes somebody agreed to for a client.
pub(crate) async fn consent(db: &mut Connection, user_id: Uuid, client_id: Uuid) -> Result<Option<String>> {
    let sql = "select scopes from auth.oauth_consents
         where user_id = $1 and client_id = $2 and revoked_at is null";
    db.query_opt(sql, &[&user_id, &client_id]).await?.map(|row| row.get("scopes")).transpose()
}

/// Remembers what somebody agreed to.
pub(crate) async fn grant(db: &mut Connection, user_id: Uuid, client_id: Uuid, scopes: &str) -> Result<()> {
    db.execute(
        "insert into auth.oauth_consents (id, user_id, client_id, scopes, granted_at) values ($1, $2, $3, $4, $5)
         on conflict (user_id, client_id)
         do update set scopes = excluded.scopes, granted_at = excluded.granted_at, revoked_at = null",
        &[&Uuid::new_v4(), &user_id, &client_id, &scopes, &Timestamp::now()],
    )
    .await
    .map(|_| ())
}

/// Takes back what somebody agreed to and ends what was signed in with it. False if there was nothing.
pub(crate) async fn revoke(db: &mut Connection, user_id: Uuid, client_id: Uuid) -> Result<bool> {
    let sql = "update auth.oauth_consents set revoked_at = $1
         where user_id = $2 and client_id = $3 and revoked_at is null";
    let revoked = db.execute(sql, &[&Timestamp::now(), &user_id, &client_id]).await? == 1;
    let sql = "delete from auth.sessions where user_id = $1 and oauth_client_id = $2";
    db.execute(sql, &[&user_id, &client_id]).await?;
    Ok(revoked)
}

/// The clients somebody agreed to, with the scopes and since when, newest first.
pub(crate) async fn grants(db: &mut Connection, user_id: Uuid) -> Result<Vec<(Uuid, String, Timestamp)>> {
    let sql = "select client_id, scopes, granted_at from auth.oauth_consents
         where user_id = $1 and revoked_at is null order by granted_at desc";
    let rows = db.query(sql, &[&user_id]).await?;
    rows.iter().map(|row| Ok((row.get("client_id")?, row.get("scopes")?, row.get("granted_at")?))).collect()
}
