//! OpenID Connect: discovery, key sets, and what makes an ID token good.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokens::{KeySet, Policy};

use super::{IdToken, Provider, ProviderError};
use crate::json::Timestamp;
use crate::outside::Outside;

/// What an issuer says of itself, in the order in which it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Discovery {
    #[serde(default)]
    pub(crate) issuer: String,
    #[serde(default)]
    pub(crate) authorization_endpoint: String,
    #[serde(default)]
    pub(crate) token_endpoint: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) userinfo_endpoint: String,
    #[serde(default)]
    pub(crate) jwks_uri: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    response_types_supported: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grant_types_supported: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subject_types_supported: Vec<String>,
}

impl Discovery {
    /// Asks an issuer. An issuer that calls itself otherwise is refused.
    pub(crate) async fn of(outside: &Outside, issuer: &str) -> Result<Self, ProviderError> {
        Self::at(outside, &usual_url(issuer), issuer).await
    }

    /// The same at another place than the usual one.
    pub(crate) async fn at(outside: &Outside, url: &str, issuer: &str) -> Result<Self, ProviderError> {
        let discovered = Self::fetch(outside, url).await?;
        if discovered.issuer != issuer {
            return Err("the issuer calls itself otherwise".into());
        }
        Ok(discovered)
    }

    async fn fetch(outside: &Outside, url: &str) -> Result<Self, ProviderError> {
        let answer = outside.send(outside.get(url)).await?.json()?;
        Self::deserialize(answer).map_err(|_| ProviderError::Answer("the discovery document is malformed"))
    }
}

fn usual_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// Checks an ID token's signature, times and issuer. Its audience and nonce are the caller's to check. Apple has two names
/// for itself, either of which may stand in a token.
pub(crate) async fn verify(
    outside: &Outside,
    issuer: &str,
    token: &str,
    is_apple: bool,
) -> Result<IdToken, ProviderError> {
    let discovery = match is_apple {
        true => Discovery::fetch(outside, &usual_url(issuer)).await?,
        false => Discovery::of(outside, issuer).await?,
    };
    verify_against(outside, &discovery, token, is_apple).await
}

/// The same for an issuer that has described itself.
pub(super) async fn verify_against(
    outside: &Outside,
    discovery: &Discovery,
    token: &str,
    is_apple: bool,
) -> Result<IdToken, ProviderError> {
    let answer = outside.send(outside.get(&discovery.jwks_uri)).await?;
    let text =
        String::from_utf8(answer.body).map_err(|_| ProviderError::Answer("the key set is malformed"))?;
    let keys =
        KeySet::from_jwks(&text).map_err(|_| ProviderError::Answer("the key set has no usable key"))?;
    // A public key set that holds a shared secret is nothing to verify with.
    if keys.keys().iter().any(|key| key.algorithm().is_symmetric()) {
        return Err("the key set holds a shared secret".into());
    }
    let verified = keys
        .verify_signature(token)
        .map_err(|_| ProviderError::Answer("the signature of the ID token is invalid"))?;
    let now = u64::try_from(Timestamp::now().unix()).unwrap_or_default();
    verified
        .check(&Policy::EXACT, now)
        .map_err(|_| ProviderError::Answer("the ID token has expired or is not valid yet"))?;
    let claims = verified.claims.clone();
    if claims.get("exp").is_none() {
        return Err("the ID token never expires".into());
    }
    let named = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if !is_apple && named != discovery.issuer {
        return Err("the ID token is of another issuer".into());
    }
    Ok(IdToken::new(claims.into_iter().collect()))
}

/// Microsoft's issuers, one a tenant: of the public cloud, or of a tenant with a host of its own.
///
/// The original means to accept a configured tenant only and never does; here a tenant that the configuration names is the
/// only one.
pub(super) fn check_azure(provider: &Provider, issuer: &str) -> Result<(), ProviderError> {
    let base = provider.host(provider.description.auth_host);
    let expected = format!("{base}/v2.0");
    let tenant = base.rsplit('/').next().unwrap_or_default();
    let any_tenant = matches!(tenant, "common" | "organizations" | "consumers");
    let is_microsoft = |issuer: &str| is_public_cloud(issuer) || is_own_host(issuer);
    if !is_microsoft(&expected) {
        // A host of tests or of a national cloud: its own tokens.
        return match issuer.starts_with(&base) {
            true => Ok(()),
            false => Err("the ID token is not of the configured authority".into()),
        };
    }
    if !is_microsoft(issuer)
        || (!any_tenant && issuer.trim_end_matches('/') != expected && names_tenant(tenant))
    {
        return Err("the ID token is of another tenant".into());
    }
    Ok(())
}

/// Whether a path segment is a tenant's id, which its issuer repeats; a domain name is not repeated.
fn names_tenant(segment: &str) -> bool {
    segment.parse::<uuid::Uuid>().is_ok()
}

/// `https://login.microsoftonline.com/<tenant>/v2.0`
pub(crate) fn is_public_cloud(issuer: &str) -> bool {
    tenant_of(issuer.strip_prefix("https://login.microsoftonline.com/"))
}

/// `https://<name>.ciamlogin.com/<tenant>/v2.0`
fn is_own_host(issuer: &str) -> bool {
    let Some((name, rest)) =
        issuer.strip_prefix("https://").and_then(|rest| rest.split_once(".ciamlogin.com/"))
    else {
        return false;
    };
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(valid) && tenant_of(Some(rest))
}

fn tenant_of(rest: Option<&str>) -> bool {
    let rest = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    rest.and_then(|rest| rest.strip_suffix("/v2.0"))
        .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OAuthProvider;
    use crate::providers::Description;

    fn azure(url: &str, issuer: &str) -> bool {
        let description = Description::of("azure").expect("azure is described");
        let provider =
            Provider { description, config: OAuthProvider { url: url.into(), ..OAuthProvider::default() } };
        check_azure(&provider, issuer).is_ok()
    }

    #[test]
    fn a_configured_tenant_is_the_only_one() {
        const TENANT: &str = "https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111";
        const OTHER: &str = "https://login.microsoftonline.com/22222222-2222-4222-8222-222222222222/v2.0";
        assert!(azure("", OTHER));
        assert!(azure(TENANT, &format!("{TENANT}/v2.0")));
        assert!(!azure(TENANT, OTHER));
        assert!(!azure("", "https://evil.example/common/v2.0"));
        assert!(!azure("", "https://login.microsoftonline.com.evil.example/x/v2.0"));
        assert!(azure("", "https://contoso.ciamlogin.com/x/v2.0"));
    }
}
