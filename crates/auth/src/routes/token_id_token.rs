//! `POST /token?grant_type=id_token`: a provider's ID token for tokens of ours.

use axum::response::Response;
use database::TransactionOptions;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::State;
use crate::config::OAuthProvider;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::external::{Admitted, admit, ask_before_creating, link_to};
use crate::http::{Body, Caller, RequestContext, request_audience};
use crate::json::{self, params};
use crate::providers::{self, CUSTOM, Custom, IdToken};
use crate::session::{Method, sign_in};
use crate::user::User;

params! {
    "IdTokenGrantParams",
    /// What the grant accepts.
    struct Params {
        id_token: String,
        access_token: String,
        nonce: String,
        provider: String,
        client_id: String,
        issuer: String,
        link_identity: bool,
    }
}

/// Whose token it is said to be.
struct Source {
    /// What becomes the identity's provider.
    name: String,
    issuer: String,
    /// For whom the token may be.
    client_ids: Vec<String>,
    config: OAuthProvider,
    /// The provider itself, where an administrator described it.
    custom: Option<Custom>,
}

fn refused(description: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::OAuth { error: "invalid request", description: description.into() }
}

pub(super) async fn grant(state: &State, request: &RequestContext, body: &Body) -> Result<Response> {
    let params: Params = body.read()?;
    if params.id_token.is_empty() {
        return Err(refused("id_token required"));
    }
    if params.provider.is_empty() && (params.client_id.is_empty() || params.issuer.is_empty()) {
        return Err(refused("provider or client_id and issuer required"));
    }
    let target = match params.link_identity {
        true => Some(linking_user(state, request).await?),
        false => None,
    };
    let source = find(state, &params).await?;
    if !source.config.enabled {
        let message = format!("Provider (issuer {:?}) is not enabled", source.issuer);
        return Err(Error::bad_request(ErrorCode::ProviderDisabled, message));
    }
    let bad = |error: providers::ProviderError| {
        tracing::info!(request_id = %request.id, %error, "an ID token was refused");
        refused("Bad ID token")
    };
    let is_apple = source.name == "apple";
    let issuer = source.config.issuer(&source.issuer);
    let token = match &source.custom {
        Some(custom) => custom.verify(state.strangers(), &params.id_token).await,
        None => providers::verify(state.outside(), issuer, &params.id_token, is_apple).await,
    };
    let token = token.map_err(bad)?;
    token.check_access_token(&params.access_token).map_err(bad)?;
    let mut profile = token.profile().map_err(bad)?;
    profile.settle_email();
    check(&source, &token, &params.nonce)?;

    let aud = request_audience(request, state);
    if target.is_none() {
        ask_before_creating(state, request, &profile, &source.name, &aud).await?;
    }
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let admitted = match target {
        Some(user) => link_to(db, state, request, &profile, &source.name, user).await,
        None => admit(db, state, request, &profile, &source.name, source.config.email_optional, &aud).await,
    };
    let user = match admitted.map_err(plain)? {
        Admitted::User(user) => *user,
        Admitted::NotYet(error) => {
            transaction.commit().await?;
            return Err(error);
        }
    };
    let tokens = sign_in(db, state, request, user, Method::OAuth).await.map_err(plain)?;
    transaction.commit().await?;
    Ok(json::ok(&tokens))
}

/// Failures nobody foresaw are OAuth errors here, as in the original.
fn plain(error: Error) -> Error {
    match error {
        Error::Unexpected(cause) => {
            tracing::error!(%cause, "the id_token grant failed");
            Error::OAuth { error: "server_error", description: "Internal Server Error".into() }
        }
        other => other,
    }
}

async fn linking_user(state: &State, request: &RequestContext) -> Result<User> {
    if request.header("authorization").is_empty() {
        return Err(refused("Linking requires a valid user access token in Authorization"));
    }
    Ok(Caller::of(request, state).await?.user)
}

async fn find(state: &State, params: &Params) -> Result<Source> {
    let config = state.config();
    let external = &config.external;
    let Some(name) = providers::issuer_named(config, &params.provider, &params.issuer) else {
        if params.provider.starts_with(CUSTOM) {
            return find_custom(state, &params.provider).await;
        }
        tracing::warn!(
            issuer = params.issuer,
            "the id_token grant with an issuer and a client id is deprecated"
        );
        if !external.allowed_id_token_issuers.contains(&params.issuer) {
            return Err(Error::invalid(format!("Custom OIDC provider {:?} not allowed", params.provider)));
        }
        return Ok(Source {
            name: params.issuer.clone(),
            issuer: params.issuer.clone(),
            client_ids: vec![params.client_id.clone()],
            config: OAuthProvider { enabled: true, ..OAuthProvider::default() },
            custom: None,
        });
    };
    let mut own = external.providers.get(name).cloned().unwrap_or_default();
    let mut client_ids = own.client_ids.clone();
    let named = || providers::peek_issuer(&params.id_token);
    let issuer = match name {
        "apple" => {
            client_ids.push(external.ios_bundle_id.clone());
            match params.issuer.as_str() {
                "" => {
                    let found = named().ok_or_else(|| {
                        Error::invalid("Unable to detect issuer in ID token for Apple provider")
                    })?;
                    if !providers::is_apple(&found) && own.issuer.is_none() {
                        return Err(Error::invalid(
                            "Detected ID token issuer is not an Apple ID token issuer",
                        ));
                    }
                    found
                }
                issuer => issuer.to_owned(),
            }
        }
        "azure" if providers::is_public_cloud(&params.issuer) => params.issuer.clone(),
        "azure" => {
            let found = named()
                .ok_or_else(|| Error::invalid("Unable to detect issuer in ID token for Azure provider"))?;
            if !providers::is_public_cloud(&found) && own.issuer.is_none() {
                return Err(refused("Bad ID token").because(Cause::Other("not Microsoft's issuer".into())));
            }
            found
        }
        "facebook" => {
            // Limited Login has no nonce that could be compared.
            own.skip_nonce_check = true;
            providers::fixed_issuer(name).to_owned()
        }
        "keycloak" => own.url.clone(),
        name => providers::fixed_issuer(name).to_owned(),
    };
    Ok(Source { name: name.to_owned(), issuer, client_ids, config: own, custom: None })
}

/// A provider that an administrator described.
async fn find_custom(state: &State, name: &str) -> Result<Source> {
    if !state.config().custom_oauth.enabled {
        return Err(Error::invalid("Custom OAuth providers are disabled"));
    }
    let row = Custom::row(state, name).await.step("Error finding custom provider")?;
    let row = row.ok_or_else(|| Error::invalid(format!("Custom provider {name:?} not found")))?;
    if !row.enabled {
        let message = format!("Custom provider {name:?} is disabled");
        return Err(Error::bad_request(ErrorCode::ProviderDisabled, message));
    }
    if !row.is_oidc() {
        return Err(Error::invalid(format!("Provider {name:?} is not an OIDC provider")));
    }
    let config = OAuthProvider {
        enabled: true,
        skip_nonce_check: row.skip_nonce_check,
        email_optional: row.email_optional,
        ..OAuthProvider::default()
    };
    let issuer = row.issuer.clone().unwrap_or_default();
    let custom = Custom::of(state, row).await.map_err(|error| {
        tracing::warn!(provider = name, %error, "a custom provider cannot be used");
        refused("Bad ID token")
    })?;
    let client_ids = custom.client_ids().map(str::to_owned).collect();
    Ok(Source { name: name.to_owned(), issuer, client_ids, config, custom: Some(custom) })
}

fn check(source: &Source, token: &IdToken, nonce: &str) -> Result<()> {
    if token.subject().is_empty() {
        return Err(refused("Missing sub claim in id_token"));
    }
    if !source.client_ids.iter().any(|id| token.is_for(id)) {
        let audience = token.audience().join(" ");
        return Err(refused(format!("Unacceptable audience in id_token: [{audience}]")));
    }
    if source.config.skip_nonce_check {
        return Ok(());
    }
    let stated = token.nonce();
    if stated.is_empty() != nonce.is_empty() {
        return Err(refused("Passed nonce and nonce in id_token should either both exist or not."));
    }
    let hash: String = Sha256::digest(nonce.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    if !nonce.is_empty() && !bool::from(hash.as_bytes().ct_eq(stated.as_bytes())) {
        return Err(Error::OAuth { error: "invalid nonce", description: "Nonces mismatch".into() });
    }
    Ok(())
}
