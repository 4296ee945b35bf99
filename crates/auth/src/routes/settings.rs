//! `GET /settings`: which ways of signing in there are.

use axum::extract;
use axum::response::Response;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::config::{Config, External};
use crate::{State, json};

/// The order of the answer. `anonymous_users`, `email` and `phone` are ours, the rest OAuth providers.
const PROVIDERS: [&str; 26] = [
    "anonymous_users",
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "snapchat",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "keycloak",
    "kakao",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "spotify",
    "slack",
    "slack_oidc",
    "workos",
    "twitch",
    "twitter",
    "email",
    "phone",
    "zoom",
];

#[derive(Serialize)]
struct Settings<'a> {
    #[serde(serialize_with = "providers")]
    external: &'a External,
    disable_signup: bool,
    mailer_autoconfirm: bool,
    phone_autoconfirm: bool,
    sms_provider: &'a str,
    saml_enabled: bool,
}

fn providers<S: Serializer>(external: &&External, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(PROVIDERS.len()))?;
    for name in PROVIDERS {
        let enabled = match name {
            "anonymous_users" => external.anonymous_users_enabled,
            "email" => external.email_enabled,
            "phone" => external.phone_enabled,
            provider => external.providers.get(provider).is_some_and(|provider| provider.enabled),
        };
        map.serialize_entry(name, &enabled)?;
    }
    map.end()
}

pub(super) async fn get(extract::State(state): extract::State<State>) -> Response {
    let config: &Config = state.config();
    json::ok(&Settings {
        external: &config.external,
        disable_signup: config.disable_signup,
        mailer_autoconfirm: config.mailer.autoconfirm,
        phone_autoconfirm: config.sms.autoconfirm,
        sms_provider: config.sms.provider.name(),
        saml_enabled: config.saml.enabled,
    })
}
