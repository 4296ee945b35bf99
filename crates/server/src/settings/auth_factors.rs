//! `[auth.mfa]`, `[auth.webauthn]` and `[auth.passkey]` → GoTrue's settings.

/// The settings of second factors, security keys and passkeys.
pub(super) fn variables(section: &config::file::Auth) -> Vec<(&'static str, String)> {
    let mfa = &section.mfa;
    let webauthn = &section.webauthn;
    vec![
        ("GOTRUE_MFA_MAX_ENROLLED_FACTORS", mfa.max_enrolled_factors.to_string()),
        ("GOTRUE_MFA_TOTP_ENROLL_ENABLED", mfa.totp.enroll_enabled.to_string()),
        ("GOTRUE_MFA_TOTP_VERIFY_ENABLED", mfa.totp.verify_enabled.to_string()),
        ("GOTRUE_MFA_PHONE_ENROLL_ENABLED", mfa.phone.enroll_enabled.to_string()),
        ("GOTRUE_MFA_PHONE_VERIFY_ENABLED", mfa.phone.verify_enabled.to_string()),
        ("GOTRUE_MFA_PHONE_OTP_LENGTH", mfa.phone.otp_length.to_string()),
        ("GOTRUE_MFA_PHONE_TEMPLATE", mfa.phone.template.clone()),
        ("GOTRUE_MFA_PHONE_MAX_FREQUENCY", mfa.phone.max_frequency.to_string()),
        ("GOTRUE_MFA_WEB_AUTHN_ENROLL_ENABLED", mfa.web_authn.enroll_enabled.to_string()),
        ("GOTRUE_MFA_WEB_AUTHN_VERIFY_ENABLED", mfa.web_authn.verify_enabled.to_string()),
        ("GOTRUE_WEBAUTHN_RP_ID", webauthn.rp_id.clone().unwrap_or_default()),
        ("GOTRUE_WEBAUTHN_RP_DISPLAY_NAME", webauthn.rp_display_name.clone().unwrap_or_default()),
        ("GOTRUE_WEBAUTHN_RP_ORIGINS", webauthn.rp_origins.join(",")),
        ("GOTRUE_PASSKEY_ENABLED", section.passkey.enabled.to_string()),
    ]
}
