//! Hooks, captchas, known passwords.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::environment::Variables;
use super::{ConfigError, Secret};

/// Functions of the project's own, called at certain moments.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // the names of the moments
pub struct Hooks {
    pub mfa_verification_attempt: Hook,
    pub password_verification_attempt: Hook,
    pub custom_access_token: Hook,
    pub send_email: Hook,
    pub send_sms: Hook,
    pub before_user_created: Hook,
}

/// One hook.
#[derive(Clone, Debug, Default)]
pub struct Hook {
    /// Whether it is called.
    pub enabled: bool,
    /// As it was configured.
    pub uri: String,
    /// What is called.
    pub target: HookTarget,
    /// Keys that sign calls over HTTP.
    pub secrets: Vec<Secret>,
}

/// What a hook calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HookTarget {
    /// Nothing was configured.
    #[default]
    Nothing,
    /// A function of the database.
    Function {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// A URL.
    Url,
}

impl Hooks {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            mfa_verification_attempt: Hook::from_env(vars, "MFA_VERIFICATION_ATTEMPT")?,
            password_verification_attempt: Hook::from_env(vars, "PASSWORD_VERIFICATION_ATTEMPT")?,
            custom_access_token: Hook::from_env(vars, "CUSTOM_ACCESS_TOKEN")?,
            send_email: Hook::from_env(vars, "SEND_EMAIL")?,
            send_sms: Hook::from_env(vars, "SEND_SMS")?,
            before_user_created: Hook::from_env(vars, "BEFORE_USER_CREATED")?,
        })
    }
}

impl Hook {
    /// A hook that is called. Keys are `v1,whsec_<base64>`.
    pub fn new(uri: &str, secrets: Vec<Secret>) -> Result<Self, String> {
        let target = HookTarget::parse(uri)?;
        if target == HookTarget::Url && !secrets.iter().all(|secret| is_key(secret.expose())) {
            return Err("invalid secret format".into());
        }
        Ok(Self { enabled: true, uri: uri.to_owned(), target, secrets })
    }

    fn from_env(vars: &Variables<'_>, name: &str) -> Result<Self, ConfigError> {
        let enabled = vars.flag(&format!("HOOK_{name}_ENABLED"), false)?;
        let uri = vars.text(&format!("HOOK_{name}_URI")).unwrap_or_default();
        let secrets = vars.text(&format!("HOOK_{name}_SECRETS")).unwrap_or_default();
        let secrets = secrets.split('|').filter(|part| !part.is_empty()).map(Secret::new).collect();
        if uri.is_empty() {
            return Ok(Self { enabled, uri, target: HookTarget::Nothing, secrets });
        }
        let hook = Self::new(&uri, secrets)
            .map_err(|reason| ConfigError::invalid(format!("GOTRUE_HOOK_{name}_URI"), reason))?;
        Ok(Self { enabled, ..hook })
    }
}

impl HookTarget {
    fn parse(uri: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = uri.split_once(':') else {
            return Err("only postgres hooks and HTTPS functions are supported at the moment".into());
        };
        match scheme.to_ascii_lowercase().as_str() {
            "pg-functions" => {
                let path = rest.trim_start_matches("//").split(['?', '#']).next().unwrap_or_default();
                let mut parts = path.split('/').skip(1);
                let (Some(schema), Some(name)) = (parts.next(), parts.next()) else {
                    return Err("URI path does not contain enough parts".into());
                };
                if !is_name(schema) {
                    return Err(format!("invalid schema name: {schema}"));
                }
                if !is_name(name) {
                    return Err(format!("invalid table name: {name}"));
                }
                Ok(Self::Function { schema: schema.to_owned(), name: name.to_owned() })
            }
            "https" => Ok(Self::Url),
            "http" => {
                let host =
                    crate::http::GoUrl::parse(uri).map(|url| url.hostname().to_owned()).unwrap_or_default();
                match host.as_str() {
                    "localhost" | "127.0.0.1" | "::1" | "host.docker.internal" => Ok(Self::Url),
                    _ => Err("only localhost, 127.0.0.1, and ::1 are supported with http".into()),
                }
            }
            _ => Err("only postgres hooks and HTTPS functions are supported at the moment".into()),
        }
    }
}

/// An identifier that needs no quotes, but for its case.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 63
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A symmetric key of Standard Webhooks, or a pair of keys, which no call can use yet.
fn is_key(text: &str) -> bool {
    let base64 = |text: &str, most: usize| {
        (32..=most).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
    };
    if let Some(key) = text.strip_prefix("v1,whsec_") {
        return base64(key, 88) && BASE64_STANDARD.decode(key).is_ok();
    }
    text.strip_prefix("v1a,whpk_")
        .and_then(|keys| keys.split_once(":whsk_"))
        .is_some_and(|(public, private)| base64(public, usize::MAX) && base64(private, usize::MAX))
}

/// The check that a caller is human.
#[derive(Clone, Debug, Default)]
pub struct Captcha {
    /// Whether callers are checked.
    pub enabled: bool,
    /// Who checks.
    pub provider: CaptchaProvider,
    /// Our secret there.
    pub secret: Secret,
    /// Where the provider is; not configurable but by tests.
    pub url: Option<String>,
    /// Longest wait.
    pub timeout: Option<Duration>,
}

/// Who checks captchas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the providers' names
pub enum CaptchaProvider {
    #[default]
    HCaptcha,
    Turnstile,
}

impl Captcha {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        let enabled = vars.flag("SECURITY_CAPTCHA_ENABLED", false)?;
        let provider = match vars.text("SECURITY_CAPTCHA_PROVIDER").as_deref() {
            None | Some("hcaptcha") => CaptchaProvider::HCaptcha,
            Some("turnstile") => CaptchaProvider::Turnstile,
            Some(other) if enabled => {
                let reason = format!("unsupported captcha provider: {other}");
                return Err(ConfigError::invalid("GOTRUE_SECURITY_CAPTCHA_PROVIDER", reason));
            }
            Some(_) => CaptchaProvider::HCaptcha,
        };
        let secret = vars.text("SECURITY_CAPTCHA_SECRET").unwrap_or_default().trim().to_owned();
        if enabled && secret.is_empty() {
            let reason = "captcha provider secret is empty";
            return Err(ConfigError::invalid("GOTRUE_SECURITY_CAPTCHA_SECRET", reason));
        }
        let timeout = vars.optional_duration("SECURITY_CAPTCHA_TIMEOUT")?;
        Ok(Self { enabled, provider, secret: Secret::new(secret), url: None, timeout })
    }
}

/// The check that a password is not in a list of stolen ones.
#[derive(Clone, Debug)]
pub struct Pwned {
    /// Whether new passwords are checked.
    pub enabled: bool,
    /// Refuse passwords when the list cannot be asked.
    pub fail_closed: bool,
    /// How we introduce ourselves.
    pub user_agent: String,
}

impl Default for Pwned {
    fn default() -> Self {
        Self { enabled: false, fail_closed: false, user_agent: "https://github.com/supabase/gotrue".into() }
    }
}

impl Pwned {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enabled: vars.flag("PASSWORD_HIBP_ENABLED", false)?,
            fail_closed: vars.flag("PASSWORD_HIBP_FAIL_CLOSED", false)?,
            user_agent: vars.text("PASSWORD_HIBP_USER_AGENT").unwrap_or(Self::default().user_agent),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hooks_are_functions_or_protected_urls() {
        let target = |uri: &str| Hook::new(uri, Vec::new()).map(|hook| hook.target);
        assert_eq!(
            target("pg-functions://postgres/public/My_hook").unwrap(),
            HookTarget::Function { schema: "public".into(), name: "My_hook".into() }
        );
        assert_eq!(target("https://x.test/hook").unwrap(), HookTarget::Url);
        assert_eq!(target("http://localhost:9/hook").unwrap(), HookTarget::Url);
        assert_eq!(target("http://[::1]:9/hook").unwrap(), HookTarget::Url);
        for (uri, reason) in [
            ("http://x.test/hook", "only localhost, 127.0.0.1, and ::1 are supported with http"),
            ("ftp://x", "only postgres hooks and HTTPS functions are supported at the moment"),
            ("pg-functions://postgres/public", "URI path does not contain enough parts"),
            ("pg-functions://postgres/pub-lic/x", "invalid schema name: pub-lic"),
            ("pg-functions://postgres/public/x\"; drop", "invalid table name: x\"; drop"),
        ] {
            assert_eq!(target(uri).unwrap_err(), reason);
        }
    }

    #[test]
    fn keys_of_webhooks_have_a_form() {
        assert!(is_key("v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="));
        for text in [
            "",
            "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "v1,whsec_short",
            "v1,whsec_*************************************",
        ] {
            assert!(!is_key(text), "{text}");
        }
    }
}
