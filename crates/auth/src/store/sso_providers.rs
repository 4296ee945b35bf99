//! `auth.sso_providers` with `auth.saml_providers` and `auth.sso_domains`: who vouches for whole companies.

use database::{Connection, TypedRow};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Result;
use crate::json::Timestamp;
use crate::saml::Mapping;

/// An identity provider.
#[derive(Clone, Debug)]
pub(crate) struct SsoProvider {
    pub(crate) id: Uuid,
    /// A name that administrators gave it.
    pub(crate) resource_id: Option<String>,
    pub(crate) disabled: Option<bool>,
    pub(crate) entity_id: String,
    pub(crate) metadata_xml: String,
    pub(crate) metadata_url: Option<String>,
    pub(crate) mapping: Mapping,
    pub(crate) name_id_format: Option<String>,
    /// The domains whose people it knows.
    pub(crate) domains: Vec<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// When the metadata was read last.
    pub(crate) metadata_at: Timestamp,
}

impl SsoProvider {
    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled == Some(true)
    }
}

#[derive(Serialize)]
struct Saml<'a> {
    entity_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata_xml: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_url: Option<&'a str>,
    attribute_mapping: &'a Mapping,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_id_format: Option<&'a str>,
}

/// In the order of the original's answer.
impl Serialize for SsoProvider {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let saml = Saml {
            entity_id: &self.entity_id,
            metadata_xml: &self.metadata_xml,
            metadata_url: self.metadata_url.as_deref(),
            attribute_mapping: &self.mapping,
            name_id_format: self.name_id_format.as_deref(),
        };
        let domains: Vec<Value> = self.domains.iter().map(|domain| json!({"domain": domain})).collect();
        let mut shown = serializer.serialize_struct("SsoProvider", 7)?;
        shown.serialize_field("id", &self.id)?;
        match &self.resource_id {
            Some(id) => shown.serialize_field("resource_id", id)?,
            None => shown.skip_field("resource_id")?,
        }
        shown.serialize_field("disabled", &self.disabled)?;
        shown.serialize_field("saml", &saml)?;
        shown.serialize_field("domains", &domains)?;
        shown.serialize_field("created_at", &self.created_at)?;
        shown.serialize_field("updated_at", &self.updated_at)?;
        shown.end()
    }
}

const SELECT: &str = "select p.id, p.resource_id, p.disabled, s.entity_id, s.metadata_xml, s.metadata_url,
         coalesce(s.attribute_mapping, '{}') as attribute_mapping, s.name_id_format,
         array(
             select d.domain from auth.sso_domains d where d.sso_provider_id = p.id order by d.created_at, d.domain
         ) as domains,
         coalesce(p.created_at, 'epoch') as created_at, coalesce(p.updated_at, 'epoch') as updated_at,
         coalesce(s.updated_at, 'epoch') as metadata_at
     from auth.sso_providers p join auth.saml_providers s on s.sso_provider_id = p.id";

fn read(row: &TypedRow) -> Result<SsoProvider> {
    let mapping: Value = row.get("attribute_mapping")?;
    Ok(SsoProvider {
        id: row.get("id")?,
        resource_id: row.get("resource_id")?,
        disabled: row.get("disabled")?,
        entity_id: row.get("entity_id")?,
        metadata_xml: row.get("metadata_xml")?,
        metadata_url: row.get("metadata_url")?,
        mapping: serde_json::from_value(mapping).unwrap_or_default(),
        name_id_format: row.get("name_id_format")?,
        domains: row.get("domains")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        metadata_at: row.get("metadata_at")?,
    })
}

async fn one(
    db: &mut Connection,
    condition: &str,
    value: &(dyn database::ToSql + Sync),
) -> Result<Option<SsoProvider>> {
    let sql = format!("{SELECT} where {condition} limit 1");
    db.query_opt(&sql, &[value]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn by_id(db: &mut Connection, id: Uuid) -> Result<Option<SsoProvider>> {
    one(db, "p.id = $1", &id).await
}

pub(crate) async fn by_resource_id(db: &mut Connection, id: &str) -> Result<Option<SsoProvider>> {
    one(db, "p.resource_id = $1", &id).await
}

pub(crate) async fn by_entity_id(db: &mut Connection, id: &str) -> Result<Option<SsoProvider>> {
    one(db, "s.entity_id = $1", &id).await
}

/// The provider of a domain, in the case in which it was written.
pub(crate) async fn by_domain(db: &mut Connection, domain: &str) -> Result<Option<SsoProvider>> {
    one(db, "p.id = (select d.sso_provider_id from auth.sso_domains d where d.domain = $1)", &domain).await
}

/// All providers, or those with a resource id or with one that begins so; empty texts ask for nothing.
pub(crate) async fn list(db: &mut Connection, resource_id: &str, prefix: &str) -> Result<Vec<SsoProvider>> {
    let sql = format!(
        "{SELECT} where ($1 = '' or p.resource_id = $1)
             and ($1 <> '' or $2 = '' or starts_with(p.resource_id, $2))
         order by p.created_at, p.id"
    );
    db.query(&sql, &[&resource_id, &prefix]).await?.iter().map(read).collect()
}

/// Inserts a provider with its domains.
pub(crate) async fn insert(db: &mut Connection, provider: &SsoProvider) -> Result<()> {
    db.execute(
        "insert into auth.sso_providers (id, resource_id, disabled, created_at, updated_at)
         values ($1, $2, $3, $4, $4)",
        &[&provider.id, &provider.resource_id, &provider.disabled, &provider.created_at],
    )
    .await?;
    db.execute(
        "insert into auth.saml_providers (
             id, sso_provider_id, entity_id, metadata_xml, metadata_url, attribute_mapping, name_id_format,
             created_at, updated_at
         ) values ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        &[
            &Uuid::new_v4(),
            &provider.id,
            &provider.entity_id,
            &provider.metadata_xml,
            &provider.metadata_url,
            &json!(provider.mapping),
            &provider.name_id_format,
            &provider.created_at,
        ],
    )
    .await?;
    for domain in &provider.domains {
        insert_domain(db, provider.id, domain).await?;
    }
    Ok(())
}

/// Writes all that may change of a provider, and its domains.
pub(crate) async fn update(db: &mut Connection, provider: &SsoProvider) -> Result<()> {
    db.execute(
        "update auth.sso_providers set resource_id = $2, disabled = $3, updated_at = $4 where id = $1",
        &[&provider.id, &provider.resource_id, &provider.disabled, &provider.updated_at],
    )
    .await?;
    db.execute(
        "update auth.saml_providers
         set metadata_xml = $2, metadata_url = $3, attribute_mapping = $4, name_id_format = $5, updated_at = $6
         where sso_provider_id = $1",
        &[
            &provider.id,
            &provider.metadata_xml,
            &provider.metadata_url,
            &json!(provider.mapping),
            &provider.name_id_format,
            &provider.metadata_at,
        ],
    )
    .await?;
    db.execute(
        "delete from auth.sso_domains where sso_provider_id = $1 and domain <> all ($2::text[])",
        &[&provider.id, &provider.domains],
    )
    .await?;
    let kept: Vec<String> = match by_id(db, provider.id).await? {
        Some(stored) => stored.domains,
        None => Vec::new(),
    };
    for domain in provider.domains.iter().filter(|domain| !kept.contains(domain)) {
        insert_domain(db, provider.id, domain).await?;
    }
    Ok(())
}

async fn insert_domain(db: &mut Connection, provider_id: Uuid, domain: &str) -> Result<()> {
    db.execute(
        "insert into auth.sso_domains (id, sso_provider_id, domain, created_at, updated_at)
         values ($1, $2, $3, $4, $4)",
        &[&Uuid::new_v4(), &provider_id, &domain, &Timestamp::now()],
    )
    .await
    .map(|_| ())
}

/// Replaces metadata that was fetched again.
pub(crate) async fn renew_metadata(db: &mut Connection, id: Uuid, xml: &str) -> Result<()> {
    let sql = "update auth.saml_providers set metadata_xml = $2, updated_at = $3 where sso_provider_id = $1";
    db.execute(sql, &[&id, &xml, &Timestamp::now()]).await.map(|_| ())
}

/// Removes a provider; its people stay, but cannot sign in with it any more.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.sso_providers where id = $1", &[&id]).await.map(|_| ())
}
