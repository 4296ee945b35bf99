//! `auth.oauth_clients`: applications that people sign in to.

use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;
use crate::oauth_server::Client;

const COLUMNS: &str = "id, coalesce(client_secret_hash, '') as client_secret_hash, client_type::text as client_type, \
     registration_type::text as registration_type, redirect_uris, grant_types, token_endpoint_auth_method, \
     coalesce(client_name, '') as client_name, coalesce(client_uri, '') as client_uri, \
     coalesce(logo_uri, '') as logo_uri, created_at, updated_at";

fn read(row: &TypedRow) -> Result<Client> {
    let list = |text: String| text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect();
    Ok(Client {
        id: row.get("id")?,
        secret_hash: row.get("client_secret_hash")?,
        is_public: row.get::<String>("client_type")? == "public",
        is_dynamic: row.get::<String>("registration_type")? == "dynamic",
        redirect_uris: list(row.get("redirect_uris")?),
        grant_types: list(row.get("grant_types")?),
        auth_method: row.get("token_endpoint_auth_method")?,
        name: row.get("client_name")?,
        uri: row.get("client_uri")?,
        logo_uri: row.get("logo_uri")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// A client that was not deleted.
pub(crate) async fn find(db: &mut Connection, id: Uuid) -> Result<Option<Client>> {
    let sql = format!("select {COLUMNS} from auth.oauth_clients where id = $1 and deleted_at is null");
    db.query_opt(&sql, &[&id]).await?.as_ref().map(read).transpose()
}

/// One page of the clients, newest first, and how many there are.
pub(crate) async fn page(db: &mut Connection, limit: i64, offset: i64) -> Result<(Vec<Client>, u64)> {
    let count = "select count(*) as total from auth.oauth_clients where deleted_at is null";
    let total: i64 = db.query_one(count, &[]).await?.get("total")?;
    let sql = format!(
        "select {COLUMNS} from auth.oauth_clients where deleted_at is null
         order by created_at desc, id limit $1 offset $2"
    );
    let rows = db.query(&sql, &[&limit, &offset]).await?;
    Ok((rows.iter().map(read).collect::<Result<_>>()?, total.unsigned_abs()))
}

/// Inserts a client, or writes everything that may change of one that exists.
pub(crate) async fn put(db: &mut Connection, client: &Client) -> Result<()> {
    let kind = if client.is_public { "public" } else { "confidential" };
    let registration = if client.is_dynamic { "dynamic" } else { "manual" };
    db.execute(
        "insert into auth.oauth_clients (
             id, client_secret_hash, client_type, registration_type, redirect_uris, grant_types,
             token_endpoint_auth_method, client_name, client_uri, logo_uri, created_at, updated_at
         ) values (
             $1, nullif($2::text, ''), $3::text::auth.oauth_client_type, $4::text::auth.oauth_registration_type,
             $5, $6, $7, nullif($8::text, ''), nullif($9::text, ''), nullif($10::text, ''), $11, $12
         ) on conflict (id) do update set
             client_secret_hash = excluded.client_secret_hash, redirect_uris = excluded.redirect_uris,
             grant_types = excluded.grant_types, token_endpoint_auth_method = excluded.token_endpoint_auth_method,
             client_name = excluded.client_name, client_uri = excluded.client_uri, logo_uri = excluded.logo_uri,
             updated_at = excluded.updated_at",
        &[
            &client.id,
            &client.secret_hash,
            &kind,
            &registration,
            &client.redirect_uris.join(","),
            &client.grant_types.join(","),
            &client.auth_method,
            &client.name,
            &client.uri,
            &client.logo_uri,
            &client.created_at,
            &client.updated_at,
        ],
    )
    .await
    .map(|_| ())
}

/// Marks a client as deleted and ends what was signed in through it.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    let sql = "update auth.oauth_clients set deleted_at = $1, updated_at = $1 where id = $2";
    db.execute(sql, &[&Timestamp::now(), &id]).await?;
    db.execute("delete from auth.sessions where oauth_client_id = $1", &[&id]).await.map(|_| ())
}
