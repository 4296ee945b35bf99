//! `[auth]` and everything below it.

use std::time::Duration;

use crate::reader::{Named, choice, section};
use crate::secret::Secret;
use crate::units::GoDuration;

section! {
    /// `[auth]`
    Auth {
        enabled: bool = true,
        site_url: String = "http://127.0.0.1:3000",
        external_url: Option<String>,
        additional_redirect_urls: Vec<String> = vec!["https://127.0.0.1:3000".to_owned()],
        jwt_expiry: u32 = 3600u32,
        jwt_issuer: Option<String>,
        signing_keys_path: Option<String>,
        jwt_secret: Secret,
        anon_key: Secret,
        service_role_key: Secret,
        publishable_key: Secret,
        secret_key: Secret,
        enable_refresh_token_rotation: bool = true,
        refresh_token_reuse_interval: u32 = 10u32,
        enable_signup: bool = true,
        enable_anonymous_sign_ins: bool = false,
        enable_manual_linking: bool = false,
        minimum_password_length: u16 = 6u16,
        password_requirements: String = "",
        rate_limit: RateLimit,
        captcha: Captcha,
        email: Email,
        sms: Sms,
        sessions: Sessions,
        hook: Hooks,
        mfa: Mfa,
        passkey: Switch,
        webauthn: WebAuthn,
        external: Named<Provider>,
        web3: Web3,
        saml: Saml,
        third_party: ThirdParty,
        oauth_server: OAuthServer,
    }
}

section! {
    /// A section that only switches something.
    Switch {
        enabled: bool = false,
    }
}

section! {
    /// `[auth.rate_limit]`
    RateLimit {
        email_sent: u32 = 2u32,
        sms_sent: u32 = 30u32,
        anonymous_users: u32 = 30u32,
        token_refresh: u32 = 150u32,
        sign_in_sign_ups: u32 = 30u32,
        token_verifications: u32 = 30u32,
        web3: u32 = 30u32,
    }
}

choice! {
    /// `auth.captcha.provider`
    CaptchaProvider("\"hcaptcha\" or \"turnstile\"") {
        HCaptcha = "hcaptcha",
        Turnstile = "turnstile",
    }
}

section! {
    /// `[auth.captcha]`
    Captcha {
        enabled: bool = false,
        provider: Option<CaptchaProvider>,
        secret: Secret,
    }
}

section! {
    /// `[auth.email]`
    Email {
        enabled | enable_signup: bool = true,
        double_confirm_changes: bool = true,
        enable_confirmations: bool = false,
        secure_password_change: bool = false,
        require_current_password: bool = false,
        max_frequency: GoDuration = GoDuration(Duration::from_secs(1)),
        otp_length: u8 = 6u8,
        otp_expiry: u32 = 3600u32,
        smtp: Smtp,
        template: Named<Template>,
        notification: Named<Template>,
    }
}

section! {
    /// `[auth.email.smtp]`
    Smtp {
        /// Not set: on when there is a host.
        enabled: Option<bool>,
        host: Option<String>,
        port: u16 = 587u16,
        user: Option<String>,
        pass: Secret,
        admin_email: Option<String>,
        sender_name: Option<String>,
    }
}

section! {
    /// `[auth.email.template.<kind>]` and `[auth.email.notification.<kind>]`
    Template {
        enabled: bool = false,
        subject: Option<String>,
        content: Option<String>,
        content_path: Option<String>,
    }
}

section! {
    /// `[auth.sms]`
    Sms {
        enabled | enable_signup: bool = false,
        enable_confirmations: bool = false,
        template: String = "Your code is {{ .Code }}",
        max_frequency: GoDuration = GoDuration(Duration::from_secs(5)),
        test_otp: Named<String>,
        twilio: Twilio,
        twilio_verify: Twilio,
        messagebird: MessageBird,
        textlocal: TextLocal,
        vonage: Vonage,
    }
}

section! {
    /// `[auth.sms.twilio]` and `[auth.sms.twilio_verify]`
    Twilio {
        enabled: bool = false,
        account_sid: Option<String>,
        message_service_sid: Option<String>,
        auth_token: Secret,
    }
}

section! {
    /// `[auth.sms.messagebird]`
    MessageBird {
        enabled: bool = false,
        originator: Option<String>,
        access_key: Secret,
    }
}

section! {
    /// `[auth.sms.textlocal]`
    TextLocal {
        enabled: bool = false,
        sender: Option<String>,
        api_key: Secret,
    }
}

section! {
    /// `[auth.sms.vonage]`
    Vonage {
        enabled: bool = false,
        from: Option<String>,
        api_key: Option<String>,
        api_secret: Secret,
    }
}

section! {
    /// `[auth.sessions]`
    Sessions {
        timebox: Option<GoDuration>,
        inactivity_timeout: Option<GoDuration>,
    }
}

section! {
    /// `[auth.hook]`
    Hooks {
        mfa_verification_attempt: Hook,
        password_verification_attempt: Hook,
        custom_access_token: Hook,
        send_sms: Hook,
        send_email: Hook,
        before_user_created: Hook,
    }
}

section! {
    /// `[auth.hook.<name>]`
    Hook {
        enabled: bool = false,
        uri: Option<String>,
        secrets: Vec<Secret>,
    }
}

section! {
    /// `[auth.mfa]`
    Mfa {
        max_enrolled_factors: u16 = 10u16,
        totp: MfaFactor,
        phone: MfaPhone,
        web_authn: MfaFactor,
    }
}

section! {
    /// `[auth.mfa.totp]` and `[auth.mfa.web_authn]`
    MfaFactor {
        enroll_enabled: bool = false,
        verify_enabled: bool = false,
    }
}

section! {
    /// `[auth.mfa.phone]`
    MfaPhone {
        enroll_enabled: bool = false,
        verify_enabled: bool = false,
        otp_length: u8 = 6u8,
        template: String = "Your code is {{ .Code }}",
        max_frequency: GoDuration = GoDuration(Duration::from_secs(5)),
    }
}

section! {
    /// `[auth.webauthn]`
    WebAuthn {
        rp_display_name: Option<String>,
        rp_id: Option<String>,
        rp_origins: Vec<String>,
    }
}

section! {
    /// `[auth.external.<provider>]`
    Provider {
        enabled: bool = false,
        client_id: Option<String>,
        secret: Secret,
        redirect_uri: Option<String>,
        url: Option<String>,
        skip_nonce_check: bool = false,
        email_optional: bool = false,
    }
}

section! {
    /// `[auth.web3]`
    Web3 {
        solana: Switch,
        ethereum: Switch,
    }
}

section! {
    /// `[auth.saml]`: ours, the CLI has none.
    Saml {
        enabled: bool = false,
        private_key: Secret,
        allow_encrypted_assertions: bool = false,
        relay_state_validity_period: GoDuration = GoDuration(Duration::from_secs(120)),
        external_url: Option<String>,
        rate_limit_assertion: u32 = 15u32,
    }
}

section! {
    /// `[auth.third_party]`
    ThirdParty {
        firebase: Firebase,
        auth0: Auth0,
        aws_cognito: Cognito,
        clerk: Clerk,
        workos: WorkOs,
    }
}

section! {
    /// `[auth.third_party.firebase]`
    Firebase {
        enabled: bool = false,
        project_id: Option<String>,
    }
}

section! {
    /// `[auth.third_party.auth0]`
    Auth0 {
        enabled: bool = false,
        tenant: Option<String>,
        tenant_region: Option<String>,
    }
}

section! {
    /// `[auth.third_party.aws_cognito]`
    Cognito {
        enabled: bool = false,
        user_pool_id: Option<String>,
        user_pool_region: Option<String>,
    }
}

section! {
    /// `[auth.third_party.clerk]`
    Clerk {
        enabled: bool = false,
        domain: Option<String>,
    }
}

section! {
    /// `[auth.third_party.workos]`
    WorkOs {
        enabled: bool = false,
        issuer_url: Option<String>,
    }
}

section! {
    /// `[auth.oauth_server]`
    OAuthServer {
        enabled: bool = false,
        authorization_url_path: String = "/oauth/consent",
        allow_dynamic_registration: bool = false,
    }
}
