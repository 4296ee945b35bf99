//! `auth.one_time_tokens`: hashes of codes, by which links are found.

use database::Connection;
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Confirmation,
    Reauthentication,
    Recovery,
    EmailChangeNew,
    EmailChangeCurrent,
    PhoneChange,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation_token",
            Self::Reauthentication => "reauthentication_token",
            Self::Recovery => "recovery_token",
            Self::EmailChangeNew => "email_change_token_new",
            Self::EmailChangeCurrent => "email_change_token_current",
            Self::PhoneChange => "phone_change_token",
        }
    }
}

/// The user whose token has a hash, if the token is of one of these kinds.
pub(crate) async fn owner(db: &mut Connection, hash: &str, kinds: &[Kind]) -> Result<Option<Uuid>> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let sql = "select user_id from auth.one_time_tokens
         where token_hash = $1 and token_type::text = any ($2::text[]) limit 1";
    db.query_opt(sql, &[&hash, &kinds]).await?.map(|row| row.get("user_id")).transpose()
}

/// Replaces a user's token of a kind.
pub(crate) async fn replace(
    db: &mut Connection,
    user_id: Uuid,
    relates_to: &str,
    hash: &str,
    kind: Kind,
) -> Result<()> {
    delete(db, user_id, kind).await?;
    // The timestamps have no zone; UTC is what is meant.
    db.execute(
        "insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at, updated_at)
         values ($1, $2, $3::text::auth.one_time_token_type, $4, $5, $6, $6)",
        &[
            &Uuid::new_v4(),
            &user_id,
            &kind.as_str(),
            &hash,
            &relates_to.to_lowercase(),
            &Timestamp::now().0.naive_utc(),
        ],
    )
    .await
    .map(|_| ())
}

/// Removes a user's token of a kind.
pub(crate) async fn delete(db: &mut Connection, user_id: Uuid, kind: Kind) -> Result<()> {
    let sql = "delete from auth.one_time_tokens where user_id = $1 and token_type = $2::text::auth.one_time_token_type";
    db.execute(sql, &[&user_id, &kind.as_str()]).await.map(|_| ())
}

/// Removes all tokens of a user.
pub(crate) async fn delete_all(db: &mut Connection, user_id: Uuid) -> Result<()> {
    db.execute("delete from auth.one_time_tokens where user_id = $1", &[&user_id]).await.map(|_| ())
}
