//! What a provider's callback brings: a code for tokens, tokens for a profile.

use serde_json::Value;

use super::description::Source;
use super::{Discovery, IdToken, Profile, Provider, ProviderError, oidc, profile, twitter};
use crate::State;
use crate::http::Form;
use crate::outside::Outside;

/// The parts of a callback that matter.
pub(crate) struct Callback<'a> {
    pub(crate) code: &'a str,
    /// The secret of which the sign-in page was shown a hash.
    pub(crate) verifier: Option<&'a str>,
    /// Apple's: who the user is, the first time only.
    pub(crate) user: &'a str,
}

impl Callback<'_> {
    /// What it brings to the token endpoint.
    pub(super) fn form(&self) -> Form {
        let mut form = Form::default();
        form.set("code", self.code);
        if let Some(verifier) = self.verifier {
            form.set("code_verifier", verifier);
        }
        form
    }
}

/// Somebody who signed in at a provider.
pub(crate) struct SignedIn {
    pub(crate) profile: Profile,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// Which of the two steps failed.
pub(crate) enum Failure {
    Exchange(ProviderError),
    Profile(ProviderError),
}

/// Ourselves, as a provider knows us.
pub(super) struct Ourselves<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    pub(super) redirect_uri: &'a str,
}

/// The answer of a token endpoint.
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) id_token: String,
    pub(super) whole: Value,
}

/// Exchanges a code and asks who it is.
pub(super) async fn complete(
    state: &State,
    provider: &Provider,
    callback: Callback<'_>,
) -> Result<SignedIn, Failure> {
    let tokens = exchange(state, provider, callback.form()).await.map_err(Failure::Exchange)?;
    let mut profile = who(state, provider, &tokens).await.map_err(Failure::Profile)?;
    if provider.description.name == "apple" && !callback.user.is_empty() {
        profile::add_apple_name(&mut profile, callback.user).map_err(Failure::Profile)?;
    }
    Ok(SignedIn { profile, access_token: tokens.access_token, refresh_token: tokens.refresh_token })
}

/// The same for OAuth 1.0a.
pub(crate) async fn complete_oauth1(
    state: &State,
    provider: &Provider,
    token: &str,
    verifier: &str,
) -> Result<SignedIn, Failure> {
    twitter::complete(state, provider, token, verifier).await
}

async fn exchange(state: &State, provider: &Provider, mut form: Form) -> Result<Tokens, ProviderError> {
    let description = provider.description;
    let url = match description.source {
        Source::Discovered(issuer) => {
            Discovery::of(state.outside(), provider.config.issuer(issuer)).await?.token_endpoint
        }
        _ => format!("{}{}", provider.host(description.token_host), description.token),
    };
    if description.name == "apple" {
        form.set("client_id", provider.client_id());
        form.set("secret", provider.config.secret.as_str());
    }
    let ours = Ourselves {
        id: provider.client_id(),
        secret: &provider.config.secret,
        redirect_uri: &provider.config.redirect_uri,
    };
    let in_body = description.secret_in_body.then_some(true);
    redeem(state.outside(), &url, &ours, form, in_body).await
}

/// Exchanges the code of a form. `in_body` says where the secret goes, if that is known.
pub(super) async fn redeem(
    outside: &Outside,
    url: &str,
    ours: &Ourselves<'_>,
    mut form: Form,
    in_body: Option<bool>,
) -> Result<Tokens, ProviderError> {
    form.set("grant_type", "authorization_code");
    form.set("redirect_uri", ours.redirect_uri);
    match in_body.or_else(|| outside.wants_secret_in_body(url)) {
        Some(in_body) => request(outside, ours, url, &form, in_body).await,
        // As the original finds out: first the header, then the body.
        None => match request(outside, ours, url, &form, false).await {
            Ok(tokens) => {
                outside.learn_secret_in_body(url, false);
                Ok(tokens)
            }
            Err(_) => {
                let tokens = request(outside, ours, url, &form, true).await?;
                outside.learn_secret_in_body(url, true);
                Ok(tokens)
            }
        },
    }
}

async fn request(
    outside: &Outside,
    ours: &Ourselves<'_>,
    url: &str,
    form: &Form,
    secret_in_body: bool,
) -> Result<Tokens, ProviderError> {
    let (id, secret) = (ours.id, ours.secret);
    let mut form = form.clone();
    let mut request = outside.post(url).header("content-type", "application/x-www-form-urlencoded");
    if secret_in_body {
        form.set("client_id", id);
        form.set("client_secret", secret);
    } else {
        let (id, secret) = (crate::http::escape_query(id), crate::http::escape_query(secret));
        request = request.basic_auth(id, Some(secret));
    }
    let answer = outside.send(request.body(form.encode())).await?;
    let kind = answer.content_type.split(';').next().unwrap_or_default();
    let whole = match kind {
        "application/x-www-form-urlencoded" | "text/plain" => {
            let form = Form::parse(&String::from_utf8_lossy(&answer.body));
            Value::Object(form.first_values().map(|(name, value)| (name.to_owned(), value.into())).collect())
        }
        _ => answer.json()?,
    };
    let text = |name: &str| whole.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let tokens = Tokens {
        access_token: text("access_token"),
        refresh_token: text("refresh_token"),
        id_token: text("id_token"),
        whole,
    };
    if tokens.access_token.is_empty() {
        return Err("the token endpoint gave no access token".into());
    }
    Ok(tokens)
}

async fn who(state: &State, provider: &Provider, tokens: &Tokens) -> Result<Profile, ProviderError> {
    let description = provider.description;
    match description.source {
        Source::Calls(paths) => {
            let answers = call(state, provider, tokens, paths).await?;
            profile::read(description.name, &provider.api(), &answers)
        }
        Source::TokenAnswer => {
            profile::read(description.name, &provider.api(), std::slice::from_ref(&tokens.whole))
        }
        Source::Discovered(_) if tokens.id_token.is_empty() => match description.name {
            "google" => {
                let url = "https://www.googleapis.com/userinfo/v2/me";
                let request = state.outside().get(url).bearer_auth(&tokens.access_token);
                profile::google_userinfo(&state.outside().send(request).await?.json()?)
            }
            // Apple tells who it is only the first time.
            _ => Ok(Profile::default()),
        },
        Source::IdToken(_) if tokens.id_token.is_empty() => match description.name {
            "linkedin_oidc" => Ok(Profile::default()),
            _ => Err("there is no ID token in the answer".into()),
        },
        Source::IdToken(issuer) | Source::Discovered(issuer) => {
            from_id_token(state, provider, tokens, provider.config.issuer(issuer)).await
        }
        Source::OAuth1 => Err("the provider speaks OAuth 1.0a".into()),
    }
}

async fn from_id_token(
    state: &State,
    provider: &Provider,
    tokens: &Tokens,
    issuer: &str,
) -> Result<Profile, ProviderError> {
    let named = super::peek_issuer(&tokens.id_token).ok_or("the ID token is malformed")?;
    let issuer = match issuer {
        "" => named.as_str(),
        issuer => issuer,
    };
    if provider.description.name == "azure" {
        oidc::check_azure(provider, issuer)?;
    }
    let token: IdToken =
        oidc::verify(state.outside(), issuer, &tokens.id_token, provider.description.name == "apple").await?;
    if !token.is_for(provider.client_id()) {
        return Err("the ID token is for another client".into());
    }
    token.check_access_token(&tokens.access_token)?;
    token.profile()
}

async fn call(
    state: &State,
    provider: &Provider,
    tokens: &Tokens,
    paths: &[&str],
) -> Result<Vec<Value>, ProviderError> {
    let mut answers = Vec::with_capacity(paths.len());
    for path in paths {
        let mut url = format!("{}{path}", provider.api());
        let name = provider.description.name;
        if name == "facebook" {
            let proof = facebook_proof(&provider.config.secret, &tokens.access_token);
            url.push_str(&format!("&appsecret_proof={proof}"));
        }
        let mut request = state.outside().get(&url).bearer_auth(&tokens.access_token);
        match name {
            "notion" => request = request.header("notion-version", "2021-08-16"),
            "twitch" => request = request.header("client-id", provider.client_id()),
            _ => {}
        }
        answers.push(state.outside().send(request).await?.json()?);
    }
    Ok(answers)
}

fn facebook_proof(secret: &str, token: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, token.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
