//! `/admin/sso/providers…`: the companies whose word we take.

use axum::extract::{self, Path};
use axum::response::Response;
use database::TransactionOptions;
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::http::{Admin, Body, Context, GoUrl};
use crate::json::{self, Pointer, Timestamp, params};
use crate::providers::check_address;
use crate::saml::{FetchError, IdentityProvider, Mapping, MetadataError, fetch, format};
use crate::store::sso_providers::{self, SsoProvider};

const FORMATS: [&str; 4] =
    [format::PERSISTENT, format::EMAIL_ADDRESS, format::TRANSIENT, format::UNSPECIFIED];

#[derive(Serialize)]
struct Listed {
    items: Vec<SsoProvider>,
}

params! {
    "CreateSSOProviderParams",
    /// What an administrator may say of a provider.
    struct Params {
        r#type: String,
        metadata_url: String,
        metadata_xml: String,
        domains: Option<Vec<String>>,
        attribute_mapping: Mapping,
        name_id_format: String,
        resource_id: Pointer,
        disabled: Option<bool>,
    }
}

impl Params {
    fn check(&self, is_update: bool) -> Result<()> {
        let (url, xml) = (self.metadata_url.as_str(), self.metadata_xml.as_str());
        if !is_update && self.r#type != "saml" {
            return Err(Error::invalid("Only 'saml' supported for SSO provider type"));
        }
        if !url.is_empty() && !xml.is_empty() {
            return Err(Error::invalid("Only one of metadata_xml or metadata_url needs to be set"));
        }
        if !is_update && url.is_empty() && xml.is_empty() {
            return Err(Error::invalid("Either metadata_xml or metadata_url must be set"));
        }
        if !url.is_empty() {
            let parsed =
                GoUrl::parse(url).filter(|parsed| !parsed.scheme().is_empty() || url.starts_with('/'));
            match parsed {
                None => return Err(Error::invalid("metadata_url is not a valid URL")),
                Some(parsed) if parsed.scheme() != "https" => {
                    return Err(Error::invalid("metadata_url is not a HTTPS URL"));
                }
                Some(_) => {}
            }
        }
        if !self.name_id_format.is_empty() && !FORMATS.contains(&self.name_id_format.as_str()) {
            let formats = FORMATS.join(", ");
            return Err(Error::invalid(format!("name_id_format must be unspecified or one of {formats}")));
        }
        Ok(())
    }

    /// The metadata, as it is and as it is understood; none where none was named.
    async fn metadata(&self, state: &State) -> Result<Option<(String, IdentityProvider)>> {
        let xml = match (self.metadata_xml.as_str(), self.metadata_url.as_str()) {
            ("", "") => return Ok(None),
            ("", url) => {
                check_address(state, url).await?;
                fetch(state.strangers(), url).await.map_err(|error| match error {
                    FetchError::Status(..) => {
                        Error::bad_request(ErrorCode::SamlMetadataFetchFailed, error.to_string())
                    }
                    FetchError::Failed(reason) => Error::Unexpected(Cause::Other(reason.into())),
                })?
            }
            (xml, _) => xml.as_bytes().to_vec(),
        };
        let provider = IdentityProvider::parse(&xml).map_err(|error| Error::invalid(error.to_string()))?;
        let xml = String::from_utf8(xml).map_err(|_| Error::invalid(MetadataError::NotUtf8.to_string()))?;
        Ok(Some((xml, provider)))
    }
}

/// The provider of a path: `resource_<resource id>`, or an id.
async fn find(state: &State, name: &str) -> Result<SsoProvider> {
    let missing = || Error::not_found(ErrorCode::SsoProviderNotFound, "SSO Identity Provider not found");
    let mut db = state.database().await?;
    let found = match name.strip_prefix("resource_") {
        Some(id) => sso_providers::by_resource_id(&mut db, id).await,
        None => sso_providers::by_id(&mut db, Uuid::try_parse(name).map_err(|_| missing())?).await,
    };
    found.step("Database error finding SSO Identity Provider")?.ok_or_else(missing)
}

pub(super) async fn list(
    extract::State(state): extract::State<State>,
    request: Context,
    _: Admin,
) -> Result<Response> {
    let (id, prefix) = (request.query.get("resource_id"), request.query.get("resource_id_prefix"));
    let mut db = state.database().await?;
    let mut providers = sso_providers::list(&mut db, id, prefix).await?;
    for provider in &mut providers {
        provider.metadata_xml.clear();
    }
    Ok(json::ok(&Listed { items: providers }))
}

pub(super) async fn create(
    extract::State(state): extract::State<State>,
    _: Admin,
    body: Body,
) -> Result<Response> {
    let params: Params = body.read()?;
    params.check(false)?;
    let (xml, described) = params
        .metadata(&state)
        .await?
        .ok_or_else(|| Error::invalid("Either metadata_xml or metadata_url must be set"))?;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    if sso_providers::by_entity_id(db, &described.entity_id).await?.is_some() {
        let message =
            format!("SAML Identity Provider with this EntityID ({}) already exists", described.entity_id);
        return Err(Error::unprocessable(ErrorCode::SamlIdpAlreadyExists, message));
    }
    let domains = params.domains.unwrap_or_default();
    for domain in &domains {
        if let Some(other) = sso_providers::by_domain(db, domain).await? {
            let message = format!(
                "SSO Domain '{domain}' is already assigned to an SSO identity provider ({})",
                other.id
            );
            return Err(Error::bad_request(ErrorCode::SsoDomainAlreadyExists, message));
        }
    }
    let now = Timestamp::now_stored();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let provider = SsoProvider {
        id: Uuid::new_v4(),
        resource_id: params.resource_id,
        disabled: params.disabled,
        entity_id: described.entity_id,
        metadata_xml: xml,
        metadata_url: some(params.metadata_url),
        mapping: params.attribute_mapping,
        name_id_format: some(params.name_id_format),
        domains,
        created_at: now,
        updated_at: now,
        metadata_at: now,
    };
    sso_providers::insert(db, &provider).await?;
    transaction.commit().await?;
    Ok(json::response(StatusCode::CREATED, &provider))
}

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<Response> {
    Ok(json::ok(&find(&state, &name).await?))
}

pub(super) async fn update(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response> {
    let mut provider = find(&state, &name).await?;
    let params: Params = body.read()?;
    params.check(true)?;
    let now = Timestamp::now_stored();
    let before = provider.clone();
    if let Some((xml, described)) = params.metadata(&state).await? {
        if described.entity_id != provider.entity_id {
            let message = format!(
                "SAML Metadata can be updated only if the EntityID matches for the provider; expected '{}' but got '{}'",
                provider.entity_id, described.entity_id
            );
            return Err(Error::bad_request(ErrorCode::SamlEntityIdMismatch, message));
        }
        provider.metadata_xml = xml;
        provider.metadata_at = now;
        if !params.metadata_url.is_empty() {
            provider.metadata_url = Some(params.metadata_url);
        }
    }
    let mut connection = state.database().await?;
    if let Some(domains) = params.domains {
        for domain in &domains {
            let other = sso_providers::by_domain(&mut connection, domain).await?;
            if let Some(other) = other.filter(|other| other.id != provider.id) {
                let message =
                    format!("SSO domain '{domain}' already assigned to another provider ({})", other.id);
                return Err(Error::bad_request(ErrorCode::SsoDomainAlreadyExists, message));
            }
        }
        provider.domains = domains;
    }
    if params.attribute_mapping.keys.is_some() {
        provider.mapping = params.attribute_mapping;
    }
    // What is not mentioned goes back to the usual format, as in the original.
    provider.name_id_format = Some(params.name_id_format).filter(|format| !format.is_empty());
    if let Some(id) = params.resource_id {
        provider.resource_id = Some(id).filter(|id| !id.is_empty());
    }
    provider.disabled = params.disabled.or(provider.disabled);
    if !is_same(&provider, &before) {
        provider.updated_at = now;
        let conflict = |cause: Cause| {
            let message = "Updating SSO provider failed, likely due to a conflict. Try again?";
            Error::unprocessable(ErrorCode::Conflict, message).because(cause)
        };
        let mut transaction = connection.begin(TransactionOptions::default()).await?;
        let written = sso_providers::update(transaction.connection(), &provider).await;
        written.map_err(|error| conflict(error.into()))?;
        transaction.commit().await.map_err(|error| conflict(error.into()))?;
    }
    Ok(json::ok(&provider))
}

fn is_same(one: &SsoProvider, other: &SsoProvider) -> bool {
    let of = |provider: &SsoProvider| {
        let domains: std::collections::BTreeSet<String> = provider.domains.iter().cloned().collect();
        (
            provider.metadata_xml.clone(),
            provider.metadata_url.clone(),
            provider.metadata_at,
            provider.name_id_format.clone(),
            provider.resource_id.clone(),
            provider.disabled,
            domains,
        )
    };
    of(one) == of(other) && one.mapping == other.mapping
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<Response> {
    let provider = find(&state, &name).await?;
    let mut db = state.database().await?;
    sso_providers::delete(&mut db, provider.id).await?;
    Ok(json::ok(&provider))
}

/// The answer to other methods below a provider, which has to be one.
pub(super) async fn method_not_allowed(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(name): Path<String>,
) -> Error {
    match find(&state, &name).await {
        Ok(_) => Error::MethodNotAllowed,
        Err(error) => error,
    }
}
