//! `auth.webauthn_credentials` and `auth.webauthn_challenges`: passkeys, and ceremonies that began.

use std::time::Duration;

use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use crate::json::{self, Timestamp};
use crate::webauthn::{Credential, SessionData};

/// A passkey.
#[derive(Clone, Debug)]
pub(crate) struct Passkey {
    pub(crate) id: Uuid,
    pub(crate) friendly_name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) credential: Credential,
}

const COLUMNS: &str = "id, friendly_name, created_at, last_used_at, credential_id, public_key, attestation_type, \
     aaguid, sign_count, transports::text as transports, backup_eligible, backed_up";

fn read(row: &TypedRow) -> Result<Passkey> {
    let mut credential = Credential::default();
    credential.id.0 = row.get("credential_id")?;
    credential.public_key.0 = row.get("public_key")?;
    credential.attestation_type = row.get("attestation_type")?;
    credential.flags.backup_eligible = row.get("backup_eligible")?;
    credential.flags.backup_state = row.get("backed_up")?;
    let aaguid: Option<Uuid> = row.get("aaguid")?;
    credential.authenticator.aaguid.0 = aaguid.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    credential.authenticator.sign_count = u32::try_from(row.get::<i64>("sign_count")?).unwrap_or(u32::MAX);
    credential.transport = serde_json::from_str(&row.get::<String>("transports")?).ok();
    Ok(Passkey {
        id: row.get("id")?,
        friendly_name: row.get("friendly_name")?,
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
        credential,
    })
}

/// A user's passkeys, oldest first.
pub(crate) async fn of_user(db: &mut Connection, user_id: Uuid) -> Result<Vec<Passkey>> {
    let sql =
        format!("select {COLUMNS} from auth.webauthn_credentials where user_id = $1 order by created_at, id");
    db.query(&sql, &[&user_id]).await?.iter().map(read).collect()
}

/// One passkey of a user.
pub(crate) async fn find(db: &mut Connection, user_id: Uuid, id: Uuid) -> Result<Option<Passkey>> {
    let sql = format!("select {COLUMNS} from auth.webauthn_credentials where user_id = $1 and id = $2");
    db.query_opt(&sql, &[&user_id, &id]).await?.as_ref().map(read).transpose()
}

/// Stores a new passkey.
pub(crate) async fn insert(
    db: &mut Connection,
    user_id: Uuid,
    credential: &Credential,
    friendly_name: &str,
) -> Result<Passkey> {
    let (id, now) = (Uuid::new_v4(), Timestamp::now_stored());
    db.execute(
        "insert into auth.webauthn_credentials (
             id, user_id, credential_id, public_key, attestation_type, aaguid, sign_count, transports,
             backup_eligible, backed_up, friendly_name, created_at, updated_at
         ) values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11, $12, $12)",
        &[
            &id,
            &user_id,
            &credential.id.0,
            &credential.public_key.0,
            &credential.attestation_type,
            &credential.aaguid(),
            &i64::from(credential.authenticator.sign_count),
            &json::to_string(&credential.transports()),
            &credential.flags.backup_eligible,
            &credential.flags.backup_state,
            &friendly_name,
            &now,
        ],
    )
    .await?;
    Ok(Passkey {
        id,
        friendly_name: friendly_name.to_owned(),
        created_at: now,
        last_used_at: None,
        credential: credential.clone(),
    })
}

/// A passkey was used.
pub(crate) async fn touch(db: &mut Connection, id: Uuid, credential: &Credential) -> Result<()> {
    let sql = "update auth.webauthn_credentials
         set sign_count = $1, backed_up = $2, last_used_at = $3, updated_at = $3 where id = $4";
    let count = i64::from(credential.authenticator.sign_count);
    db.execute(sql, &[&count, &credential.flags.backup_state, &Timestamp::now(), &id]).await.map(|_| ())
}

/// Gives a passkey another name.
pub(crate) async fn rename(db: &mut Connection, id: Uuid, name: &str) -> Result<()> {
    let sql = "update auth.webauthn_credentials set friendly_name = $1, updated_at = $2 where id = $3";
    db.execute(sql, &[&name, &Timestamp::now(), &id]).await.map(|_| ())
}

/// Removes a passkey.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.webauthn_credentials where id = $1", &[&id]).await.map(|_| ())
}

/// Locks a user, so that two registrations do not both count the passkeys there were before.
pub(crate) async fn lock_owner(db: &mut Connection, user_id: Uuid) -> Result<()> {
    db.query("select id from auth.users where id = $1 for update", &[&user_id]).await.map(|_| ())
}

/// Begins a ceremony; `user_id` is none for a sign-in, whose user nobody knows yet. Ceremonies of anybody that have
/// ended go with it.
pub(crate) async fn begin(
    db: &mut Connection,
    user_id: Option<Uuid>,
    kind: &str,
    session: &SessionData,
    lifetime: Duration,
) -> Result<(Uuid, Timestamp)> {
    let (id, now) = (Uuid::new_v4(), Timestamp::now_stored());
    let expires_at = now.plus(lifetime);
    db.execute(
        "delete from auth.webauthn_challenges where id in (
             select id from auth.webauthn_challenges where expires_at < $1 limit 100 for update skip locked
         )",
        &[&now],
    )
    .await?;
    db.execute(
        "insert into auth.webauthn_challenges (id, user_id, challenge_type, session_data, created_at, expires_at)
         values ($1, $2, $3, $4::text::jsonb, $5, $6)",
        &[&id, &user_id, &kind, &json::to_string(session), &now, &expires_at],
    )
    .await?;
    Ok((id, expires_at))
}

/// Takes a ceremony away for good and returns it with when it ends.
pub(crate) async fn consume(
    db: &mut Connection,
    id: Uuid,
    kind: &str,
    user_id: Option<Uuid>,
) -> Result<Option<(SessionData, Timestamp)>> {
    let sql = "delete from auth.webauthn_challenges
         where id = $1 and challenge_type = $2 and user_id is not distinct from $3
         returning session_data::text as session_data, expires_at";
    let Some(row) = db.query_opt(sql, &[&id, &kind, &user_id]).await? else { return Ok(None) };
    let text: String = row.get("session_data")?;
    let expires_at = row.get("expires_at")?;
    Ok(serde_json::from_str(&text).ok().map(|session| (session, expires_at)))
}
