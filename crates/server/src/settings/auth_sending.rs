//! `[auth.email]`, `[auth.sms]`, `[auth.hook]` and `[auth.captcha]` → GoTrue's settings of what it sends and whom it asks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::Config;

/// Adds the names. `has_server` tells whether the project has a mail server of its own.
pub(super) fn add(config: &Config, has_server: bool, values: &mut BTreeMap<String, String>) {
    mail_server(config, has_server, values);
    templates(config, values);
    text_messages(config, values);
    let mut set = |name: &str, value: String| {
        values.insert(format!("GOTRUE_{name}"), value);
    };
    let hooks = &config.file.auth.hook;
    for (name, hook) in [
        ("MFA_VERIFICATION_ATTEMPT", &hooks.mfa_verification_attempt),
        ("PASSWORD_VERIFICATION_ATTEMPT", &hooks.password_verification_attempt),
        ("CUSTOM_ACCESS_TOKEN", &hooks.custom_access_token),
        ("SEND_SMS", &hooks.send_sms),
        ("SEND_EMAIL", &hooks.send_email),
        ("BEFORE_USER_CREATED", &hooks.before_user_created),
    ] {
        set(&format!("HOOK_{name}_ENABLED"), hook.enabled.to_string());
        if hook.enabled {
            let secrets: Vec<&str> = hook.secrets.iter().map(|secret| secret.expose()).collect();
            set(&format!("HOOK_{name}_URI"), hook.uri.clone().unwrap_or_default());
            set(&format!("HOOK_{name}_SECRETS"), secrets.join("|"));
        }
    }
    let captcha = &config.file.auth.captcha;
    set("SECURITY_CAPTCHA_ENABLED", captcha.enabled.to_string());
    if captcha.enabled {
        let provider = match captcha.provider {
            Some(config::file::CaptchaProvider::Turnstile) => "turnstile",
            _ => "hcaptcha",
        };
        set("SECURITY_CAPTCHA_PROVIDER", provider.to_owned());
        set("SECURITY_CAPTCHA_SECRET", captcha.secret.expose().to_owned());
    }
}

fn mail_server(config: &Config, has_server: bool, values: &mut BTreeMap<String, String>) {
    let smtp = &config.file.auth.email.smtp;
    let mut set = |name: &str, value: String| {
        values.insert(format!("GOTRUE_SMTP_{name}"), value);
    };
    set("HOST", smtp.host.clone().filter(|_| has_server).unwrap_or_default());
    if has_server {
        set("PORT", smtp.port.to_string());
        set("USER", smtp.user.clone().unwrap_or_default());
        set("PASS", smtp.pass.expose().to_owned());
        set("ADMIN_EMAIL", smtp.admin_email.clone().unwrap_or_default());
        set("SENDER_NAME", smtp.sender_name.clone().unwrap_or_default());
    }
}

fn templates(config: &Config, values: &mut BTreeMap<String, String>) {
    let email = &config.file.auth.email;
    let mut set = |name: String, value: String| {
        values.insert(format!("GOTRUE_MAILER_{name}"), value);
    };
    for (kind, template) in &email.template {
        let kind = kind.to_uppercase();
        if let Some(subject) = &template.subject {
            set(format!("SUBJECTS_{kind}"), subject.clone());
        }
        if let Some(path) = &template.content_path {
            set(format!("TEMPLATE_FILES_{kind}"), located(config, path));
        } else if let Some(text) = &template.content {
            set(format!("TEMPLATE_TEXTS_{kind}"), text.clone());
        }
    }
    for (kind, notification) in &email.notification {
        let kind = kind.to_uppercase();
        set(format!("NOTIFICATIONS_{kind}_ENABLED"), notification.enabled.to_string());
        let template = format!("{kind}_NOTIFICATION");
        if let Some(subject) = &notification.subject {
            set(format!("SUBJECTS_{template}"), subject.clone());
        }
        if let Some(path) = &notification.content_path {
            set(format!("TEMPLATE_FILES_{template}"), located(config, path));
        } else if let Some(text) = &notification.content {
            set(format!("TEMPLATE_TEXTS_{template}"), text.clone());
        }
    }
}

/// Older projects name templates from the project's folder, newer ones from `supabase/`.
fn located(config: &Config, path: &str) -> String {
    let from_root: PathBuf = config.paths.root.join(path);
    let found = if from_root.exists() { from_root } else { config.paths.supabase.join(path) };
    found.to_string_lossy().into_owned()
}

fn text_messages(config: &Config, values: &mut BTreeMap<String, String>) {
    let sms = &config.file.auth.sms;
    let mut set = |name: &str, value: String| {
        values.insert(format!("GOTRUE_SMS_{name}"), value);
    };
    set("TEMPLATE", sms.template.clone());
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for (name, prefix, twilio) in
        [("twilio", "TWILIO", &sms.twilio), ("twilio_verify", "TWILIO_VERIFY", &sms.twilio_verify)]
    {
        if twilio.enabled {
            set("PROVIDER", name.to_owned());
            set(&format!("{prefix}_ACCOUNT_SID"), text(&twilio.account_sid));
            set(&format!("{prefix}_MESSAGE_SERVICE_SID"), text(&twilio.message_service_sid));
            set(&format!("{prefix}_AUTH_TOKEN"), twilio.auth_token.expose().to_owned());
        }
    }
    if sms.messagebird.enabled {
        set("PROVIDER", "messagebird".to_owned());
        set("MESSAGEBIRD_ORIGINATOR", text(&sms.messagebird.originator));
        set("MESSAGEBIRD_ACCESS_KEY", sms.messagebird.access_key.expose().to_owned());
    }
    if sms.textlocal.enabled {
        set("PROVIDER", "textlocal".to_owned());
        set("TEXTLOCAL_SENDER", text(&sms.textlocal.sender));
        set("TEXTLOCAL_API_KEY", sms.textlocal.api_key.expose().to_owned());
    }
    if sms.vonage.enabled {
        set("PROVIDER", "vonage".to_owned());
        set("VONAGE_FROM", text(&sms.vonage.from));
        set("VONAGE_API_KEY", text(&sms.vonage.api_key));
        set("VONAGE_API_SECRET", sms.vonage.api_secret.expose().to_owned());
    }
}
