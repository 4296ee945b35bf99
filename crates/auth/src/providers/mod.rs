//! Sign-in with others: one description a provider, one way to talk to them.
//!
//! Most are alike: an authorization page, a token endpoint, one or two calls for the profile. What differs is in
//! [`description`]; those that an administrator describes at run time are [`custom`]; how each tells its profile is in [`profile`]; those that speak OpenID Connect share [`oidc`].

mod address;
mod authorize;
mod custom;
mod description;
mod exchange;
mod id_token;
mod oidc;
mod profile;
mod twitter;

use crate::State;
use crate::config::OAuthProvider;
use crate::http::Form;
use crate::json::Object;

pub(crate) use address::check as check_address;
pub(crate) use custom::{Custom, PREFIX as CUSTOM, PROTECTED, RESERVED};
pub(crate) use description::Description;
pub(crate) use exchange::{Callback, Failure, SignedIn, complete_oauth1};
pub(crate) use id_token::{CLAIMS_OF_TEXT, IdToken, fixed_issuer, is_apple, issuer_named, peek_issuer};
pub(crate) use oidc::{Discovery, is_public_cloud, verify};

/// What a provider tells of somebody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    pub(crate) emails: Vec<Email>,
    /// The claims that become the identity's data; empty ones are left out.
    pub(crate) claims: Object,
}

/// An address somebody has at a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Email {
    pub(crate) address: String,
    pub(crate) verified: bool,
    pub(crate) primary: bool,
}

impl Profile {
    /// The user's id at the provider.
    pub(crate) fn subject(&self) -> &str {
        self.claims.get("sub").and_then(|sub| sub.as_str()).unwrap_or_default()
    }

    /// Chooses the primary address, else the last, and says so in the claims.
    pub(crate) fn settle_email(&mut self) {
        let chosen = self.emails.iter().find(|email| email.primary).or(self.emails.last());
        let verified = chosen.is_some_and(|email| email.verified);
        if let Some(email) = chosen.filter(|email| !email.address.is_empty()) {
            self.claims.insert("email".into(), email.address.as_str().into());
        }
        self.claims.insert("email_verified".into(), verified.into());
        self.claims.entry("phone_verified").or_insert(false.into());
    }
}

/// Why talking to a provider failed. It is logged; callers learn which step it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// The provider cannot be reached, or not in time.
    #[error("no answer from {host}: {reason}")]
    Unreachable { host: String, reason: String },
    /// It answered with an error.
    #[error("{host} answered {status}")]
    Status { host: String, status: u16 },
    /// It answered something else than it should.
    #[error("{0}")]
    Answer(&'static str),
}

impl From<&'static str> for ProviderError {
    fn from(reason: &'static str) -> Self {
        Self::Answer(reason)
    }
}

/// A place to sign in at: one that we know, or one that an administrator described.
pub(crate) enum Place {
    Known(Provider),
    Custom(Box<Custom>),
}

impl Place {
    /// A place by its name in any case. The text says why it cannot be used, in the original's words.
    pub(crate) async fn find(state: &State, name: &str) -> Result<Self, String> {
        let lower = name.to_lowercase();
        match lower.starts_with(CUSTOM) {
            true => Ok(Self::Custom(Box::new(Custom::find(state, &lower).await?))),
            false => Provider::find(state, name).map(Self::Known),
        }
    }

    /// Whether its users need no address.
    pub(crate) fn email_optional(&self) -> bool {
        match self {
            Self::Known(provider) => provider.config.email_optional,
            Self::Custom(custom) => custom.row.email_optional,
        }
    }

    /// Whether it wants to see that who redeems a code is who asked for it.
    pub(crate) fn wants_proof(&self) -> bool {
        match self {
            Self::Known(provider) => provider.description.wants_proof,
            Self::Custom(custom) => custom.row.pkce_enabled,
        }
    }

    /// The page to send somebody to. `extra` are the caller's parameters, which go along.
    pub(crate) async fn authorize_url(
        &self,
        state: &State,
        scopes: &str,
        flow: &str,
        verifier: Option<&str>,
        extra: &Form,
    ) -> Result<String, ProviderError> {
        match self {
            Self::Known(provider) => {
                authorize::authorize_url(state, provider, scopes, flow, verifier, extra).await
            }
            Self::Custom(custom) => Ok(custom.authorize_url(scopes, flow, verifier, extra)),
        }
    }

    /// Exchanges a code and asks who it is.
    pub(crate) async fn complete(&self, state: &State, callback: Callback<'_>) -> Result<SignedIn, Failure> {
        match self {
            Self::Known(provider) => exchange::complete(state, provider, callback).await,
            Self::Custom(custom) => custom.complete(state, callback).await,
        }
    }
}

/// A provider that can be used: described and configured.
pub(crate) struct Provider {
    pub(crate) description: &'static Description,
    pub(crate) config: OAuthProvider,
}

impl Provider {
    /// A provider by its name in any case. The text says why it cannot be used, in the original's words.
    pub(crate) fn find(state: &State, name: &str) -> Result<Self, String> {
        let name = name.to_lowercase();
        let description =
            Description::of(&name).ok_or_else(|| format!("Provider {name} could not be found"))?;
        let config = state.config().external.providers.get(&name).cloned().unwrap_or_default();
        let missing = match () {
            () if !config.enabled => "provider is not enabled",
            () if config.client_ids.is_empty() => "missing OAuth client ID",
            () if config.secret.is_empty() => "missing OAuth secret",
            () if config.redirect_uri.is_empty() => "missing redirect URI",
            () if name == "keycloak" && config.url.is_empty() => {
                "unable to find URL for the Keycloak provider"
            }
            () => return Ok(Self { description, config }),
        };
        Err(missing.into())
    }

    /// The id under which we are known to the provider.
    pub(crate) fn client_id(&self) -> &str {
        self.config.client_ids.first().map_or("", String::as_str)
    }

    /// The configured address, without a slash at its end, or the provider's own.
    fn host(&self, default: &str) -> String {
        match self.config.url.as_str() {
            "" => format!("https://{default}"),
            url => url.strip_suffix('/').unwrap_or(url).to_owned(),
        }
    }

    /// The base of its API.
    fn api(&self) -> String {
        let base = self.host(self.description.api_host);
        // GitHub's own API has a host of its own, an enterprise's lives under a path.
        if self.description.name == "github" && !base.ends_with(self.description.api_host) {
            return format!("{base}/api/v3");
        }
        format!("{base}{}", self.description.api_path)
    }
}
