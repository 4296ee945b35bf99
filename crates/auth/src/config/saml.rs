//! Single sign-on by SAML.

use std::time::Duration;

use super::environment::Variables;
use super::{ConfigError, Secret};

/// Single sign-on by SAML.
#[derive(Clone, Debug)]
pub struct Saml {
    /// Whether there is such a thing.
    pub enabled: bool,
    /// Our RSA key: PKCS #1 in base64, of 2048 bits at least.
    pub private_key: Secret,
    /// Whether providers may encrypt what they say.
    pub allow_encrypted_assertions: bool,
    /// How long people have at their provider's page.
    pub relay_state_validity: Duration,
    /// The address under which providers reach us, if it is not the service's own.
    pub external_url: Option<String>,
    /// Sign-ins of one caller that begin, per five minutes.
    pub sign_in_rate_limit: f64,
    /// Assertions of one caller, per five minutes.
    pub assertion_rate_limit: f64,
}

impl Default for Saml {
    fn default() -> Self {
        Self {
            enabled: false,
            private_key: Secret::default(),
            allow_encrypted_assertions: false,
            relay_state_validity: Duration::from_secs(120),
            external_url: None,
            sign_in_rate_limit: 30.0,
            assertion_rate_limit: 15.0,
        }
    }
}

impl Saml {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        let default = Self::default();
        Ok(Self {
            enabled: vars.flag("SAML_ENABLED", false)?,
            private_key: Secret::new(vars.text("SAML_PRIVATE_KEY").unwrap_or_default()),
            allow_encrypted_assertions: vars.flag("SAML_ALLOW_ENCRYPTED_ASSERTIONS", false)?,
            relay_state_validity: vars
                .frequency("SAML_RELAY_STATE_VALIDITY_PERIOD", default.relay_state_validity)?,
            external_url: vars.text("SAML_EXTERNAL_URL"),
            sign_in_rate_limit: vars.number("RATE_LIMIT_SSO", default.sign_in_rate_limit)?,
            assertion_rate_limit: vars.number("SAML_RATE_LIMIT_ASSERTION", default.assertion_rate_limit)?,
        })
    }
}
