//! `serve auth`: the original's environment names, with the original's defaults.

use std::time::Duration;

use tokens::{Algorithm, Key, KeySet};

use super::sending::{address_checks, templates_from_env};
use super::{
    Captcha, Config, ConfigError, CustomOAuth, Hooks, Mfa, OAuthServer, Passkey, Pwned, Saml, Secret,
    SmsProvider, Smtp, WebAuthn, parse_go_duration,
};
use crate::encryption::Encryption;

/// A service alone: its configuration and what a composition root would otherwise provide.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What the routes read.
    pub config: Config,
    /// Host and port to listen on.
    pub listen: (String, u16),
    /// Connection string of the database.
    pub database_url: String,
    /// Largest number of database connections; `None` leaves it to the caller.
    pub pool_size: Option<usize>,
    /// Where signing keys come from.
    pub signing: Signing,
    /// When files of the configuration are read anew.
    pub reloading: Reloading,
}

/// When a configuration that comes from files is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloading {
    /// How often the files are looked at; never if none.
    pub look: Option<Duration>,
    /// A signal that asks for it.
    pub signal: Option<i32>,
    /// How long nothing must have changed before they are read.
    pub grace: Duration,
}

impl Default for Reloading {
    fn default() -> Self {
        Self { look: Some(LOOK), signal: None, grace: Duration::from_secs(5) }
    }
}

/// How soon a change is seen. GoTrue is told by the file system, which not every one does.
const LOOK: Duration = Duration::from_secs(1);

/// Signing keys as they are configured.
#[derive(Clone)]
pub struct Signing {
    /// The shared secret, its raw UTF-8 bytes are the HS256 key.
    pub secret: String,
    /// `kid` of the secret, if it has one.
    pub key_id: Option<String>,
    /// A JSON array of private JWKs that replaces the secret for signing.
    pub keys: Option<String>,
    /// Algorithms that may verify; empty allows those of the configured keys.
    pub valid_methods: Vec<String>,
}

impl Signing {
    /// The keys as the original chooses among them: configured keys sign instead of the secret, and
    /// only the named algorithms, or else those of the keys, are accepted.
    pub fn key_set(&self) -> Result<KeySet, ConfigError> {
        let set = match &self.keys {
            Some(keys) => KeySet::from_signing_keys(keys)
                .map_err(|error| ConfigError::invalid("GOTRUE_JWT_KEYS", error.to_string()))?,
            None => KeySet::empty(),
        };
        let own = set.keys().iter().map(Key::algorithm).collect::<Vec<_>>();
        let set = set
            .with_secret(&self.secret, self.key_id.as_deref())
            .map_err(|error| ConfigError::invalid("GOTRUE_JWT_SECRET", error.to_string()))?;
        let allowed = if self.valid_methods.is_empty() {
            if own.is_empty() { vec![Algorithm::HS256] } else { own }
        } else {
            let parse = |name: &String| {
                name.parse().map_err(|_| {
                    ConfigError::invalid("GOTRUE_JWT_VALIDMETHODS", format!("{name:?} is not an algorithm"))
                })
            };
            self.valid_methods.iter().map(parse).collect::<Result<_, _>>()?
        };
        Ok(set.allowing(allowed))
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing")
            .field("key_id", &self.key_id)
            .field("has_keys", &self.keys.is_some())
            .field("valid_methods", &self.valid_methods)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// Reads `GOTRUE_*` (and the few bare names) through `lookup`, which returns a variable's value.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let vars = Variables { lookup: &lookup };
        let config = vars.config()?;
        config.validate()?;
        let port = vars.text_or_bare("API_PORT", "PORT").unwrap_or_else(|| "8081".into());
        let port =
            port.parse().map_err(|_| ConfigError::invalid("PORT", format!("{port:?} is not a port")))?;
        vars.required("DB_DRIVER", "DB_DRIVER")?;
        Ok(Self {
            listen: (vars.text("API_HOST").unwrap_or_default(), port),
            database_url: vars.required("DB_DATABASE_URL", "DATABASE_URL")?,
            pool_size: match vars.number::<usize>("DB_MAX_POOL_SIZE", 0)? {
                0 => None,
                size => Some(size),
            },
            signing: Signing {
                secret: vars
                    .text("JWT_SECRET")
                    .ok_or(ConfigError::Missing { name: "GOTRUE_JWT_SECRET".into() })?,
                key_id: vars.text("JWT_KEY_ID"),
                keys: vars.text("JWT_KEYS"),
                valid_methods: vars.list("JWT_VALIDMETHODS").unwrap_or_default(),
            },
            reloading: vars.reloading()?,
            config,
        })
    }
}

pub(super) struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    fn config(&self) -> Result<Config, ConfigError> {
        let default = Config::default();
        let mut config = Config {
            external_url: self.required("API_API_EXTERNAL_URL", "API_EXTERNAL_URL")?,
            site_url: self.text("SITE_URL").ok_or(ConfigError::Missing { name: "GOTRUE_SITE_URL".into() })?,
            uri_allow_list: self.list("URI_ALLOW_LIST").unwrap_or_default(),
            disable_signup: self.flag("DISABLE_SIGNUP", false)?,
            request_id_header: self.text_or_bare("API_REQUEST_ID_HEADER", "REQUEST_ID_HEADER"),
            max_request_duration: self.duration("API_MAX_REQUEST_DURATION", default.max_request_duration)?,
            cors_allowed_headers: self.list("CORS_ALLOWED_HEADERS").unwrap_or_default(),
            audit_log_disable_postgres: self.flag("AUDIT_LOG_DISABLE_POSTGRES", false)?,
            cleanup: self.flag("DB_CLEANUP_ENABLED", false)?,
            ..default
        };
        config.mfa = Mfa::from_env(self)?;
        config.webauthn = WebAuthn::from_env(self)?;
        config.passkey = Passkey::from_env(self)?;
        config.oauth_server = OAuthServer::from_env(self)?;
        config.saml = Saml::from_env(self)?;
        config.custom_oauth = CustomOAuth::from_env(self)?;
        config.hooks = Hooks::from_env(self)?;
        config.captcha = Captcha::from_env(self)?;
        config.password.pwned = Pwned::from_env(self)?;
        config.smtp = Smtp::from_env(self)?;
        config.mailer.templates = templates_from_env(self, &config.site_url)?;
        config.mailer.address_checks = address_checks(self)?;
        config.internal_http_timeout =
            self.frequency("INTERNAL_HTTP_TIMEOUT", config.internal_http_timeout)?;
        self.tokens_and_passwords(&mut config)?;
        self.flows(&mut config)?;
        self.limits(&mut config)?;
        Ok(config)
    }

    fn reloading(&self) -> Result<Reloading, ConfigError> {
        let default = Reloading::default();
        let look = match self.flag("RELOADING_NOTIFY_ENABLED", true)? {
            true => Some(LOOK),
            false => {
                let polls = self.flag("RELOADING_POLLERENABLED", false)?;
                let interval = self.frequency("RELOADING_POLLER_INTERVAL", Duration::from_secs(10))?;
                polls.then_some(interval)
            }
        };
        let signal = self.number("RELOADING_SIGNAL_NUMBER", 10)?;
        let signal = self.flag("RELOADING_SIGNAL_ENABLED", false)?.then_some(signal);
        Ok(Reloading {
            look,
            signal,
            grace: self.duration("RELOADING_GRACE_PERIOD_INTERVAL", default.grace)?,
        })
    }

    /// `DECRYPTION_KEYS` is `id:key,id:key`, as the original's reader has maps.
    fn encryption(&self) -> Result<Encryption, ConfigError> {
        const KEYS: &str = "SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS";
        let mut encryption = Encryption::default();
        for pair in self.list(KEYS).unwrap_or_default() {
            let (id, key) = pair
                .split_once(':')
                .ok_or_else(|| ConfigError::invalid(gotrue(KEYS), "must be a list of id:key"))?;
            encryption.keys.insert(id.to_owned(), Secret::new(key));
        }
        if self.flag("SECURITY_DB_ENCRYPTION_ENCRYPT", false)? {
            let id = self.text("SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID");
            let id = id.ok_or(ConfigError::Missing {
                name: "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID".into(),
            })?;
            let key = self.text("SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY").unwrap_or_default();
            if encryption.keys.get(&id).is_none_or(|known| known.expose() != key) {
                let reason = "the key must also be among the decryption keys";
                return Err(ConfigError::invalid("GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY", reason));
            }
            encryption.write_with = Some(id);
        }
        Ok(encryption)
    }

    fn tokens_and_passwords(&self, config: &mut Config) -> Result<(), ConfigError> {
        let jwt = &mut config.jwt;
        jwt.exp = match self.number("JWT_EXP", 0)? {
            0 => jwt.exp,
            seconds => seconds,
        };
        jwt.aud = self.text("JWT_AUD").unwrap_or_default();
        jwt.issuer = self.text("JWT_ISSUER").unwrap_or_default();
        if let Some(roles) = self.list("JWT_ADMIN_ROLES") {
            jwt.admin_roles = roles;
        }
        jwt.default_group_name = self.text("JWT_DEFAULT_GROUP_NAME").unwrap_or_default();
        if let Some(name) = self.text("JWT_ADMIN_GROUP_NAME") {
            jwt.admin_group_name = name;
        }
        config.password.min_length = self.number("PASSWORD_MIN_LENGTH", 0_usize)?.max(6);
        config.password.required_characters = self
            .text("PASSWORD_REQUIRED_CHARACTERS")
            .map(|sets| split_character_sets(&sets))
            .unwrap_or_default();
        config.sessions.timebox = self.optional_duration("SESSIONS_TIMEBOX")?;
        config.sessions.inactivity_timeout = self.optional_duration("SESSIONS_INACTIVITY_TIMEOUT")?;
        config.sessions.allow_low_aal = self.optional_duration("SESSIONS_ALLOW_LOW_AAL")?;
        config.sessions.single_per_user = self.flag("SESSIONS_SINGLE_PER_USER", false)?;
        config.sessions.tags = self.list("SESSIONS_TAGS").unwrap_or_default();
        let security = &mut config.security;
        security.refresh_token_rotation_enabled =
            self.flag("SECURITY_REFRESH_TOKEN_ROTATION_ENABLED", true)?;
        security.refresh_token_reuse_interval = self.number("SECURITY_REFRESH_TOKEN_REUSE_INTERVAL", 0)?;
        security.update_password_require_reauthentication =
            self.flag("SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION", false)?;
        security.update_password_require_current_password =
            self.flag("SECURITY_UPDATE_PASSWORD_REQUIRE_CURRENT_PASSWORD", false)?;
        security.manual_linking_enabled = self.flag("SECURITY_MANUAL_LINKING_ENABLED", false)?;
        security.encryption = self.encryption()?;
        Ok(())
    }

    fn flows(&self, config: &mut Config) -> Result<(), ConfigError> {
        let mailer = &mut config.mailer;
        mailer.autoconfirm = self.flag("MAILER_AUTOCONFIRM", false)?;
        if mailer.autoconfirm && self.flag("MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS", false)? {
            return Err(ConfigError::invalid(
                "GOTRUE_MAILER_AUTOCONFIRM",
                "cannot be enabled together with GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS",
            ));
        }
        mailer.secure_email_change_enabled = self.flag("MAILER_SECURE_EMAIL_CHANGE_ENABLED", true)?;
        mailer.otp_exp = non_zero(self.number("MAILER_OTP_EXP", 0)?, mailer.otp_exp);
        mailer.otp_length = code_length(self.number("MAILER_OTP_LENGTH", 0)?);
        mailer.external_hosts = self.list("MAILER_EXTERNAL_HOSTS").unwrap_or_default();
        let paths = &mut mailer.url_paths;
        for (path, name) in [
            (&mut paths.invite, "MAILER_URLPATHS_INVITE"),
            (&mut paths.confirmation, "MAILER_URLPATHS_CONFIRMATION"),
            (&mut paths.recovery, "MAILER_URLPATHS_RECOVERY"),
            (&mut paths.email_change, "MAILER_URLPATHS_EMAIL_CHANGE"),
        ] {
            if let Some(value) = self.text(name) {
                *path = value;
            }
        }
        for kind in mail::Kind::ALL.into_iter().filter(|kind| kind.is_notification()) {
            let what = kind.as_str().trim_end_matches("_notification").to_uppercase();
            if self.flag(&format!("MAILER_NOTIFICATIONS_{what}_ENABLED"), false)? {
                mailer.notifications.insert(kind);
            }
        }
        mailer.template_reloading = self.flag("MAILER_TEMPLATE_RELOADING_ENABLED", false)?;
        let sms = &mut config.sms;
        sms.autoconfirm = self.flag("SMS_AUTOCONFIRM", false)?;
        sms.max_frequency = self.frequency("SMS_MAX_FREQUENCY", sms.max_frequency)?;
        sms.otp_exp = non_zero(self.number("SMS_OTP_EXP", 0)?, sms.otp_exp);
        sms.otp_length = code_length(self.number("SMS_OTP_LENGTH", 0)?);
        sms.provider = SmsProvider::from_env(self);
        if let Some(template) = self.text("SMS_TEMPLATE") {
            sms.template = template;
        }
        sms.test_otp = self.test_codes()?;
        sms.test_otp_valid_until = self
            .text("SMS_TEST_OTP_VALID_UNTIL")
            .map(|until| {
                chrono::DateTime::parse_from_rfc3339(until.trim()).map(|until| until.to_utc()).map_err(
                    |error| ConfigError::invalid("GOTRUE_SMS_TEST_OTP_VALID_UNTIL", error.to_string()),
                )
            })
            .transpose()?;
        let external = &mut config.external;
        external.email_enabled = self.flag("EXTERNAL_EMAIL_ENABLED", true)?;
        external.magic_link_enabled = self.flag("EXTERNAL_EMAIL_MAGIC_LINK_ENABLED", true)?;
        external.authorized_addresses = self.list("EXTERNAL_EMAIL_AUTHORIZED_ADDRESSES").unwrap_or_default();
        external.phone_enabled = self.flag("EXTERNAL_PHONE_ENABLED", false)?;
        external.anonymous_users_enabled = self.flag("EXTERNAL_ANONYMOUS_USERS_ENABLED", false)?;
        super::providers::read(self, external)?;
        external.own_linking_domain =
            self.list("EXPERIMENTAL_PROVIDERS_WITH_OWN_LINKING_DOMAIN").unwrap_or_default();
        external.flow_state_expiry = self
            .duration("EXTERNAL_FLOW_STATE_EXPIRY_DURATION", external.flow_state_expiry)?
            .max(Duration::from_secs(300));
        Ok(())
    }

    fn limits(&self, config: &mut Config) -> Result<(), ConfigError> {
        let limits = &mut config.rate_limits;
        limits.redis_url = (self.lookup)("REDIS_URL").filter(|url| !url.is_empty()).map(Secret::new);
        limits.header = self.text("RATE_LIMIT_HEADER");
        for (rate, name) in
            [(&mut limits.email_sent, "RATE_LIMIT_EMAIL_SENT"), (&mut limits.sms_sent, "RATE_LIMIT_SMS_SENT")]
        {
            if let Some(text) = self.text(name) {
                *rate = text.parse().map_err(|reason| ConfigError::invalid(gotrue(name), reason))?;
            }
        }
        limits.verify = self.number("RATE_LIMIT_VERIFY", limits.verify)?;
        limits.token_refresh = self.number("RATE_LIMIT_TOKEN_REFRESH", limits.token_refresh)?;
        limits.anonymous_users = self.number("RATE_LIMIT_ANONYMOUS_USERS", limits.anonymous_users)?;
        limits.otp = self.number("RATE_LIMIT_OTP", limits.otp)?;
        Ok(())
    }

    fn test_codes(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let name = "SMS_TEST_OTP";
        let Some(pairs) = self.list(name) else { return Ok(Vec::new()) };
        pairs
            .iter()
            .map(|pair| match pair.split_once(':') {
                Some((phone, code)) => Ok((crate::phone::strip(phone), code.to_owned())),
                None => Err(ConfigError::invalid(gotrue(name), format!("{pair:?} is not phone:code"))),
            })
            .collect()
    }

    /// A variable under its prefixed name. Empty counts as absent, as it does for the original's defaults.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(&gotrue(name)).filter(|value| !value.is_empty())
    }

    pub(super) fn text_or_bare(&self, name: &str, bare: &str) -> Option<String> {
        self.text(name).or_else(|| (self.lookup)(bare).filter(|value| !value.is_empty()))
    }

    fn required(&self, name: &str, bare: &'static str) -> Result<String, ConfigError> {
        self.text_or_bare(name, bare).ok_or(ConfigError::Missing { name: bare.into() })
    }

    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        self.text(name).map(|value| value.split(',').map(str::to_owned).collect())
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ConfigError> {
        // The spellings of Go's strconv.ParseBool.
        match self.text(name).as_deref() {
            None => Ok(default),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(ConfigError::invalid(gotrue(name), format!("{other:?} is not true or false"))),
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, ConfigError> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| ConfigError::invalid(gotrue(name), format!("{text:?} is not a number"))),
        }
    }

    pub(super) fn optional_duration(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        self.text(name)
            .map(|text| parse_go_duration(&text).map_err(|reason| ConfigError::invalid(gotrue(name), reason)))
            .transpose()
    }

    pub(super) fn duration(&self, name: &str, default: Duration) -> Result<Duration, ConfigError> {
        Ok(self.optional_duration(name)?.unwrap_or(default))
    }

    /// Zero means "not set" for the frequencies.
    pub(super) fn frequency(&self, name: &str, default: Duration) -> Result<Duration, ConfigError> {
        Ok(match self.duration(name, default)? {
            Duration::ZERO => default,
            frequency => frequency,
        })
    }
}

fn gotrue(name: &str) -> String {
    format!("GOTRUE_{name}")
}

fn non_zero(value: i64, default: i64) -> i64 {
    if value == 0 { default } else { value }
}

pub(super) fn code_length(digits: usize) -> usize {
    if (6..=10).contains(&digits) { digits } else { 6 }
}

/// Sets are separated by colons; `\:` is a colon within a set.
fn split_character_sets(text: &str) -> Vec<String> {
    let mut sets = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if chars.peek() == Some(&':') => {
                chars.next();
                if let Some(set) = sets.last_mut() {
                    set.push(':');
                }
            }
            ':' => sets.push(String::new()),
            other => {
                if let Some(set) = sets.last_mut() {
                    set.push(other);
                }
            }
        }
    }
    sets.retain(|set| !set.is_empty());
    sets
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(extra: &[(&str, &str)]) -> Result<Environment, ConfigError> {
        let base = [
            ("GOTRUE_DB_DRIVER", "postgres"),
            ("DATABASE_URL", "postgres://auth@localhost/postgres"),
            ("GOTRUE_JWT_SECRET", "secret"),
            ("GOTRUE_SITE_URL", "http://localhost:3000"),
            ("API_EXTERNAL_URL", "http://localhost:9999"),
        ];
        let find = |name: &str| {
            extra
                .iter()
                .rev()
                .chain(base.iter().rev())
                .find(|(key, _)| *key == name)
                .map(|(_, v)| v.to_string())
        };
        Environment::from_env(find)
    }

    #[test]
    fn the_required_names_alone_give_the_originals_defaults() {
        let env = read(&[]).unwrap();
        assert_eq!(env.listen, (String::new(), 8081));
        assert_eq!(env.pool_size, None);
        assert_eq!(env.config.jwt.exp, 3600);
        assert_eq!(env.config.jwt.admin_roles, ["service_role", "supabase_admin"]);
        assert_eq!(env.config.jwt.default_group_name, "");
        assert_eq!(env.config.password.min_length, 6);
        assert_eq!(env.config.mailer.otp_exp, 86_400);
        assert!(!env.config.mailer.autoconfirm);
        assert!(env.config.security.refresh_token_rotation_enabled);
    }

    #[test]
    fn a_missing_name_is_named() {
        for name in
            ["GOTRUE_DB_DRIVER", "DATABASE_URL", "GOTRUE_JWT_SECRET", "GOTRUE_SITE_URL", "API_EXTERNAL_URL"]
        {
            let error = read(&[(name, "")]).unwrap_err().to_string();
            let bare = name.strip_prefix("GOTRUE_DB").map_or(name, |_| "DB_DRIVER");
            assert_eq!(error, format!("{bare} is required"));
        }
    }

    #[test]
    fn protections_need_what_they_work_with() {
        let captcha =
            [("GOTRUE_SECURITY_CAPTCHA_ENABLED", "true"), ("GOTRUE_SECURITY_CAPTCHA_PROVIDER", "other")];
        let reason = read(&captcha).unwrap_err().to_string();
        assert_eq!(reason, "GOTRUE_SECURITY_CAPTCHA_PROVIDER: unsupported captcha provider: other");
        let reason = read(&captcha[..1]).unwrap_err().to_string();
        assert_eq!(reason, "GOTRUE_SECURITY_CAPTCHA_SECRET: captcha provider secret is empty");
        let hook = [("GOTRUE_HOOK_SEND_SMS_ENABLED", "true"), ("GOTRUE_HOOK_SEND_SMS_URI", "http://x.test")];
        assert!(read(&hook).unwrap_err().to_string().starts_with("GOTRUE_HOOK_SEND_SMS_URI: only localhost"));
    }

    #[test]
    fn templates_come_from_the_site_or_from_elsewhere() {
        let env = read(&[
            ("GOTRUE_MAILER_TEMPLATES_INVITE", "/invite.html"),
            ("GOTRUE_MAILER_TEMPLATES_RECOVERY", "https://x.test/r.html"),
            ("GOTRUE_MAILER_SUBJECTS_MAGIC_LINK", "Hi"),
            ("GOTRUE_SMTP_HEADERS", r#"{"X-Kind":["$messageType"]}"#),
        ])
        .unwrap();
        let templates = env.config.mailer.templates;
        let url = |kind| match templates.bodies.get(&kind) {
            Some(mail::Source::Url(url)) => url.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(url(mail::Kind::Invite), "http://localhost:3000/invite.html");
        assert_eq!(url(mail::Kind::Recovery), "https://x.test/r.html");
        assert_eq!(templates.subjects[&mail::Kind::MagicLink], "Hi");
        assert_eq!(env.config.smtp.headers["X-Kind"], ["$messageType"]);
    }

    #[test]
    fn unverified_sign_ins_and_autoconfirm_exclude_each_other() {
        let both = [
            ("GOTRUE_MAILER_AUTOCONFIRM", "true"),
            ("GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS", "true"),
        ];
        assert!(read(&both).is_err());
    }

    #[test]
    fn character_sets_are_split_at_unescaped_colons() {
        assert_eq!(split_character_sets(r"abc:ABC::12\:3"), ["abc", "ABC", "12:3"]);
    }

    #[test]
    fn code_lengths_outside_six_to_ten_become_six() {
        assert_eq!([0, 5, 6, 10, 11].map(code_length), [6, 6, 6, 10, 6]);
    }

    #[test]
    fn the_secret_signs_unless_there_are_keys_of_which_one_must_sign() {
        let alone = read(&[("GOTRUE_JWT_KEY_ID", "one")]).unwrap().signing.key_set().unwrap();
        assert_eq!(alone.signing_key().and_then(Key::kid), Some("one"));
        let without_operation = r#"[{"kty":"oct","k":"c2VjcmV0","kid":"two","alg":"HS256"}]"#;
        let error = read(&[("GOTRUE_JWT_KEYS", without_operation)]).unwrap().signing.key_set().unwrap_err();
        assert_eq!(error.to_string(), "GOTRUE_JWT_KEYS: no signing key detected");
        let unknown = read(&[("GOTRUE_JWT_VALIDMETHODS", "HS256,ROT13")]).unwrap().signing.key_set();
        assert_eq!(
            unknown.unwrap_err().to_string(),
            "GOTRUE_JWT_VALIDMETHODS: \"ROT13\" is not an algorithm"
        );
    }

    #[test]
    fn columns_are_encrypted_with_a_key_that_also_decrypts() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let pair = format!("a:{key},b:{key}");
        let prefix = "GOTRUE_SECURITY_DB_ENCRYPTION";
        let names = ["ENCRYPT", "ENCRYPTION_KEY_ID", "ENCRYPTION_KEY", "DECRYPTION_KEYS"]
            .map(|n| format!("{prefix}_{n}"));
        let with = |values: [&str; 4]| {
            let pairs: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
            read(&pairs).map(|env| env.config.security.encryption)
        };
        assert_eq!(with(["true", "a", key, &pair]).unwrap().write_with.as_deref(), Some("a"));
        assert_eq!(with(["false", "", "", &pair]).unwrap().write_with, None);
        for bad in [["true", "", key, &pair], ["true", "c", key, &pair], ["true", "a", "short", &pair]] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
        assert!(with(["false", "", "", "a:short"]).is_err() && with(["false", "", "", key]).is_err());
    }

    #[test]
    fn files_are_looked_at_unless_switched_off() {
        let with = |pairs: &[(&str, &str)]| read(pairs).unwrap().reloading;
        assert_eq!(with(&[]), Reloading::default());
        let off = ("GOTRUE_RELOADING_NOTIFY_ENABLED", "false");
        assert_eq!(with(&[off]).look, None);
        let polled = with(&[off, ("GOTRUE_RELOADING_POLLERENABLED", "true")]);
        assert_eq!(polled.look, Some(Duration::from_secs(10)));
        let told = with(&[
            ("GOTRUE_RELOADING_SIGNAL_ENABLED", "1"),
            ("GOTRUE_RELOADING_GRACE_PERIOD_INTERVAL", "1s"),
        ]);
        assert_eq!((told.signal, told.grace), (Some(10), Duration::from_secs(1)));
    }

    #[test]
    fn secrets_are_not_debug_printed() {
        let env = read(&[("GOTRUE_JWT_SECRET", "hush-hush")]).unwrap();
        assert!(!format!("{:?}", env.signing).contains("hush"));
    }
}
