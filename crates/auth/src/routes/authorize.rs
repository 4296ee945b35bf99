//! `GET /authorize`: the way to somebody else's sign-in page.

use crate::State;
use crate::error::{Error, Result};
use crate::http::{Caller, Context};

use axum::extract;
use axum::response::Response;

/// Every provider the original knows.
const PROVIDERS: [&str; 24] = [
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "kakao",
    "keycloak",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "slack",
    "slack_oidc",
    "snapchat",
    "spotify",
    "twitch",
    "twitter",
    "vercel_marketplace",
    "workos",
    "zoom",
];

pub(super) async fn get(request: Context) -> Result<Response> {
    Err(refuse(request.query.get("provider")))
}

/// `GET /user/identities/authorize`: the same, to add an identity to a user.
pub(super) async fn link(
    extract::State(state): extract::State<State>,
    request: Context,
    _: Caller,
) -> Result<Response> {
    super::identity_delete::require_linking(&state)?;
    Err(refuse(request.query.get("provider")))
}

/// No provider is enabled in this build, whatever the configuration says: `State::new` warns of it.
fn refuse(name: &str) -> Error {
    let name = name.to_lowercase();
    let reason = if PROVIDERS.contains(&name.as_str()) {
        "provider is not enabled".to_owned()
    } else {
        format!("Provider {name} could not be found")
    };
    Error::invalid(format!("Unsupported provider: {reason}"))
}
