//! Providers that an administrator described at run time: `custom:<name>`, plain OAuth 2.0 or OpenID Connect.
//!
//! Every address of theirs is somebody's input, so all of them are asked through the guarded client.

use serde_json::Value;

use super::authorize::prove;
use super::exchange::{Callback, Failure, Ourselves, SignedIn, Tokens, redeem};
use super::id_token::{CLAIMS_OF_TEXT, known_claims};
use super::{Discovery, IdToken, Profile, ProviderError, oidc, profile};
use crate::State;
use crate::config::Secret;
use crate::http::Form;
use crate::json::{Object, Timestamp};
use crate::outside::Outside;
use crate::store::custom_providers::{self, CustomProvider};

/// What the names of all of them begin with.
pub(crate) const PREFIX: &str = "custom:";

/// Parameters of a sign-in page that are ours alone to set.
pub(crate) const RESERVED: [&str; 9] = [
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "state",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "nonce",
];

/// Claims that no mapping may set: they decide who somebody is to us.
pub(crate) const PROTECTED: [&str; 13] = [
    "id",
    "aud",
    "role",
    "app_metadata",
    "created_at",
    "updated_at",
    "confirmed_at",
    "email_confirmed_at",
    "phone_confirmed_at",
    "email_verified",
    "phone_verified",
    "banned_until",
    "is_super_admin",
];

/// Seconds for which a discovery document is used without asking again.
const FRESH: i64 = 3600;

/// A custom provider that can be used.
pub(crate) struct Custom {
    pub(crate) row: CustomProvider,
    secret: Secret,
    redirect_uri: String,
    /// What the issuer says of itself; none for plain OAuth 2.0.
    discovery: Option<Discovery>,
}

impl Custom {
    /// A provider by its whole name. The text says why it cannot be used, in the original's words.
    pub(super) async fn find(state: &State, name: &str) -> Result<Self, String> {
        let config = state.config();
        if !config.custom_oauth.enabled {
            return Err("custom OAuth providers are disabled".into());
        }
        let row = Self::row(state, name).await.map_err(|error| {
            tracing::error!(provider = name, %error, "a custom provider cannot be read");
            "error finding custom provider".to_owned()
        })?;
        let row = row.ok_or_else(|| format!("custom provider {name} not found"))?;
        if !row.enabled {
            return Err(format!("custom provider {name} is disabled"));
        }
        Self::of(state, row).await.map_err(|error| format!("error creating OIDC provider: {error}"))
    }

    /// What is stored of a provider.
    pub(crate) async fn row(state: &State, name: &str) -> crate::error::Result<Option<CustomProvider>> {
        let mut db = state.database().await?;
        Ok(custom_providers::by_identifier(&mut db, name).await?)
    }

    /// A provider of a row.
    pub(crate) async fn of(state: &State, row: CustomProvider) -> Result<Self, ProviderError> {
        let secret = state.encryption().open(row.id, row.client_secret.expose()).map_err(|error| {
            tracing::error!(provider = row.identifier, %error, "the secret of a custom provider cannot be read");
            ProviderError::Answer("its client secret cannot be read")
        })?;
        let config = state.config();
        let own = match config.custom_oauth.external_url.as_str() {
            "" => &config.external_url,
            url => url,
        };
        let discovery = match row.is_oidc() {
            true => Some(discover(state, &row).await?),
            false => None,
        };
        Ok(Self {
            secret: Secret::new(secret.text),
            redirect_uri: format!("{}/callback", own.trim_end_matches('/')),
            discovery,
            row,
        })
    }

    /// The address of its sign-in page. `scopes`, separated by spaces, replace the provider's own; `verifier` is the secret of
    /// which the page is shown a hash.
    pub(super) fn authorize_url(
        &self,
        scopes: &str,
        flow: &str,
        verifier: Option<&str>,
        extra: &Form,
    ) -> String {
        let mut query = Form::default();
        for (name, value) in extra.first_values() {
            let lower = name.to_ascii_lowercase();
            if lower == "nonce" || !RESERVED.contains(&lower.as_str()) {
                query.set(name, value);
            }
        }
        for (name, value) in &self.row.authorization_params {
            if let Some(value) = value.as_str() {
                query.set(name, value);
            }
        }
        let mut wanted: Vec<&str> = scopes.split_whitespace().collect();
        if wanted.is_empty() {
            wanted.extend(self.row.scopes.iter().map(String::as_str));
        }
        if self.row.is_oidc() && !wanted.contains(&"openid") {
            wanted.insert(0, "openid");
        }
        if !wanted.is_empty() && !query.has("scope") {
            query.set("scope", wanted.join(" "));
        }
        query.set("client_id", self.row.client_id.as_str());
        query.set("redirect_uri", self.redirect_uri.as_str());
        query.set("response_type", "code");
        query.set("state", flow);
        prove(&mut query, verifier);
        let endpoint = self.endpoint(|own| &own.authorization_endpoint, &self.row.authorization_url);
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{separator}{}", query.encode())
    }

    fn endpoint<'a>(
        &'a self,
        discovered: impl Fn(&'a Discovery) -> &'a String,
        described: &'a Option<String>,
    ) -> &'a str {
        match &self.discovery {
            Some(discovery) => discovered(discovery),
            None => described.as_deref().unwrap_or_default(),
        }
    }

    /// Exchanges a code and asks who it is.
    pub(super) async fn complete(&self, state: &State, callback: Callback<'_>) -> Result<SignedIn, Failure> {
        let strangers = state.strangers();
        let ours = Ourselves {
            id: &self.row.client_id,
            secret: self.secret.expose(),
            redirect_uri: &self.redirect_uri,
        };
        let endpoint = self.endpoint(|own| &own.token_endpoint, &self.row.token_url);
        let tokens =
            redeem(strangers, endpoint, &ours, callback.form(), None).await.map_err(Failure::Exchange)?;
        let profile = self.who(strangers, &tokens).await.map_err(Failure::Profile)?;
        Ok(SignedIn { profile, access_token: tokens.access_token, refresh_token: tokens.refresh_token })
    }

    async fn who(&self, strangers: &Outside, tokens: &Tokens) -> Result<Profile, ProviderError> {
        let (mut told, raw, is_token) = match &self.discovery {
            Some(_) if !tokens.id_token.is_empty() => {
                let token = self.verify(strangers, &tokens.id_token).await?;
                if !self.client_ids().any(|id| token.is_for(id)) {
                    return Err("the ID token is for another client".into());
                }
                (token.profile()?, token.into_claims(), true)
            }
            _ => {
                let endpoint = self.endpoint(|own| &own.userinfo_endpoint, &self.row.userinfo_url);
                if endpoint.is_empty() {
                    return Err("there is neither an ID token nor an address for a profile".into());
                }
                let request = strangers.get(endpoint).bearer_auth(&tokens.access_token);
                let Value::Object(raw) = strangers.send(request).await?.json()? else {
                    return Err("the profile is not an object".into());
                };
                let told = Profile { emails: Vec::new(), claims: known_claims(&raw) };
                (told, raw, false)
            }
        };
        keep(&self.row.custom_claims_allowlist, &raw, &mut told.claims);
        map(&self.row.attribute_mapping, &raw, &mut told.claims);
        if !is_token {
            let address = told.claims.get("email").and_then(Value::as_str).unwrap_or_default();
            let verified = raw.get("email_verified").is_some_and(profile::is_true);
            told.emails = profile::email(address, verified);
        }
        // Whoever has no id would share one identity with everybody else who has none.
        if told.subject().is_empty() {
            return Err("the provider does not say who it is: there is no claim \"sub\"".into());
        }
        Ok(told)
    }

    /// Checks an ID token of this provider's issuer.
    pub(crate) async fn verify(&self, strangers: &Outside, token: &str) -> Result<IdToken, ProviderError> {
        let discovery = self.discovery.as_ref().ok_or("the provider has no issuer")?;
        oidc::verify_against(strangers, discovery, token, false).await
    }

    /// For whom its ID tokens may be.
    pub(crate) fn client_ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.row.client_id).chain(&self.row.acceptable_client_ids).map(String::as_str)
    }
}

/// What the issuer of a row says of itself; kept in the row for a while.
async fn discover(state: &State, row: &CustomProvider) -> Result<Discovery, ProviderError> {
    let now = Timestamp::now();
    if let Some(known) = &row.discovery
        && row.discovered_at.is_some_and(|at| now.unix() - at.unix() < FRESH)
    {
        return Ok(known.clone());
    }
    let issuer = row.issuer.as_deref().ok_or("the provider has no issuer")?;
    let found = Discovery::at(state.strangers(), &row.discovery_url(), issuer).await?;
    let stored = async {
        let mut db = state.database().await?;
        Ok::<_, crate::error::Error>(custom_providers::keep_discovery(&mut db, row.id, &found, now).await?)
    };
    if let Err(error) = stored.await {
        tracing::warn!(provider = row.identifier, %error, "a discovery document could not be kept");
    }
    Ok(found)
}

/// Copies the listed claims as they came.
fn keep(names: &[String], raw: &Object, claims: &mut Object) {
    let kept: Vec<_> = names.iter().filter_map(|name| Some((name.clone(), raw.get(name)?.clone()))).collect();
    if kept.is_empty() {
        return;
    }
    let custom = claims.entry("custom_claims").or_insert_with(|| Object::new().into());
    if let Value::Object(custom) = custom {
        custom.extend(kept);
    }
}

/// Sets claims as a mapping says: a text names where a value comes from, anything else is the value itself. The original knows
/// only standard claims as sources; here any claim is one, so that a provider whose users have an `id` can be used.
fn map(mapping: &Object, raw: &Object, claims: &mut Object) {
    let before = claims.clone();
    for (target, source) in mapping {
        if PROTECTED.contains(&target.as_str()) {
            continue;
        }
        let value = match source {
            Value::String(name) => before.get(name).or_else(|| raw.get(name)),
            literal => Some(literal),
        };
        let is_text = CLAIMS_OF_TEXT.contains(&target.as_str()) || target == "user_name";
        let fitting = match value {
            Some(Value::String(text)) if is_text => Value::from(text.as_str()),
            Some(Value::Number(number)) if is_text => number.to_string().into(),
            Some(Value::Object(custom)) if target == "custom_claims" => custom.clone().into(),
            _ => continue,
        };
        claims.insert(target.clone(), fitting);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_mapping_fills_claims_and_never_protected_ones() {
        let raw =
            object(json!({"id": 7, "mail": "a@x.test", "sub": "", "groups": ["a"], "role": "service_role"}));
        let mut claims = known_claims(&raw);
        let mapping = object(json!({
            "sub": "id", "email": "mail", "name": "nothing", "locale": true, "gender": 5, "nickname": "groups",
            "email_verified": "mail", "role": "role", "aud": "mail", "custom_claims": {"tier": 1}, "made_up": "mail"
        }));
        map(&mapping, &raw, &mut claims);
        assert_eq!(
            Value::from(claims),
            json!({
                "sub": "7", "email": "a@x.test", "gender": "5", "email_verified": false, "phone_verified": false,
                "custom_claims": {"tier": 1}
            })
        );
    }

    #[test]
    fn only_listed_claims_are_kept() {
        let raw = object(json!({"groups": ["a"], "secret": 1, "empty": null}));
        let mut claims = Object::new();
        keep(&["groups".into(), "empty".into(), "absent".into()], &raw, &mut claims);
        assert_eq!(Value::from(claims), json!({"custom_claims": {"groups": ["a"], "empty": null}}));
        let mut claims = Object::new();
        keep(&[], &raw, &mut claims);
        assert!(claims.is_empty());
    }
}
