//! `auth.mfa_factors`.

use std::time::Duration;

use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use crate::factors::FactorType;
use crate::json::{self, Timestamp};
use crate::user::Factor;
use crate::webauthn::Credential;

const COLUMNS: &str = "id, created_at, updated_at, status::text as status, \
     coalesce(friendly_name, '') as friendly_name, factor_type::text as factor_type, \
     coalesce(phone, '') as phone, last_challenged_at, web_authn_aaguid";

fn read(row: &TypedRow) -> Result<Factor> {
    Ok(Factor {
        id: row.get("id")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        status: row.get("status")?,
        friendly_name: row.get("friendly_name")?,
        factor_type: row.get("factor_type")?,
        phone: row.get("phone")?,
        last_challenged_at: row.get("last_challenged_at")?,
        web_authn_aaguid: row.get("web_authn_aaguid")?,
    })
}

/// A user's factors, oldest first.
pub(crate) async fn of_user(db: &mut Connection, user_id: Uuid) -> Result<Vec<Factor>> {
    let sql = format!("select {COLUMNS} from auth.mfa_factors where user_id = $1 order by created_at, id");
    db.query(&sql, &[&user_id]).await?.iter().map(read).collect()
}

/// One factor of a user.
pub(crate) async fn find(db: &mut Connection, user_id: Uuid, id: Uuid) -> Result<Option<Factor>> {
    let sql = format!("select {COLUMNS} from auth.mfa_factors where user_id = $1 and id = $2");
    db.query_opt(&sql, &[&user_id, &id]).await?.as_ref().map(read).transpose()
}

/// Writes a factor's name and number.
pub(crate) async fn update(db: &mut Connection, factor: &Factor) -> Result<()> {
    let sql = "update auth.mfa_factors
         set friendly_name = $1, phone = nullif($2::text, ''), updated_at = $3 where id = $4";
    db.execute(sql, &[&factor.friendly_name, &factor.phone, &factor.updated_at, &factor.id]).await.map(|_| ())
}

/// Removes one factor.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.mfa_factors where id = $1", &[&id]).await.map(|_| ())
}

/// Removes all factors of a user.
pub(crate) async fn delete_of_user(db: &mut Connection, user_id: Uuid) -> Result<()> {
    db.execute("delete from auth.mfa_factors where user_id = $1", &[&user_id]).await.map(|_| ())
}

/// Inserts a factor that waits to be verified. `secret` is as the row keeps it.
pub(crate) async fn insert(
    db: &mut Connection,
    id: Uuid,
    user_id: Uuid,
    kind: FactorType,
    friendly_name: &str,
    secret: &str,
    phone: &str,
) -> Result<()> {
    db.execute(
        "insert into auth.mfa_factors
             (id, user_id, created_at, updated_at, status, friendly_name, secret, factor_type, phone)
         values ($1, $2, $3, $3, 'unverified', $4, $5, $6::text::auth.factor_type, nullif($7::text, ''))",
        &[&id, &user_id, &Timestamp::now(), &friendly_name, &secret, &kind.as_str(), &phone],
    )
    .await
    .map(|_| ())
}

/// The secret of an authenticator app, as the row keeps it.
pub(crate) async fn secret(db: &mut Connection, id: Uuid) -> Result<String> {
    let sql = "select coalesce(secret, '') as secret from auth.mfa_factors where id = $1";
    db.query_one(sql, &[&id]).await?.get("secret")
}

/// Writes the secret of an authenticator app, as the row is to keep it.
pub(crate) async fn set_secret(db: &mut Connection, id: Uuid, secret: &str) -> Result<()> {
    let sql = "update auth.mfa_factors set secret = $1, updated_at = $2 where id = $3";
    db.execute(sql, &[&secret, &Timestamp::now(), &id]).await.map(|_| ())
}

/// A factor counts from now on.
pub(crate) async fn verify(db: &mut Connection, id: Uuid) -> Result<()> {
    let sql = "update auth.mfa_factors set status = 'verified', updated_at = $1 where id = $2";
    db.execute(sql, &[&Timestamp::now(), &id]).await.map(|_| ())
}

/// The security keys that count, each with its factor.
pub(crate) async fn credentials(db: &mut Connection, user_id: Uuid) -> Result<Vec<(Uuid, Credential)>> {
    let sql = "select id, web_authn_credential::text as credential from auth.mfa_factors
         where user_id = $1 and status = 'verified' and factor_type = 'webauthn'
             and web_authn_credential is not null order by created_at, id";
    let rows = db.query(sql, &[&user_id]).await?;
    let mut credentials = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, text): (Uuid, String) = (row.get("id")?, row.get("credential")?);
        match serde_json::from_str(&text) {
            Ok(credential) => credentials.push((id, credential)),
            Err(error) => tracing::warn!(factor_id = %id, %error, "a stored security key cannot be read"),
        }
    }
    Ok(credentials)
}

/// Stores the security key of a factor.
pub(crate) async fn set_credential(db: &mut Connection, id: Uuid, credential: &Credential) -> Result<()> {
    let sql = "update auth.mfa_factors
         set web_authn_credential = $1::text::jsonb, web_authn_aaguid = $2, updated_at = $3 where id = $4";
    let text = json::to_string(credential);
    db.execute(sql, &[&text, &credential.aaguid(), &Timestamp::now(), &id]).await.map(|_| ())
}

/// Removes unfinished enrollments of anybody that are too old and were never challenged.
pub(crate) async fn delete_expired(db: &mut Connection, lifetime: Duration) -> Result<()> {
    let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    db.execute(
        "delete from auth.mfa_factors f
         where f.status <> 'verified' and f.created_at < now() - $1 * interval '1 second'
             and not exists (select from auth.mfa_challenges c where c.factor_id = f.id)",
        &[&(seconds as f64)],
    )
    .await
    .map(|_| ())
}

/// Removes a user's unfinished enrollments of a kind.
pub(crate) async fn delete_unverified(db: &mut Connection, user_id: Uuid, kind: FactorType) -> Result<()> {
    let sql = "delete from auth.mfa_factors
         where user_id = $1 and status = 'unverified' and factor_type = $2::text::auth.factor_type";
    db.execute(sql, &[&user_id, &kind.as_str()]).await.map(|_| ())
}
