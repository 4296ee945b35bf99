//! What the service can be told: one plain struct with the original's defaults.
//!
//! `Config` knows nothing of files or flags. [`Environment::from_env`](crate::Environment) fills it
//! from `GOTRUE_*` names when the service runs alone; the composition root fills it from the
//! project's configuration otherwise.

mod duration;
mod environment;
mod factors;
mod guards;
mod oauth_server;
mod problem;
mod providers;
mod rate;
mod saml;
mod secret;
mod sending;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::addresses::AddressChecks;
use crate::encryption::Encryption;

pub(crate) use duration::parse_signed as parse_signed_duration;
pub use duration::{format_go_duration, parse_go_duration};
pub use environment::{Environment, Reloading, Signing};
pub use factors::{FactorSwitch, Mfa, Passkey, PhoneFactor, WebAuthn};
pub use guards::{Captcha, CaptchaProvider, Hook, HookTarget, Hooks, Pwned};
pub use oauth_server::OAuthServer;
pub use problem::ConfigError;
pub use providers::{CustomOAuth, OAuthProvider, Wallet, Web3};
pub use rate::Rate;
pub use saml::Saml;
pub use secret::Secret;
pub use sending::{MessageBird, SmsProvider, Smtp, TextLocal, Twilio, Vonage};

/// What a text message says unless configured otherwise.
const DEFAULT_TEXT: &str = "Your code is {{ .Code }}";

/// Everything the routes read. Names follow GoTrue's groups.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address under which clients reach this service; links in mails start with it.
    pub external_url: String,
    /// Where people are sent when no other allowed redirect was asked for.
    pub site_url: String,
    /// Globs of further redirect targets.
    pub uri_allow_list: Vec<String>,
    /// No new users at all.
    pub disable_signup: bool,
    /// Name of a request header whose value is the request id; a fresh UUID without it.
    pub request_id_header: Option<String>,
    /// How long a request may take before it is answered with 504. Zero: no limit.
    pub max_request_duration: Duration,
    /// Longest request body that is read. The original has no limit here.
    pub max_body_bytes: usize,
    /// Further request headers that browsers may send.
    pub cors_allowed_headers: Vec<String>,
    /// What `GET /health` reports.
    pub version: String,
    /// Access tokens.
    pub jwt: Jwt,
    /// Password rules.
    pub password: Password,
    /// Session limits.
    pub sessions: Sessions,
    /// Refresh tokens and reauthentication.
    pub security: Security,
    /// Mail flows.
    pub mailer: Mailer,
    /// Outgoing mail.
    pub smtp: Smtp,
    /// Phone flows.
    pub sms: Sms,
    /// Functions of the project's own.
    pub hooks: Hooks,
    /// The check that callers are human.
    pub captcha: Captcha,
    /// Longest call to a provider of text messages.
    pub internal_http_timeout: Duration,
    /// Which ways of signing in exist.
    pub external: External,
    /// Second factors.
    pub mfa: Mfa,
    /// The relying party of security keys and passkeys.
    pub webauthn: WebAuthn,
    /// Signing in with a passkey alone.
    pub passkey: Passkey,
    /// OAuth 2.1 for other applications.
    pub oauth_server: OAuthServer,
    /// Single sign-on by SAML.
    pub saml: Saml,
    /// Providers that administrators describe at run time.
    pub custom_oauth: CustomOAuth,
    /// Rate limiters.
    pub rate_limits: RateLimits,
    /// Do not write `auth.audit_log_entries` (the log still tells).
    pub audit_log_disable_postgres: bool,
    /// Take away rows that nobody needs any more, a few after each change.
    pub cleanup: bool,
}

/// Claims and roles of access tokens.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// Lifetime in seconds.
    pub exp: i64,
    /// Audience of users and of look-ups that name none.
    pub aud: String,
    /// `iss`; left out of tokens when empty.
    pub issuer: String,
    /// Role claims that may use `/admin`.
    pub admin_roles: Vec<String>,
    /// `users.role` of new users.
    pub default_group_name: String,
    /// `users.role` that may change `app_metadata` through `PUT /user`.
    pub admin_group_name: String,
}

/// Rules for new passwords.
#[derive(Clone, Debug)]
pub struct Password {
    /// Shortest password in bytes; never below 6.
    pub min_length: usize,
    /// Sets of characters of which each must appear once.
    pub required_characters: Vec<String>,
    /// bcrypt cost of new hashes. The original's is fixed at 10; tests lower it.
    pub bcrypt_cost: u32,
    /// Hashes computed at the same time; `None` is one per core.
    pub parallel_hashes: Option<usize>,
    /// The check against stolen passwords.
    pub pwned: Pwned,
}

/// Limits of sessions; `None` is unlimited.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    /// Longest life of a session.
    pub timebox: Option<Duration>,
    /// Longest pause between refreshes.
    pub inactivity_timeout: Option<Duration>,
    /// How long a user with factors may stay below aal2.
    pub allow_low_aal: Option<Duration>,
    /// Only the session refreshed last stays usable.
    pub single_per_user: bool,
    /// Tags; sessions of different tags don't end each other.
    pub tags: Vec<String>,
}

/// Refresh token rotation and reauthentication.
#[derive(Clone, Debug)]
pub struct Security {
    /// A reused refresh token revokes its whole family.
    pub refresh_token_rotation_enabled: bool,
    /// Seconds during which a just revoked refresh token may be used again.
    pub refresh_token_reuse_interval: i64,
    /// Password changes need a nonce unless the session is younger than a day.
    pub update_password_require_reauthentication: bool,
    /// Password changes need the password so far, but for sessions that began with a link or a code.
    pub update_password_require_current_password: bool,
    /// Users may link and unlink identities.
    pub manual_linking_enabled: bool,
    /// The keys of columns that only this service can read.
    pub encryption: Encryption,
}

/// Mail confirmation and one-time codes.
#[derive(Clone, Debug)]
pub struct Mailer {
    /// New addresses count as confirmed at once.
    pub autoconfirm: bool,
    /// Both the old and the new address confirm a change.
    pub secure_email_change_enabled: bool,
    /// Seconds a mailed code stays valid.
    pub otp_exp: i64,
    /// Digits of a mailed code, 6 to 10.
    pub otp_length: usize,
    /// Hosts that `X-Forwarded-Host` may name for links.
    pub external_hosts: Vec<String>,
    /// Paths of links.
    pub url_paths: UrlPaths,
    /// Subjects and bodies.
    pub templates: mail::TemplatesConfig,
    /// Of which changes to their account people are told: kinds that are notifications.
    pub notifications: BTreeSet<mail::Kind>,
    /// Fetch templates before they are needed.
    pub template_reloading: bool,
    /// What is looked at before mail goes to an address.
    pub address_checks: AddressChecks,
}

/// Path of each kind of link, resolved against the external URL.
#[derive(Clone, Debug)]
pub struct UrlPaths {
    /// Invitations.
    pub invite: String,
    /// Sign-up confirmations.
    pub confirmation: String,
    /// Recovery and magic links.
    pub recovery: String,
    /// Address changes.
    pub email_change: String,
}

/// Text messages.
#[derive(Clone, Debug)]
pub struct Sms {
    /// New phone numbers count as confirmed at once.
    pub autoconfirm: bool,
    /// Pause between two messages to one user.
    pub max_frequency: Duration,
    /// Seconds a code stays valid.
    pub otp_exp: i64,
    /// Digits of a code, 6 to 10.
    pub otp_length: usize,
    /// Who sends them.
    pub provider: SmsProvider,
    /// What they say: a template in Go's syntax with `.Code`.
    pub template: String,
    /// Numbers (without `+`) with a fixed code that is never sent.
    pub test_otp: Vec<(String, String)>,
    /// Until when the fixed codes work.
    pub test_otp_valid_until: Option<chrono::DateTime<chrono::Utc>>,
}

/// Ways of signing in.
#[derive(Clone, Debug)]
pub struct External {
    /// E-mail and password, links, codes.
    pub email_enabled: bool,
    /// Magic links among them.
    pub magic_link_enabled: bool,
    /// If not empty, only these addresses receive mail.
    pub authorized_addresses: Vec<String>,
    /// Phone and password, codes.
    pub phone_enabled: bool,
    /// Anonymous users.
    pub anonymous_users_enabled: bool,
    /// Other places to sign in at, by the names that `/authorize` takes.
    pub providers: BTreeMap<String, OAuthProvider>,
    /// The iOS application's id, a further audience of Apple's tokens.
    pub ios_bundle_id: String,
    /// Where every sign-in with a provider ends, whatever was asked for.
    pub redirect_url: String,
    /// Issuers whose ID tokens are taken with any client id. Deprecated.
    pub allowed_id_token_issuers: Vec<String>,
    /// Providers' users may sign in before their address is verified.
    pub allow_unverified_email_sign_ins: bool,
    /// Addresses that administrators name at run time (metadata of identity providers, custom providers) may lead to this machine
    /// and its networks.
    pub private_addresses: bool,
    /// Further certificate authorities for those addresses, as DER; not configurable but by tests.
    pub authorities: Vec<Vec<u8>>,
    /// How long a provider may take to answer.
    pub http_timeout: Duration,
    /// Signing in with a wallet.
    pub web3: Web3,
    /// Providers whose users never merge with others by address.
    pub own_linking_domain: Vec<String>,
    /// How long a PKCE code can be exchanged; never below five minutes.
    pub flow_state_expiry: Duration,
}

/// Rate limits; see `rate_limit`.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimits {
    /// The Redis in which all instances of an installation count together; without one each counts for itself.
    pub redis_url: Option<Secret>,
    /// Header that names the caller. Without it the per-caller limiters are off.
    pub header: Option<String>,
    /// Mails of the whole instance.
    pub email_sent: Rate,
    /// Text messages of the whole instance.
    pub sms_sent: Rate,
    /// `/verify`, per five minutes.
    pub verify: f64,
    /// `/token`, per five minutes.
    pub token_refresh: f64,
    /// Anonymous sign-ups, per hour.
    pub anonymous_users: f64,
    /// Sign-up, recover, resend, magic link, otp and `PUT /user`, each per five minutes.
    pub otp: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            external_url: "http://localhost:8081".into(),
            site_url: "http://localhost:3000".into(),
            uri_allow_list: Vec::new(),
            disable_signup: false,
            request_id_header: None,
            max_request_duration: Duration::from_secs(10),
            max_body_bytes: 1024 * 1024,
            cors_allowed_headers: Vec::new(),
            version: crate::GOTRUE_VERSION.into(),
            jwt: Jwt::default(),
            password: Password::default(),
            sessions: Sessions::default(),
            security: Security::default(),
            mailer: Mailer::default(),
            smtp: Smtp::default(),
            sms: Sms::default(),
            hooks: Hooks::default(),
            captcha: Captcha::default(),
            internal_http_timeout: Duration::from_secs(10),
            external: External::default(),
            mfa: Mfa::default(),
            webauthn: WebAuthn::default(),
            passkey: Passkey::default(),
            oauth_server: OAuthServer::default(),
            saml: Saml::default(),
            custom_oauth: CustomOAuth::default(),
            rate_limits: RateLimits::default(),
            audit_log_disable_postgres: false,
            cleanup: false,
        }
    }
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            exp: 3600,
            aud: String::new(),
            issuer: String::new(),
            admin_roles: vec!["service_role".into(), "supabase_admin".into()],
            default_group_name: String::new(),
            admin_group_name: "admin".into(),
        }
    }
}

impl Default for Password {
    fn default() -> Self {
        Self {
            min_length: 6,
            required_characters: Vec::new(),
            bcrypt_cost: 10,
            parallel_hashes: None,
            pwned: Pwned::default(),
        }
    }
}

impl Default for Security {
    fn default() -> Self {
        Self {
            refresh_token_rotation_enabled: true,
            refresh_token_reuse_interval: 0,
            update_password_require_reauthentication: false,
            update_password_require_current_password: false,
            manual_linking_enabled: false,
            encryption: Encryption::default(),
        }
    }
}

impl Default for Mailer {
    fn default() -> Self {
        Self {
            autoconfirm: false,
            secure_email_change_enabled: true,
            otp_exp: 86_400,
            otp_length: 6,
            external_hosts: Vec::new(),
            url_paths: UrlPaths::default(),
            templates: mail::TemplatesConfig::default(),
            notifications: BTreeSet::new(),
            template_reloading: false,
            address_checks: AddressChecks::default(),
        }
    }
}

impl Default for UrlPaths {
    fn default() -> Self {
        let verify = || String::from("/verify");
        Self { invite: verify(), confirmation: verify(), recovery: verify(), email_change: verify() }
    }
}

impl Default for Sms {
    fn default() -> Self {
        Self {
            autoconfirm: false,
            max_frequency: Duration::from_secs(60),
            otp_exp: 60,
            otp_length: 6,
            provider: SmsProvider::None,
            template: DEFAULT_TEXT.into(),
            test_otp: Vec::new(),
            test_otp_valid_until: None,
        }
    }
}

impl Default for External {
    fn default() -> Self {
        Self {
            email_enabled: true,
            magic_link_enabled: true,
            authorized_addresses: Vec::new(),
            phone_enabled: false,
            anonymous_users_enabled: false,
            providers: BTreeMap::new(),
            ios_bundle_id: String::new(),
            redirect_url: String::new(),
            allowed_id_token_issuers: providers::default_issuers(),
            allow_unverified_email_sign_ins: false,
            private_addresses: false,
            authorities: Vec::new(),
            http_timeout: Duration::from_secs(10),
            web3: Web3::default(),
            own_linking_domain: Vec::new(),
            flow_state_expiry: Duration::from_secs(300),
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            redis_url: None,
            header: None,
            email_sent: Rate::per_hour(30.0),
            sms_sent: Rate::per_hour(30.0),
            verify: 30.0,
            token_refresh: 150.0,
            anonymous_users: 30.0,
            otp: 30.0,
        }
    }
}

impl Sms {
    /// The fixed code of a test number, if it has one and they still work.
    pub(crate) fn test_code(&self, phone: &str, now: chrono::DateTime<chrono::Utc>) -> Option<&str> {
        if self.test_otp_valid_until.is_some_and(|until| now >= until) {
            return None;
        }
        self.test_otp.iter().find(|(number, _)| number == phone).map(|(_, code)| code.as_str())
    }
}

impl Config {
    /// Refuses combinations the original refuses, and what this build cannot honour.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = |name: &'static str, value: &Option<Duration>| match value {
            Some(duration) if duration.is_zero() => {
                Err(ConfigError::invalid(name, "must be positive when set"))
            }
            _ => Ok(()),
        };
        positive("GOTRUE_SESSIONS_TIMEBOX", &self.sessions.timebox)?;
        positive("GOTRUE_SESSIONS_INACTIVITY_TIMEOUT", &self.sessions.inactivity_timeout)?;
        positive("GOTRUE_SESSIONS_ALLOW_LOW_AAL", &self.sessions.allow_low_aal)?;
        self.security.encryption.check().map_err(|reason| {
            ConfigError::invalid("GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS", reason)
        })?;
        crate::http::GoUrl::parse(&self.external_url)
            .ok_or_else(|| ConfigError::invalid("API_EXTERNAL_URL", "is not a URL"))?;
        if self.passkey.enabled {
            let rp = &self.webauthn;
            crate::webauthn::RelyingParty::new(&rp.rp_id, rp.display_name(), &rp.rp_origins)
                .map_err(|reason| ConfigError::invalid("GOTRUE_WEBAUTHN_RP_ID", reason))?;
        }
        if self.saml.enabled {
            crate::saml::ServiceProvider::new(&self.saml, &self.external_url)?;
        }
        mail::Template::parse(&self.sms.template)
            .map_err(|error| ConfigError::invalid("GOTRUE_SMS_TEMPLATE", error.to_string()))?;
        if !(4..=31).contains(&self.password.bcrypt_cost) {
            return Err(ConfigError::invalid("bcrypt cost", "must be between 4 and 31"));
        }
        Ok(())
    }
}
