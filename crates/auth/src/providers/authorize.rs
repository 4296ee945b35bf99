//! The address of a provider's sign-in page.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::description::Source;
use super::{Discovery, Provider, ProviderError, twitter};
use crate::State;
use crate::http::Form;

/// Parameters of ours that a caller's cannot replace: who asks, and where the answer goes.
const OURS: [&str; 4] = ["client_id", "redirect_uri", "response_type", "state"];

/// The page to send somebody to. `extra` are the caller's parameters, which go along.
pub(super) async fn authorize_url(
    state: &State,
    provider: &Provider,
    scopes: &str,
    flow: &str,
    verifier: Option<&str>,
    extra: &Form,
) -> Result<String, ProviderError> {
    let description = provider.description;
    if description.source == Source::OAuth1 {
        return twitter::authenticate_url(state, provider, flow).await;
    }
    let endpoint = match description.source {
        Source::Discovered(issuer) => {
            Discovery::of(state.outside(), provider.config.issuer(issuer)).await?.authorization_endpoint
        }
        _ => format!("{}{}", provider.host(description.auth_host), description.authorize),
    };
    let mut query = Form::default();
    let is_apple = description.name == "apple";
    if is_apple {
        query.set("response_mode", "form_post");
    } else {
        for (name, value) in extra.first_values().filter(|(name, _)| !OURS.contains(name)) {
            let name = if name == "workos_provider" { "provider" } else { name };
            query.set(name, value);
        }
    }
    let mut wanted = description.scopes.to_vec();
    if description.takes_scopes && !scopes.is_empty() {
        wanted.extend(scopes.split(','));
    }
    if !wanted.is_empty() && !query.has("scope") {
        query.set("scope", wanted.join(" "));
    }
    query.set("client_id", provider.client_id());
    query.set("redirect_uri", provider.config.redirect_uri.as_str());
    query.set("response_type", "code");
    query.set("state", flow);
    prove(&mut query, verifier);
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    Ok(format!("{endpoint}{separator}{}", query.encode()))
}

/// Shows a hash of our secret, if there is one.
pub(super) fn prove(query: &mut Form, verifier: Option<&str>) {
    if let Some(verifier) = verifier {
        query.set("code_challenge", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())));
        query.set("code_challenge_method", "S256");
    }
}
