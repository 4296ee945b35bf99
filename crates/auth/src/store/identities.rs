//! `auth.identities`.

use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use crate::identity::{Identity, is_default_linking_domain};
use crate::json::{self, Object, Timestamp};
use crate::metadata::{self, Stored};

const COLUMNS: &str = "id, provider_id, user_id, identity_data, provider, last_sign_in_at, \
     coalesce(created_at, 'epoch') as created_at, coalesce(updated_at, 'epoch') as updated_at, \
     coalesce(email, '') as email";

fn read(row: &TypedRow) -> Result<Identity> {
    Ok(Identity {
        id: row.get("id")?,
        provider_id: row.get("provider_id")?,
        user_id: row.get("user_id")?,
        data: row.get::<Stored>("identity_data")?.0,
        provider: row.get("provider")?,
        last_sign_in_at: row.get("last_sign_in_at")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        email: row.get("email")?,
    })
}

/// A user's identities, oldest first.
pub(crate) async fn of_user(db: &mut Connection, user_id: Uuid) -> Result<Vec<Identity>> {
    let sql = format!("select {COLUMNS} from auth.identities where user_id = $1 order by created_at, id");
    db.query(&sql, &[&user_id]).await?.iter().map(read).collect()
}

/// The identity of a provider's user.
pub(crate) async fn find(db: &mut Connection, provider_id: &str, provider: &str) -> Result<Option<Identity>> {
    let sql = format!("select {COLUMNS} from auth.identities where provider_id = $1 and provider = $2");
    db.query_opt(&sql, &[&provider_id, &provider]).await?.as_ref().map(read).transpose()
}

/// Users who have an address in the default linking domain. `email` is lower case.
pub(crate) async fn owners_of_email(
    db: &mut Connection,
    email: &str,
    own_domains: &[String],
) -> Result<Vec<Uuid>> {
    let rows = db.query("select user_id, provider from auth.identities where email = $1", &[&email]).await?;
    let mut owners = Vec::new();
    for row in rows {
        let (owner, provider): (Uuid, String) = (row.get("user_id")?, row.get("provider")?);
        if is_default_linking_domain(&provider, own_domains) && !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    Ok(owners)
}

/// The providers of a user, each once, oldest first.
pub(crate) async fn providers(db: &mut Connection, user_id: Uuid) -> Result<Vec<String>> {
    let sql = "select provider from auth.identities where user_id = $1 order by created_at, id";
    let mut providers: Vec<String> = Vec::new();
    for row in db.query(sql, &[&user_id]).await? {
        let provider = row.get("provider")?;
        if !providers.contains(&provider) {
            providers.push(provider);
        }
    }
    Ok(providers)
}

/// Inserts an identity; its generated address is not written.
pub(crate) async fn insert(db: &mut Connection, identity: &Identity) -> Result<()> {
    let data = json::to_string(&identity.data);
    db.execute(
        "insert into auth.identities (
             id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
         ) values ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8)",
        &[
            &identity.id,
            &identity.provider_id,
            &identity.user_id,
            &data,
            &identity.provider,
            &identity.last_sign_in_at,
            &identity.created_at,
            &identity.updated_at,
        ],
    )
    .await
    .map(|_| ())
}

/// Merges updates into what an identity says of itself.
pub(crate) async fn update_data(db: &mut Connection, identity: &mut Identity, updates: Object) -> Result<()> {
    metadata::merge(&mut identity.data, updates);
    let data = json::to_string(&identity.data);
    let sql = "update auth.identities set identity_data = $1::text::jsonb where id = $2";
    db.execute(sql, &[&data, &identity.id]).await.map(|_| ())
}

/// Identities that have one of these addresses, which are lower case.
pub(crate) async fn with_emails(db: &mut Connection, emails: &[String]) -> Result<Vec<Identity>> {
    let sql = format!("select {COLUMNS} from auth.identities where email = any ($1) order by created_at, id");
    db.query(&sql, &[&emails]).await?.iter().map(read).collect()
}

/// Replaces what an identity says of itself: its owner has just signed in with it.
pub(crate) async fn replace_data(db: &mut Connection, identity: &Identity) -> Result<()> {
    let data = json::to_string(&identity.data);
    let sql = "update auth.identities
         set identity_data = $1::text::jsonb, last_sign_in_at = $2, updated_at = $2 where id = $3";
    db.execute(sql, &[&data, &Timestamp::now(), &identity.id]).await.map(|_| ())
}

/// Makes an identity unrecognisable.
pub(crate) async fn obfuscate(db: &mut Connection, id: Uuid, provider_id: &str) -> Result<()> {
    let sql = "update auth.identities set identity_data = '{}', provider_id = $1 where id = $2";
    db.execute(sql, &[&provider_id, &id]).await.map(|_| ())
}

/// Removes one identity.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.identities where id = $1", &[&id]).await.map(|_| ())
}

/// Removes all identities of a user but one.
pub(crate) async fn delete_others(db: &mut Connection, user_id: Uuid, keep: Uuid) -> Result<()> {
    db.execute("delete from auth.identities where user_id = $1 and id <> $2", &[&user_id, &keep])
        .await
        .map(|_| ())
}
