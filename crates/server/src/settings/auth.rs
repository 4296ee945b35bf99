//! `[auth]` → GoTrue's settings.

use std::collections::BTreeMap;

use config::Config;

use crate::Error;

/// How many connections requests share.
pub(crate) const POOL_SIZE: usize = 9;

/// The limits of the service's pool.
#[must_use]
pub fn pool(config: &Config) -> database::PoolConfig {
    let wanted = config.environment.get("GOTRUE_DB_MAX_POOL_SIZE").and_then(|size| size.parse().ok());
    database::PoolConfig {
        name: "auth",
        max_size: wanted.filter(|size| *size > 0).unwrap_or(POOL_SIZE),
        ..database::PoolConfig::default()
    }
}

/// How many mails an hour when there is no mail server to protect, as the CLI sets it.
const MAILS_WITHOUT_SERVER: &str = "360000";

/// The settings of the auth service. `public_url` is the front door's address.
pub fn settings(config: &Config, public_url: &str) -> Result<auth::Config, Error> {
    let mut ours: BTreeMap<String, String> =
        variables(config, public_url).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    super::auth_sending::add(config, has_mail_server(config), &mut ours);
    let federated = super::auth_federation::variables(&config.file.auth, public_url);
    // An application's own environment names its production Redis: in development only our own name counts.
    let redis = config.environment.get("MONOBASE_REDIS_URL").map(str::to_owned);
    let lookup = |name: &str| {
        if name == "REDIS_URL" {
            return redis.clone();
        }
        ours.get(name).or_else(|| federated.get(name)).cloned().or_else(|| {
            config.environment.get(name).filter(|_| name.starts_with("GOTRUE_")).map(str::to_owned)
        })
    };
    auth::Environment::from_env(lookup)
        .map(|environment| environment.config)
        .map_err(|error| Error::Settings { service: "auth", reason: error.to_string() })
}

fn variables(config: &Config, public_url: &str) -> BTreeMap<&'static str, String> {
    let section = &config.file.auth;
    let external = section.external_url.clone().unwrap_or_else(|| format!("{public_url}/auth/v1"));
    let verify = format!("{external}/verify");
    let mut values = BTreeMap::from([
        // The service asks for these when it runs alone; here it is given a pool and a key ring.
        ("GOTRUE_DB_DRIVER", "postgres".to_owned()),
        ("DATABASE_URL", "postgresql://".to_owned()),
        ("GOTRUE_JWT_SECRET", config.keys.jwt_secret.expose().to_owned()),
        ("API_EXTERNAL_URL", external.clone()),
        ("GOTRUE_API_EXTERNAL_URL", external.clone()),
        ("GOTRUE_SITE_URL", section.site_url.clone()),
        ("GOTRUE_URI_ALLOW_LIST", section.additional_redirect_urls.join(",")),
        ("GOTRUE_DISABLE_SIGNUP", (!section.enable_signup).to_string()),
        ("GOTRUE_JWT_ISSUER", section.jwt_issuer.clone().unwrap_or(external)),
        ("GOTRUE_JWT_AUD", "authenticated".to_owned()),
        ("GOTRUE_JWT_DEFAULT_GROUP_NAME", "authenticated".to_owned()),
        ("GOTRUE_JWT_ADMIN_ROLES", "service_role,supabase_admin".to_owned()),
        ("GOTRUE_JWT_EXP", section.jwt_expiry.to_string()),
        ("GOTRUE_PASSWORD_MIN_LENGTH", section.minimum_password_length.to_string()),
        (
            "GOTRUE_PASSWORD_REQUIRED_CHARACTERS",
            required_characters(&section.password_requirements).to_owned(),
        ),
        ("GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED", section.enable_refresh_token_rotation.to_string()),
        ("GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL", section.refresh_token_reuse_interval.to_string()),
        ("GOTRUE_SECURITY_MANUAL_LINKING_ENABLED", section.enable_manual_linking.to_string()),
        (
            "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION",
            section.email.secure_password_change.to_string(),
        ),
        ("GOTRUE_EXTERNAL_EMAIL_ENABLED", section.email.enabled.to_string()),
        ("GOTRUE_EXTERNAL_PHONE_ENABLED", section.sms.enabled.to_string()),
        ("GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED", section.enable_anonymous_sign_ins.to_string()),
        ("GOTRUE_MAILER_AUTOCONFIRM", (!section.email.enable_confirmations).to_string()),
        ("GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED", section.email.double_confirm_changes.to_string()),
        ("GOTRUE_MAILER_OTP_EXP", section.email.otp_expiry.to_string()),
        ("GOTRUE_MAILER_OTP_LENGTH", section.email.otp_length.to_string()),
        ("GOTRUE_MAILER_URLPATHS_INVITE", verify.clone()),
        ("GOTRUE_MAILER_URLPATHS_CONFIRMATION", verify.clone()),
        ("GOTRUE_MAILER_URLPATHS_RECOVERY", verify.clone()),
        ("GOTRUE_MAILER_URLPATHS_EMAIL_CHANGE", verify),
        ("GOTRUE_SMTP_MAX_FREQUENCY", section.email.max_frequency.to_string()),
        ("GOTRUE_SMS_AUTOCONFIRM", (!section.sms.enable_confirmations).to_string()),
        ("GOTRUE_SMS_MAX_FREQUENCY", section.sms.max_frequency.to_string()),
        ("GOTRUE_RATE_LIMIT_ANONYMOUS_USERS", section.rate_limit.anonymous_users.to_string()),
        ("GOTRUE_RATE_LIMIT_TOKEN_REFRESH", section.rate_limit.token_refresh.to_string()),
        ("GOTRUE_RATE_LIMIT_OTP", section.rate_limit.sign_in_sign_ups.to_string()),
        ("GOTRUE_RATE_LIMIT_VERIFY", section.rate_limit.token_verifications.to_string()),
        ("GOTRUE_RATE_LIMIT_SMS_SENT", section.rate_limit.sms_sent.to_string()),
        ("GOTRUE_OAUTH_SERVER_ENABLED", section.oauth_server.enabled.to_string()),
        (
            "GOTRUE_OAUTH_SERVER_ALLOW_DYNAMIC_REGISTRATION",
            section.oauth_server.allow_dynamic_registration.to_string(),
        ),
        ("GOTRUE_OAUTH_SERVER_AUTHORIZATION_PATH", section.oauth_server.authorization_url_path.clone()),
    ]);
    values.extend(super::auth_factors::variables(section));
    values.insert(
        "GOTRUE_RATE_LIMIT_EMAIL_SENT",
        if has_mail_server(config) {
            section.rate_limit.email_sent.to_string()
        } else {
            MAILS_WITHOUT_SERVER.to_owned()
        },
    );
    let sessions = [
        ("GOTRUE_SESSIONS_TIMEBOX", &section.sessions.timebox),
        ("GOTRUE_SESSIONS_INACTIVITY_TIMEOUT", &section.sessions.inactivity_timeout),
    ];
    for (name, duration) in sessions {
        if let Some(duration) = duration.filter(|duration| !duration.0.is_zero()) {
            values.insert(name, duration.to_string());
        }
    }
    if !section.sms.test_otp.is_empty() {
        let pairs: Vec<String> =
            section.sms.test_otp.iter().map(|(phone, code)| format!("{phone}:{code}")).collect();
        values.insert("GOTRUE_SMS_TEST_OTP", pairs.join(","));
    }
    values
}

/// Whether the project has a mail server of its own.
pub(crate) fn has_mail_server(config: &Config) -> bool {
    let smtp = &config.file.auth.email.smtp;
    smtp.enabled.unwrap_or(true) && smtp.host.as_deref().is_some_and(|host| !host.is_empty())
}

/// The CLI's names for sets of characters, one of each of which a password must contain.
fn required_characters(name: &str) -> &str {
    match name {
        "letters_digits" => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789",
        "lower_upper_letters_digits" => "abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789",
        "lower_upper_letters_digits_symbols" => {
            "abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789:!@#$%^&*()_+-=[]{};'\\\\:\"|<>?,./`~"
        }
        other => other,
    }
}
