//! Other places to sign in at: OAuth providers and wallets.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::environment::Variables;
use super::{ConfigError, External};

/// Names of the providers, with the words the environment uses.
const PROVIDERS: [(&str, &str); 25] = [
    ("apple", "APPLE"),
    ("azure", "AZURE"),
    ("bitbucket", "BITBUCKET"),
    ("discord", "DISCORD"),
    ("facebook", "FACEBOOK"),
    ("snapchat", "SNAPCHAT"),
    ("figma", "FIGMA"),
    ("fly", "FLY"),
    ("github", "GITHUB"),
    ("gitlab", "GITLAB"),
    ("google", "GOOGLE"),
    ("keycloak", "KEYCLOAK"),
    ("kakao", "KAKAO"),
    ("linkedin", "LINKEDIN"),
    ("linkedin_oidc", "LINKEDIN_OIDC"),
    ("notion", "NOTION"),
    ("spotify", "SPOTIFY"),
    ("slack", "SLACK"),
    ("slack_oidc", "SLACK_OIDC"),
    ("vercel_marketplace", "VERCEL_MARKETPLACE"),
    ("workos", "WORKOS"),
    ("twitch", "TWITCH"),
    ("twitter", "TWITTER"),
    ("x", "X"),
    ("zoom", "ZOOM"),
];

/// A place to sign in at.
#[derive(Clone, Default)]
pub struct OAuthProvider {
    /// Whether it may be used.
    pub enabled: bool,
    /// Our ids there: the first is used to sign in, all are audiences of ID tokens.
    pub client_ids: Vec<String>,
    /// Our secret there.
    pub secret: String,
    /// Our callback, as it is registered there.
    pub redirect_uri: String,
    /// Another host than the provider's own: an enterprise's, a tenant's.
    pub url: String,
    /// Another issuer than the provider's own, for those that are found by their issuer.
    pub issuer: Option<String>,
    /// ID tokens need no nonce.
    pub skip_nonce_check: bool,
    /// Users need no address.
    pub email_optional: bool,
}

/// Providers that administrators describe at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomOAuth {
    /// Whether there are such.
    pub enabled: bool,
    /// How many there may be; no limit at 0.
    pub max_providers: i64,
    /// The address under which they reach us, if it is not the service's own: `/callback` follows it.
    pub external_url: String,
}

impl Default for CustomOAuth {
    fn default() -> Self {
        Self { enabled: true, max_providers: 0, external_url: String::new() }
    }
}

impl CustomOAuth {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: vars.flag("CUSTOM_OAUTH_ENABLED", true)?,
            max_providers: vars.number("CUSTOM_OAUTH_MAX_PROVIDERS", 0)?,
            external_url: vars.text("CUSTOM_OAUTH_EXTERNAL_URL").unwrap_or_default(),
        })
    }
}

/// Signing in with a wallet.
#[derive(Clone, Copy, Debug)]
pub struct Web3 {
    /// Solana wallets.
    pub solana: Wallet,
    /// Ethereum wallets.
    pub ethereum: Wallet,
    /// Sign-ins of one caller, per five minutes.
    pub rate_limit: f64,
}

/// A kind of wallets.
#[derive(Clone, Copy, Debug)]
pub struct Wallet {
    /// Whether they may be used.
    pub enabled: bool,
    /// How old a signed message may be, and how far ahead of us.
    pub maximum_validity: Duration,
}

impl Default for Web3 {
    fn default() -> Self {
        Self { solana: Wallet::default(), ethereum: Wallet::default(), rate_limit: 30.0 }
    }
}

impl Default for Wallet {
    fn default() -> Self {
        Self { enabled: false, maximum_validity: Duration::from_secs(600) }
    }
}

impl fmt::Debug for OAuthProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthProvider")
            .field("enabled", &self.enabled)
            .field("client_ids", &self.client_ids)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl OAuthProvider {
    /// The configured issuer, else the provider's own.
    pub(crate) fn issuer<'a>(&'a self, own: &'a str) -> &'a str {
        self.issuer.as_deref().unwrap_or(own)
    }
}

pub(super) fn default_issuers() -> Vec<String> {
    vec!["https://appleid.apple.com".into(), "https://accounts.google.com".into()]
}

/// Fills what concerns other places to sign in at.
pub(super) fn read(vars: &Variables<'_>, external: &mut External) -> Result<(), ConfigError> {
    let mut providers = BTreeMap::new();
    for (name, word) in PROVIDERS {
        let text = |part: &str| vars.text(&format!("EXTERNAL_{word}_{part}")).unwrap_or_default();
        let provider = OAuthProvider {
            enabled: vars.flag(&format!("EXTERNAL_{word}_ENABLED"), false)?,
            client_ids: vars.list(&format!("EXTERNAL_{word}_CLIENT_ID")).unwrap_or_default(),
            secret: text("SECRET"),
            redirect_uri: text("REDIRECT_URI"),
            url: text("URL"),
            issuer: None,
            skip_nonce_check: vars.flag(&format!("EXTERNAL_{word}_SKIP_NONCE_CHECK"), false)?,
            email_optional: vars.flag(&format!("EXTERNAL_{word}_EMAIL_OPTIONAL"), false)?,
        };
        if provider.enabled || !provider.client_ids.is_empty() {
            providers.insert(name.to_owned(), provider);
        }
    }
    external.providers = providers;
    external.ios_bundle_id = vars.text("EXTERNAL_IOS_BUNDLE_ID").unwrap_or_default();
    external.redirect_url = vars.text("EXTERNAL_REDIRECTURL").unwrap_or_default();
    if let Some(issuers) = vars.list("EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS") {
        external.allowed_id_token_issuers = issuers;
    }
    external.allow_unverified_email_sign_ins = vars.flag("MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS", false)?;
    external.private_addresses = vars.flag("EXTERNAL_ALLOW_PRIVATE_ADDRESSES", false)?;
    external.http_timeout = vars.frequency("INTERNAL_HTTP_TIMEOUT", external.http_timeout)?;
    let wallet = |name: &str| -> Result<Wallet, ConfigError> {
        let default = Wallet::default();
        Ok(Wallet {
            enabled: vars.flag(&format!("EXTERNAL_WEB3_{name}_ENABLED"), false)?,
            maximum_validity: vars.duration(
                &format!("EXTERNAL_WEB3_{name}_MAXIMUM_VALIDITY_DURATION"),
                default.maximum_validity,
            )?,
        })
    };
    external.web3 = Web3 {
        solana: wallet("SOLANA")?,
        ethereum: wallet("ETHEREUM")?,
        rate_limit: vars.number("RATE_LIMIT_WEB3", 30.0)?,
    };
    Ok(())
}
