//! `auth.custom_oauth_providers`: places to sign in at that an administrator described.

use database::{Connection, ToSql, TypedRow};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Result;
use crate::config::Secret;
use crate::json::{Object, Timestamp};
use crate::providers::Discovery;

/// A provider, in the order in which it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CustomProvider {
    pub(crate) id: Uuid,
    /// `oauth2` or `oidc`.
    pub(crate) provider_type: String,
    /// Its name, which begins with `custom:`.
    pub(crate) identifier: String,
    pub(crate) name: String,
    pub(crate) client_id: String,
    /// As it is stored: encrypted where there is a key.
    #[serde(skip)]
    pub(crate) client_secret: Secret,
    pub(crate) acceptable_client_ids: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) pkce_enabled: bool,
    pub(crate) attribute_mapping: Object,
    pub(crate) custom_claims_allowlist: Vec<String>,
    pub(crate) authorization_params: Object,
    pub(crate) enabled: bool,
    pub(crate) email_optional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) discovery_url: Option<String>,
    pub(crate) skip_nonce_check: bool,
    #[serde(rename = "discovery_document", skip_serializing_if = "Option::is_none")]
    pub(crate) discovery: Option<Discovery>,
    #[serde(skip)]
    pub(crate) discovered_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) userinfo_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_uri: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl CustomProvider {
    pub(crate) fn is_oidc(&self) -> bool {
        self.provider_type == "oidc"
    }

    /// Where its issuer describes itself.
    pub(crate) fn discovery_url(&self) -> String {
        match self.discovery_url.as_deref() {
            None | Some("") => {
                let issuer = self.issuer.as_deref().unwrap_or_default();
                format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
            }
            Some(url) => url.to_owned(),
        }
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn read(row: &TypedRow) -> Result<CustomProvider> {
    let discovery: Option<Value> = row.get("cached_discovery")?;
    Ok(CustomProvider {
        id: row.get("id")?,
        provider_type: row.get("provider_type")?,
        identifier: row.get("identifier")?,
        name: row.get("name")?,
        client_id: row.get("client_id")?,
        client_secret: Secret::new(row.get::<String>("client_secret")?),
        acceptable_client_ids: row.get("acceptable_client_ids")?,
        scopes: row.get("scopes")?,
        pkce_enabled: row.get("pkce_enabled")?,
        attribute_mapping: object(row.get("attribute_mapping")?),
        custom_claims_allowlist: row.get("custom_claims_allowlist")?,
        authorization_params: object(row.get("authorization_params")?),
        enabled: row.get("enabled")?,
        email_optional: row.get("email_optional")?,
        issuer: row.get("issuer")?,
        discovery_url: row.get("discovery_url")?,
        skip_nonce_check: row.get("skip_nonce_check")?,
        discovery: discovery.and_then(|document| serde_json::from_value(document).ok()),
        discovered_at: row.get("discovery_cached_at")?,
        authorization_url: row.get("authorization_url")?,
        token_url: row.get("token_url")?,
        userinfo_url: row.get("userinfo_url")?,
        jwks_uri: row.get("jwks_uri")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// The provider of a whole name.
pub(crate) async fn by_identifier(db: &mut Connection, identifier: &str) -> Result<Option<CustomProvider>> {
    let sql = "select * from auth.custom_oauth_providers where identifier = $1";
    db.query_opt(sql, &[&identifier]).await?.as_ref().map(read).transpose()
}

/// All providers, or those of a type, newest first.
pub(crate) async fn list(db: &mut Connection, provider_type: &str) -> Result<Vec<CustomProvider>> {
    let sql = "select * from auth.custom_oauth_providers where $1 in ('', provider_type)
         order by created_at desc, id";
    db.query(sql, &[&provider_type]).await?.iter().map(read).collect()
}

/// Lets others who want to add one wait until the transaction ends.
pub(crate) async fn lock(db: &mut Connection) -> Result<()> {
    db.execute("lock table auth.custom_oauth_providers in share row exclusive mode", &[]).await.map(|_| ())
}

/// How many there are.
pub(crate) async fn count(db: &mut Connection) -> Result<i64> {
    db.query_one("select count(*) as total from auth.custom_oauth_providers", &[]).await?.get("total")
}

/// Inserts a provider, or writes everything that may change of one that exists.
pub(crate) async fn put(db: &mut Connection, provider: &CustomProvider) -> Result<()> {
    let discovery = provider.discovery.as_ref().map(|document| json!(document));
    let (mapping, params) = (json!(provider.attribute_mapping), json!(provider.authorization_params));
    let values: [&(dyn ToSql + Sync); 25] = [
        &provider.id,
        &provider.provider_type,
        &provider.identifier,
        &provider.name,
        &provider.client_id,
        &provider.client_secret.expose(),
        &provider.acceptable_client_ids,
        &provider.scopes,
        &provider.pkce_enabled,
        &mapping,
        &provider.custom_claims_allowlist,
        &params,
        &provider.enabled,
        &provider.email_optional,
        &provider.issuer,
        &provider.discovery_url,
        &provider.skip_nonce_check,
        &discovery,
        &provider.discovered_at,
        &provider.authorization_url,
        &provider.token_url,
        &provider.userinfo_url,
        &provider.jwks_uri,
        &provider.created_at,
        &provider.updated_at,
    ];
    db.execute(
        "insert into auth.custom_oauth_providers (
             id, provider_type, identifier, name, client_id, client_secret, acceptable_client_ids, scopes, pkce_enabled,
             attribute_mapping, custom_claims_allowlist, authorization_params, enabled, email_optional, issuer,
             discovery_url, skip_nonce_check, cached_discovery, discovery_cached_at, authorization_url, token_url,
             userinfo_url, jwks_uri, created_at, updated_at
         ) values (
             $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
             $24, $25
         )
         on conflict (id) do update set
             name = excluded.name, client_id = excluded.client_id, client_secret = excluded.client_secret,
             acceptable_client_ids = excluded.acceptable_client_ids, scopes = excluded.scopes,
             pkce_enabled = excluded.pkce_enabled, attribute_mapping = excluded.attribute_mapping,
             custom_claims_allowlist = excluded.custom_claims_allowlist,
             authorization_params = excluded.authorization_params, enabled = excluded.enabled,
             email_optional = excluded.email_optional, issuer = excluded.issuer,
             discovery_url = excluded.discovery_url, skip_nonce_check = excluded.skip_nonce_check,
             cached_discovery = excluded.cached_discovery, discovery_cached_at = excluded.discovery_cached_at,
             authorization_url = excluded.authorization_url, token_url = excluded.token_url,
             userinfo_url = excluded.userinfo_url, jwks_uri = excluded.jwks_uri, updated_at = excluded.updated_at",
        &values,
    )
    .await
    .map(|_| ())
}

/// Keeps what an issuer said of itself.
pub(crate) async fn keep_discovery(
    db: &mut Connection,
    id: Uuid,
    document: &Discovery,
    at: Timestamp,
) -> Result<()> {
    let sql = "update auth.custom_oauth_providers set cached_discovery = $2, discovery_cached_at = $3 where id = $1";
    db.execute(sql, &[&id, &json!(document), &at]).await.map(|_| ())
}

/// Removes a provider; its people stay, but cannot sign in with it any more. False if there was none.
pub(crate) async fn delete(db: &mut Connection, identifier: &str) -> Result<bool> {
    let sql = "delete from auth.custom_oauth_providers where identifier = $1";
    Ok(db.execute(sql, &[&identifier]).await? == 1)
}
