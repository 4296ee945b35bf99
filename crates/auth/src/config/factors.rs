//! Second factors, security keys and passkeys.

use std::time::Duration;

use super::ConfigError;
use super::environment::{Variables, code_length};

/// Rules of second factors.
#[derive(Clone, Debug)]
pub struct Mfa {
    /// How long a challenge can be answered; never below five minutes.
    pub challenge_expiry: Duration,
    /// How long an enrollment nobody finishes counts; never below five minutes.
    pub factor_expiry: Duration,
    /// Challenges and verifications, per minute each.
    pub rate_limit: f64,
    /// Factors of one user, finished or not.
    pub max_enrolled_factors: usize,
    /// Finished ones.
    pub max_verified_factors: usize,
    /// Authenticator apps.
    pub totp: FactorSwitch,
    /// Codes by text message.
    pub phone: PhoneFactor,
    /// Security keys.
    pub web_authn: FactorSwitch,
}

/// What may be done with a kind of factors.
#[derive(Clone, Copy, Debug)]
pub struct FactorSwitch {
    /// New ones may be added.
    pub enroll_enabled: bool,
    /// Those that exist may be used.
    pub verify_enabled: bool,
}

/// Codes by text message.
#[derive(Clone, Debug)]
pub struct PhoneFactor {
    /// New numbers may be added.
    pub enroll_enabled: bool,
    /// Those that exist may be used.
    pub verify_enabled: bool,
    /// Digits of a code, 6 to 10.
    pub otp_length: usize,
    /// Text of the message, a Go template with `.Code`.
    pub template: String,
    /// Pause between two messages to one factor.
    pub max_frequency: Duration,
}

/// The relying party of security keys and passkeys.
#[derive(Clone, Debug)]
pub struct WebAuthn {
    /// The domain credentials are bound to. Empty: requests for second factors name it, passkeys are off.
    pub rp_id: String,
    /// The name browsers show; the domain if empty.
    pub rp_display_name: String,
    /// Pages that may use the credentials.
    pub rp_origins: Vec<String>,
    /// How long a passkey's challenge can be answered.
    pub challenge_expiry: Duration,
}

/// Signing in with a passkey alone.
#[derive(Clone, Copy, Debug)]
pub struct Passkey {
    /// Whether there is such a thing.
    pub enabled: bool,
    /// Passkeys of one user.
    pub max_per_user: usize,
    /// Challenges of one caller, per five minutes.
    pub rate_limit: f64,
}

const FIVE_MINUTES: Duration = Duration::from_secs(300);

impl Default for Mfa {
    fn default() -> Self {
        Self {
            challenge_expiry: FIVE_MINUTES,
            factor_expiry: FIVE_MINUTES,
            rate_limit: 15.0,
            max_enrolled_factors: 10,
            max_verified_factors: 10,
            totp: FactorSwitch { enroll_enabled: true, verify_enabled: true },
            phone: PhoneFactor {
                enroll_enabled: false,
                verify_enabled: false,
                otp_length: 6,
                template: "Your code is {{ .Code }}".into(),
                max_frequency: Duration::from_secs(60),
            },
            web_authn: FactorSwitch { enroll_enabled: false, verify_enabled: false },
        }
    }
}

impl Default for WebAuthn {
    fn default() -> Self {
        Self {
            rp_id: String::new(),
            rp_display_name: String::new(),
            rp_origins: Vec::new(),
            challenge_expiry: FIVE_MINUTES,
        }
    }
}

impl Default for Passkey {
    fn default() -> Self {
        Self { enabled: false, max_per_user: 10, rate_limit: 30.0 }
    }
}

impl WebAuthn {
    pub(crate) fn display_name(&self) -> &str {
        if self.rp_display_name.is_empty() { &self.rp_id } else { &self.rp_display_name }
    }
}

impl Mfa {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let seconds: f64 = vars.number("MFA_CHALLENGE_EXPIRY_DURATION", 300.0)?;
        let challenge_expiry = Duration::try_from_secs_f64(seconds).map_err(|error| {
            ConfigError::invalid("GOTRUE_MFA_CHALLENGE_EXPIRY_DURATION", error.to_string())
        })?;
        let switch = |name: &str, default: bool| -> Result<FactorSwitch, ConfigError> {
            Ok(FactorSwitch {
                enroll_enabled: vars.flag(&format!("MFA_{name}_ENROLL_ENABLED"), default)?,
                verify_enabled: vars.flag(&format!("MFA_{name}_VERIFY_ENABLED"), default)?,
            })
        };
        let phone = switch("PHONE", false)?;
        let enrolled: f64 = vars.number("MFA_MAX_ENROLLED_FACTORS", default.max_enrolled_factors as f64)?;
        Ok(Self {
            challenge_expiry: challenge_expiry.max(FIVE_MINUTES),
            factor_expiry: vars
                .duration("MFA_FACTOR_EXPIRY_DURATION", default.factor_expiry)?
                .max(FIVE_MINUTES),
            rate_limit: vars.number("MFA_RATE_LIMIT_CHALLENGE_AND_VERIFY", default.rate_limit)?,
            max_enrolled_factors: enrolled as usize,
            max_verified_factors: vars.number("MFA_MAX_VERIFIED_FACTORS", default.max_verified_factors)?,
            totp: switch("TOTP", true)?,
            phone: PhoneFactor {
                enroll_enabled: phone.enroll_enabled,
                verify_enabled: phone.verify_enabled,
                otp_length: code_length(vars.number("MFA_PHONE_OTP_LENGTH", 0)?),
                template: vars.text("MFA_PHONE_TEMPLATE").unwrap_or(default.phone.template),
                max_frequency: vars.frequency("MFA_PHONE_MAX_FREQUENCY", default.phone.max_frequency)?,
            },
            web_authn: switch("WEB_AUTHN", false)?,
        })
    }
}

impl WebAuthn {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            rp_id: vars.text("WEBAUTHN_RP_ID").unwrap_or_default(),
            rp_display_name: vars.text("WEBAUTHN_RP_DISPLAY_NAME").unwrap_or_default(),
            rp_origins: vars.list("WEBAUTHN_RP_ORIGINS").unwrap_or_default(),
            challenge_expiry: vars.duration("WEBAUTHN_CHALLENGE_EXPIRY_DURATION", FIVE_MINUTES)?,
        })
    }
}

impl Passkey {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        let default = Self::default();
        Ok(Self {
            enabled: vars.flag("PASSKEY_ENABLED", false)?,
            max_per_user: vars.number("PASSKEY_MAX_PASSKEYS_PER_USER", default.max_per_user)?,
            rate_limit: vars.number("RATE_LIMIT_PASSKEY", default.rate_limit)?,
        })
    }
}
