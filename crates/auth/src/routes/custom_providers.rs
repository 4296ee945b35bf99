//! `/admin/custom-providers…`: places to sign in at that an administrator describes.

use axum::extract::{self, Path};
use axum::response::{IntoResponse, Response};
use database::TransactionOptions;
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::State;
use crate::config::Secret;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::http::{Admin, Body, Context};
use crate::json::{self, Object, Pointer, Timestamp, params};
use crate::providers::{CUSTOM, Discovery, PROTECTED, RESERVED, check_address};
use crate::store::custom_providers::{self, CustomProvider};

/// Longest name that people see, in characters.
const LONGEST_NAME: usize = 100;
/// Longest client id.
const LONGEST_CLIENT_ID: usize = 512;
/// Longest address.
const LONGEST_URL: usize = 2048;

params! {
    "AdminCustomOAuthProviderParams",
    /// What an administrator may say of a provider.
    struct Params {
        provider_type: String,
        identifier: String,
        name: String,
        client_id: String,
        client_secret: String,
        acceptable_client_ids: Option<Vec<String>>,
        scopes: Option<Vec<String>>,
        pkce_enabled: Option<bool>,
        attribute_mapping: Option<Object>,
        custom_claims_allowlist: Option<Vec<String>>,
        authorization_params: Option<Object>,
        enabled: Option<bool>,
        email_optional: Option<bool>,
        issuer: String,
        discovery_url: Pointer,
        skip_nonce_check: Option<bool>,
        authorization_url: String,
        token_url: String,
        userinfo_url: String,
        jwks_uri: Pointer,
    }
}

#[derive(Serialize)]
struct Listed {
    providers: Vec<CustomProvider>,
}

fn require_enabled(state: &State) -> Result<()> {
    match state.config().custom_oauth.enabled {
        true => Ok(()),
        false => Err(Error::not_found(ErrorCode::FeatureDisabled, "Custom OAuth providers are disabled")),
    }
}

fn require_prefix(identifier: &str) -> Result<()> {
    match identifier.starts_with(CUSTOM) {
        true => Ok(()),
        false => {
            let message = format!("identifier must start with 'custom:' prefix, e.g. 'custom:{identifier}'");
            Err(Error::invalid(message))
        }
    }
}

/// The form the table asks for; the original finds out when the database refuses the row, with a 500.
fn require_form(identifier: &str) -> Result<()> {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = identifier.as_bytes();
    let inner = |byte: &u8| edge(Some(byte)) || matches!(byte, b':' | b'-');
    if (2..=50).contains(&bytes.len()) && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
    {
        return Ok(());
    }
    Err(Error::invalid(
        "identifier must be 2 to 50 lower-case letters, digits, colons and hyphens, and end with a letter or digit",
    ))
}

impl Params {
    /// What is said, whatever there is already.
    fn check(&self) -> Result<()> {
        for (name, value) in self.authorization_params.iter().flatten() {
            if RESERVED.contains(&name.as_str()) {
                return Err(Error::invalid(format!("Cannot override reserved OAuth parameter: {name}")));
            }
            if !value.is_string() {
                return Err(Error::invalid(format!("Authorization parameter {name:?} must be a string")));
            }
        }
        for target in self.attribute_mapping.iter().flat_map(Object::keys) {
            if PROTECTED.contains(&target.as_str()) {
                return Err(Error::invalid(format!("Cannot map to protected system field: {target}")));
            }
        }
        if self.custom_claims_allowlist.iter().flatten().any(|name| name.trim().is_empty()) {
            return Err(Error::invalid("custom_claims_allowlist entries must be non-empty strings"));
        }
        if self.name.chars().count() > LONGEST_NAME {
            return Err(Error::invalid(format!("name must be at most {LONGEST_NAME} characters")));
        }
        if self.client_id.chars().count() > LONGEST_CLIENT_ID {
            return Err(Error::invalid(format!("client_id must be at most {LONGEST_CLIENT_ID} characters")));
        }
        if self.urls().any(|(_, url)| url.chars().count() > LONGEST_URL) {
            return Err(Error::invalid(format!("URLs must be at most {LONGEST_URL} characters")));
        }
        Ok(())
    }

    /// What must be said of a new one.
    fn check_new(&self) -> Result<()> {
        let is_oidc = match self.provider_type.as_str() {
            "oidc" => true,
            "oauth2" => false,
            _ => return Err(Error::invalid("provider_type must be either 'oauth2' or 'oidc'")),
        };
        let required = |name: &str, value: &str| match value {
            "" => Err(Error::invalid(format!("{name} is required"))),
            _ => Ok(()),
        };
        required("identifier", &self.identifier)?;
        require_prefix(&self.identifier)?;
        required("name", &self.name)?;
        required("client_id", &self.client_id)?;
        required("client_secret", &self.client_secret)?;
        if is_oidc {
            return match self.issuer.as_str() {
                "" => Err(Error::invalid("issuer is required for OIDC providers")),
                _ => Ok(()),
            };
        }
        for (name, url) in [
            ("authorization_url", &self.authorization_url),
            ("token_url", &self.token_url),
            ("userinfo_url", &self.userinfo_url),
        ] {
            if url.is_empty() {
                return Err(Error::invalid(format!("{name} is required for OAuth2 providers")));
            }
        }
        Ok(())
    }

    /// Addresses that were named, each with whether it is one of OpenID Connect's.
    fn urls(&self) -> impl Iterator<Item = (bool, &str)> {
        [
            (true, self.issuer.as_str()),
            (true, self.discovery_url.as_deref().unwrap_or_default()),
            (false, self.authorization_url.as_str()),
            (false, self.token_url.as_str()),
            (false, self.userinfo_url.as_str()),
            (false, self.jwks_uri.as_deref().unwrap_or_default()),
        ]
        .into_iter()
        .filter(|(_, url)| !url.is_empty())
    }

    /// Writes into a provider what was said of it, once its addresses were looked at.
    async fn apply(self, state: &State, provider: &mut CustomProvider) -> Result<()> {
        for (is_oidc, url) in self.urls() {
            if is_oidc == provider.is_oidc() {
                check_address(state, url).await?;
            }
        }
        let text = |target: &mut String, value: String| {
            if !value.is_empty() {
                *target = value;
            }
        };
        let some = |target: &mut Option<String>, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                *target = Some(value);
            }
        };
        fn set<T>(target: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *target = value;
            }
        }
        text(&mut provider.name, self.name);
        text(&mut provider.client_id, self.client_id);
        set(&mut provider.acceptable_client_ids, self.acceptable_client_ids);
        set(&mut provider.scopes, self.scopes);
        set(&mut provider.pkce_enabled, self.pkce_enabled);
        set(&mut provider.attribute_mapping, self.attribute_mapping);
        set(&mut provider.custom_claims_allowlist, self.custom_claims_allowlist);
        set(&mut provider.authorization_params, self.authorization_params);
        set(&mut provider.enabled, self.enabled);
        set(&mut provider.email_optional, self.email_optional);
        if provider.is_oidc() {
            let is_elsewhere = !self.issuer.is_empty() || self.discovery_url.is_some();
            some(&mut provider.issuer, Some(self.issuer));
            some(&mut provider.discovery_url, self.discovery_url);
            set(&mut provider.skip_nonce_check, self.skip_nonce_check);
            if !provider.scopes.iter().any(|scope| scope == "openid") {
                provider.scopes.insert(0, "openid".into());
            }
            if is_elsewhere {
                provider.discovery = Some(discover(state, provider).await?);
                provider.discovered_at = Some(Timestamp::now_stored());
            }
        } else {
            some(&mut provider.authorization_url, Some(self.authorization_url));
            some(&mut provider.token_url, Some(self.token_url));
            some(&mut provider.userinfo_url, Some(self.userinfo_url));
            some(&mut provider.jwks_uri, self.jwks_uri);
        }
        if !self.client_secret.is_empty() {
            let sealed = state
                .encryption()
                .seal(provider.id, &self.client_secret)
                .map_err(Error::from)
                .step("Error encrypting custom OAuth provider client secret")?;
            provider.client_secret = Secret::new(sealed);
        }
        Ok(())
    }
}

/// What the issuer says of itself, complete.
async fn discover(state: &State, provider: &CustomProvider) -> Result<Discovery> {
    let url = provider.discovery_url();
    let issuer = provider.issuer.as_deref().unwrap_or_default();
    let found = Discovery::at(state.strangers(), &url, issuer).await.map_err(|error| {
        let message = format!("OIDC discovery from {url:?} failed: {error}");
        Error::invalid(message).because(Cause::Other(error.into()))
    })?;
    let missing: Vec<&str> = [
        ("authorization_endpoint", &found.authorization_endpoint),
        ("token_endpoint", &found.token_endpoint),
        ("jwks_uri", &found.jwks_uri),
    ]
    .into_iter()
    .filter(|(_, value)| value.is_empty())
    .map(|(name, _)| name)
    .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let message = format!("OIDC discovery document is missing required fields: {missing}");
        return Err(Error::invalid(message));
    }
    Ok(found)
}

async fn find(state: &State, identifier: &str) -> Result<CustomProvider> {
    require_enabled(state)?;
    require_prefix(identifier)?;
    let mut db = state.database().await?;
    let found = custom_providers::by_identifier(&mut db, identifier).await;
    found.step("Error retrieving custom OAuth provider")?.ok_or_else(missing)
}

fn missing() -> Error {
    Error::not_found(ErrorCode::CustomProviderNotFound, "Custom OAuth provider not found")
}

pub(super) async fn list(
    extract::State(state): extract::State<State>,
    request: Context,
    _: Admin,
) -> Result<Response> {
    require_enabled(&state)?;
    let wanted = request.query.get("type");
    if !matches!(wanted, "" | "oauth2" | "oidc") {
        return Err(Error::invalid("type must be either 'oauth2' or 'oidc'"));
    }
    let mut db = state.database().await?;
    let providers = custom_providers::list(&mut db, wanted).await;
    Ok(json::ok(&Listed { providers: providers.step("Error retrieving custom OAuth providers")? }))
}

pub(super) async fn create(
    extract::State(state): extract::State<State>,
    _: Admin,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    let params: Params = body.read()?;
    params.check_new()?;
    params.check()?;
    require_form(&params.identifier)?;
    let now = Timestamp::now_stored();
    let mut provider = CustomProvider {
        id: Uuid::new_v4(),
        provider_type: params.provider_type.clone(),
        identifier: params.identifier.clone(),
        name: String::new(),
        client_id: String::new(),
        client_secret: Secret::default(),
        acceptable_client_ids: Vec::new(),
        scopes: Vec::new(),
        pkce_enabled: true,
        attribute_mapping: Object::new(),
        custom_claims_allowlist: Vec::new(),
        authorization_params: Object::new(),
        enabled: true,
        email_optional: false,
        issuer: None,
        discovery_url: None,
        skip_nonce_check: false,
        discovery: None,
        discovered_at: None,
        authorization_url: None,
        token_url: None,
        userinfo_url: None,
        jwks_uri: None,
        created_at: now,
        updated_at: now,
    };
    // Before others are asked, and again below, where nobody can come between.
    require_room(&mut *state.database().await?, &state, &provider).await?;
    params.apply(&state, &mut provider).await?;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    custom_providers::lock(db).await.step("Error creating custom OAuth provider")?;
    require_room(db, &state, &provider).await?;
    custom_providers::put(db, &provider).await.step("Error creating custom OAuth provider")?;
    transaction.commit().await?;
    Ok(json::response(StatusCode::CREATED, &provider))
}

/// Whether there may be one more, and whether the name is free.
async fn require_room(db: &mut database::Connection, state: &State, provider: &CustomProvider) -> Result<()> {
    let most = state.config().custom_oauth.max_providers;
    if most > 0 && custom_providers::count(db).await.step("Error checking provider quota")? >= most {
        let message = "Maximum number of custom OAuth/OIDC providers reached";
        return Err(Error::bad_request(ErrorCode::OverCustomProviderQuota, message));
    }
    let other = custom_providers::by_identifier(db, &provider.identifier).await;
    if other.step("Error checking for existing provider")?.is_some() {
        let message = "A custom OAuth provider with this identifier already exists";
        return Err(Error::bad_request(ErrorCode::Conflict, message));
    }
    Ok(())
}

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(identifier): Path<String>,
) -> Result<Response> {
    Ok(json::ok(&find(&state, &identifier).await?))
}

pub(super) async fn update(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(identifier): Path<String>,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    require_prefix(&identifier)?;
    let params: Params = body.read()?;
    params.check()?;
    let mut provider = find(&state, &identifier).await?;
    params.apply(&state, &mut provider).await?;
    provider.updated_at = Timestamp::now_stored();
    let mut db = state.database().await?;
    custom_providers::put(&mut db, &provider).await.step("Error updating custom OAuth provider")?;
    Ok(json::ok(&provider))
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(identifier): Path<String>,
) -> Result<Response> {
    require_enabled(&state)?;
    require_prefix(&identifier)?;
    let mut db = state.database().await?;
    let gone = custom_providers::delete(&mut db, &identifier).await;
    if !gone.step("Error deleting custom OAuth provider")? {
        return Err(missing());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
