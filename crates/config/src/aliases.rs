//! The environment variables that set a key of `config.toml`.

use crate::environment::Environment;

/// A variable's name, and whether it says the opposite of the key.
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) negated: bool,
}

/// Upstream's names, then the generic ones of the self-hosting template. `!` marks a name that says
/// the opposite. Names that decide where data lives are deliberately not here: see
/// [`crate::location`].
const OTHER_NAMES: &[(&str, &[&str])] = &[
    ("api.external_url", &["SUPABASE_PUBLIC_URL", "API_EXTERNAL_URL"]),
    ("api.extra_search_path", &["PGRST_DB_EXTRA_SEARCH_PATH"]),
    ("api.max_rows", &["PGRST_DB_MAX_ROWS"]),
    ("api.port", &["KONG_HTTP_PORT"]),
    ("api.schemas", &["PGRST_DB_SCHEMAS"]),
    ("auth.additional_redirect_urls", &["GOTRUE_URI_ALLOW_LIST", "ADDITIONAL_REDIRECT_URLS"]),
    ("auth.anon_key", &["ANON_KEY"]),
    ("auth.email.enable_confirmations", &["!GOTRUE_MAILER_AUTOCONFIRM", "!ENABLE_EMAIL_AUTOCONFIRM"]),
    ("auth.email.enabled", &["GOTRUE_EXTERNAL_EMAIL_ENABLED", "ENABLE_EMAIL_SIGNUP"]),
    ("auth.email.otp_expiry", &["GOTRUE_MAILER_OTP_EXP"]),
    ("auth.email.otp_length", &["GOTRUE_MAILER_OTP_LENGTH"]),
    ("auth.email.smtp.admin_email", &["GOTRUE_SMTP_ADMIN_EMAIL", "SMTP_ADMIN_EMAIL"]),
    ("auth.email.smtp.host", &["GOTRUE_SMTP_HOST", "SMTP_HOST"]),
    ("auth.email.smtp.pass", &["GOTRUE_SMTP_PASS", "SMTP_PASS"]),
    ("auth.email.smtp.port", &["GOTRUE_SMTP_PORT", "SMTP_PORT"]),
    ("auth.email.smtp.sender_name", &["GOTRUE_SMTP_SENDER_NAME", "SMTP_SENDER_NAME"]),
    ("auth.email.smtp.user", &["GOTRUE_SMTP_USER", "SMTP_USER"]),
    (
        "auth.enable_anonymous_sign_ins",
        &["GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED", "ENABLE_ANONYMOUS_USERS"],
    ),
    ("auth.enable_manual_linking", &["GOTRUE_SECURITY_MANUAL_LINKING_ENABLED"]),
    ("auth.enable_refresh_token_rotation", &["GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED"]),
    ("auth.enable_signup", &["!GOTRUE_DISABLE_SIGNUP", "!DISABLE_SIGNUP"]),
    ("auth.jwt_expiry", &["GOTRUE_JWT_EXP", "JWT_EXPIRY"]),
    ("auth.jwt_issuer", &["GOTRUE_JWT_ISSUER"]),
    // Services disagreeing about the secret are an error of their own: see `crate::keys`.
    ("auth.jwt_secret", &["GOTRUE_JWT_SECRET", "JWT_SECRET"]),
    ("auth.minimum_password_length", &["GOTRUE_PASSWORD_MIN_LENGTH"]),
    ("auth.publishable_key", &["SUPABASE_PUBLISHABLE_KEY"]),
    ("auth.refresh_token_reuse_interval", &["GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL"]),
    ("auth.saml.allow_encrypted_assertions", &["GOTRUE_SAML_ALLOW_ENCRYPTED_ASSERTIONS"]),
    ("auth.saml.enabled", &["GOTRUE_SAML_ENABLED"]),
    ("auth.saml.external_url", &["GOTRUE_SAML_EXTERNAL_URL"]),
    ("auth.saml.private_key", &["GOTRUE_SAML_PRIVATE_KEY"]),
    ("auth.saml.rate_limit_assertion", &["GOTRUE_SAML_RATE_LIMIT_ASSERTION"]),
    ("auth.saml.relay_state_validity_period", &["GOTRUE_SAML_RELAY_STATE_VALIDITY_PERIOD"]),
    ("auth.secret_key", &["SUPABASE_SECRET_KEY"]),
    ("auth.service_role_key", &["SERVICE_ROLE_KEY"]),
    ("auth.site_url", &["GOTRUE_SITE_URL", "SITE_URL"]),
    ("auth.sms.enable_confirmations", &["!GOTRUE_SMS_AUTOCONFIRM", "!ENABLE_PHONE_AUTOCONFIRM"]),
    ("auth.sms.enabled", &["GOTRUE_EXTERNAL_PHONE_ENABLED", "ENABLE_PHONE_SIGNUP"]),
    // Not where data lives, but what opens it: the template's name counts in development too.
    ("monobase.database_password", &["POSTGRES_PASSWORD"]),
];

/// The sign-in providers that the CLI knows.
const PROVIDERS: &[&str] = &[
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
    "workos",
    "x",
    "zoom",
];

/// The variables that set a key, most important first.
pub(crate) fn names_of(path: &str) -> Vec<Alias> {
    // Our own section is spoken of in our own names.
    let first = match path.strip_prefix("monobase.") {
        Some(own) => format!("MONOBASE_{}", screaming(own)),
        None => format!("SUPABASE_{}", screaming(path)),
    };
    let mut names = vec![Alias { name: first, negated: false }];
    if let Ok(at) = OTHER_NAMES.binary_search_by(|(known, _)| (*known).cmp(path)) {
        names.extend(OTHER_NAMES[at].1.iter().map(|name| match name.strip_prefix('!') {
            Some(name) => Alias { name: name.to_owned(), negated: true },
            None => Alias { name: (*name).to_owned(), negated: false },
        }));
    }
    names
}

/// The names that a section of free names is known to have.
pub(crate) fn known_names(path: &str) -> &'static [&'static str] {
    if path == "auth.external" { PROVIDERS } else { &[] }
}

/// Whether a variable sets a key of `path.name`.
pub(crate) fn environment_speaks_of(path: &str, name: &str, environment: &Environment) -> bool {
    let prefix = format!("SUPABASE_{}_{}_", screaming(path), screaming(name));
    environment.iter().any(|(variable, _)| variable.starts_with(&prefix))
}

fn screaming(path: &str) -> String {
    path.chars().map(|c| if c == '.' || c == '-' { '_' } else { c.to_ascii_uppercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_its_search() {
        assert!(OTHER_NAMES.is_sorted_by_key(|(path, _)| *path));
    }

    #[test]
    fn the_section_name_comes_first_then_upstream_then_the_generic_one() {
        let names: Vec<String> = names_of("auth.site_url").into_iter().map(|alias| alias.name).collect();
        assert_eq!(names, ["SUPABASE_AUTH_SITE_URL", "GOTRUE_SITE_URL", "SITE_URL"]);
        let names: Vec<String> = names_of("monobase.data_dir").into_iter().map(|alias| alias.name).collect();
        assert_eq!(names, ["MONOBASE_DATA_DIR"]);
    }
}
