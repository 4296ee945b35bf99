//! OAuth 1.0a (RFC 5849), which only Twitter's older sign-in speaks: requests signed with HMAC-SHA1.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::exchange::{Failure, SignedIn};
use super::{Provider, ProviderError, profile};
use crate::State;
use crate::http::Form;
use crate::json::Timestamp;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A token with its secret.
#[derive(Clone, Default)]
struct Pair {
    token: String,
    secret: String,
}

impl Pair {
    fn read(body: &[u8]) -> Result<Self, ProviderError> {
        let form = Form::parse(&String::from_utf8_lossy(body));
        if form.get("oauth_token").is_empty() {
            return Err("there is no token in the answer".into());
        }
        Ok(Self { token: form.get("oauth_token").into(), secret: form.get("oauth_token_secret").into() })
    }
}

/// The `Authorization` header of a request. `oauth` are further parameters of the protocol, `query` the request's own.
fn authorization(
    provider: &Provider,
    method: &str,
    url: &str,
    pair: &Pair,
    oauth: &[(&str, &str)],
    query: &[(&str, &str)],
    (nonce, time): (&str, i64),
) -> String {
    let time = time.to_string();
    let mut own = vec![
        ("oauth_consumer_key", provider.client_id()),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", &time),
        ("oauth_version", "1.0"),
    ];
    if !pair.token.is_empty() {
        own.push(("oauth_token", &pair.token));
    }
    own.extend_from_slice(oauth);
    let mut signed: Vec<(String, String)> =
        own.iter().chain(query).map(|(name, value)| (encode(name), encode(value))).collect();
    signed.sort();
    let parameters: Vec<String> = signed.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let base = format!("{method}&{}&{}", encode(url), encode(&parameters.join("&")));
    let key = format!("{}&{}", encode(&provider.config.secret), encode(&pair.secret));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, base.as_bytes()));
    own.push(("oauth_signature", &signature));
    own.sort_unstable();
    let fields: Vec<String> =
        own.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
    format!("OAuth {}", fields.join(","))
}

fn now() -> (String, i64) {
    (uuid::Uuid::new_v4().simple().to_string(), Timestamp::now().unix())
}

/// Asks for a request token, whose callback carries our state, and returns the sign-in page of it.
pub(super) async fn authenticate_url(
    state: &State,
    provider: &Provider,
    flow: &str,
) -> Result<String, ProviderError> {
    let host = provider.host(provider.description.auth_host);
    let url = format!("{host}/oauth/request_token");
    let callback = format!("{}?state={flow}", provider.config.redirect_uri);
    let (nonce, time) = now();
    let oauth = [("oauth_callback", callback.as_str())];
    let header = authorization(provider, "POST", &url, &Pair::default(), &oauth, &[], (&nonce, time));
    let outgoing = state.outside();
    let answer = outgoing.send(outgoing.post(&url).header("authorization", header)).await?;
    let token = Pair::read(&answer.body)?.token;
    Ok(format!("{host}{}?oauth_token={}", provider.description.authorize, crate::http::escape_query(&token)))
}

/// Exchanges a verifier and asks who it is.
pub(super) async fn complete(
    state: &State,
    provider: &Provider,
    token: &str,
    verifier: &str,
) -> Result<SignedIn, Failure> {
    let pair = access_token(state, provider, token, verifier).await.map_err(Failure::Exchange)?;
    let profile = async {
        const QUERY: [(&str, &str); 3] =
            [("include_email", "true"), ("include_entities", "false"), ("skip_status", "true")];
        let url = format!("{}/1.1/account/verify_credentials.json", provider.api());
        let (nonce, time) = now();
        let header = authorization(provider, "GET", &url, &pair, &[], &QUERY, (&nonce, time));
        let query: Vec<String> = QUERY.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let outgoing = state.outside();
        let request = outgoing.get(&format!("{url}?{}", query.join("&"))).header("authorization", header);
        let user = outgoing.send(request).await?.json()?;
        profile::read("twitter", &provider.api(), &[user])
    };
    let profile = profile.await.map_err(Failure::Profile)?;
    Ok(SignedIn { profile, access_token: pair.token, refresh_token: String::new() })
}

async fn access_token(
    state: &State,
    provider: &Provider,
    token: &str,
    verifier: &str,
) -> Result<Pair, ProviderError> {
    let url = format!("{}{}", provider.host(provider.description.token_host), provider.description.token);
    let (nonce, time) = now();
    let request_token = Pair { token: token.to_owned(), secret: String::new() };
    let oauth = [("oauth_verifier", verifier)];
    let header = authorization(provider, "POST", &url, &request_token, &oauth, &[], (&nonce, time));
    let outgoing = state.outside();
    Pair::read(&outgoing.send(outgoing.post(&url).header("authorization", header)).await?.body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::OAuthProvider;
    use crate::providers::Description;

    #[test]
    fn the_example_of_twitters_documentation_is_signed_the_same() {
        let provider = Provider {
            description: Description::of("twitter").unwrap(),
            config: OAuthProvider {
                client_ids: vec!["xvz1evFS4wEEPTGEFPHBog".into()],
                secret: "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw".into(),
                ..OAuthProvider::default()
            },
        };
        let pair = Pair {
            token: "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb".into(),
            secret: "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE".into(),
        };
        let query =
            [("status", "Hello Ladies + Gentlemen, a signed OAuth request!"), ("include_entities", "true")];
        let header = authorization(
            &provider,
            "POST",
            "https://api.twitter.com/1.1/statuses/update.json",
            &pair,
            &[],
            &query,
            ("kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg", 1_318_622_958),
        );
        assert!(header.contains("oauth_signature=\"hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D\""), "{header}");
    }
}
