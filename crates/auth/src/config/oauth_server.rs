//! This service as the place where people sign in to other applications.

use super::ConfigError;
use super::environment::Variables;

/// OAuth 2.1 for other applications.
#[derive(Clone, Debug)]
pub struct OAuthServer {
    /// Whether there is such a thing.
    pub enabled: bool,
    /// Whether applications may register themselves.
    pub allow_dynamic_registration: bool,
    /// Path of the site's page on which people agree.
    pub authorization_path: String,
    /// The scope of requests that name none.
    pub default_scope: String,
    /// Registrations of one caller, per five minutes.
    pub registration_rate_limit: f64,
}

impl Default for OAuthServer {
    fn default() -> Self {
        Self {
            enabled: false,
            allow_dynamic_registration: false,
            authorization_path: String::new(),
            default_scope: "email".into(),
            registration_rate_limit: 10.0,
        }
    }
}

impl OAuthServer {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        let default = Self::default();
        Ok(Self {
            enabled: vars.flag("OAUTH_SERVER_ENABLED", false)?,
            allow_dynamic_registration: vars.flag("OAUTH_SERVER_ALLOW_DYNAMIC_REGISTRATION", false)?,
            authorization_path: vars.text("OAUTH_SERVER_AUTHORIZATION_PATH").unwrap_or_default(),
            default_scope: vars.text("OAUTH_SERVER_DEFAULT_SCOPE").unwrap_or(default.default_scope),
            registration_rate_limit: vars
                .number("RATE_LIMIT_O_AUTH_DYNAMIC_CLIENT_REGISTER", default.registration_rate_limit)?,
        })
    }
}
