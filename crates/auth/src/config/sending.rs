//! What mails and text messages are made of and where they go.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mail::{Credentials, Kind, Sender, SmtpConfig, Source, TemplatesConfig};

use super::environment::Variables;
use super::{ConfigError, Secret};
use crate::addresses::AddressChecks;

/// The outgoing mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Empty: mails are dropped silently, as the original does.
    pub host: String,
    /// Port; 465 speaks TLS from the first byte.
    pub port: u16,
    /// Who signs in; empty is nobody.
    pub user: String,
    /// Their password.
    pub password: Secret,
    /// The sender's address.
    pub admin_email: String,
    /// The sender's name.
    pub sender_name: String,
    /// Further headers with their values; `$messageType` in a value becomes the kind of mail.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Longest wait for any one answer of the server.
    pub timeout: Duration,
    /// Pause between two mails of one kind to one user.
    pub max_frequency: Duration,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            user: String::new(),
            password: Secret::default(),
            admin_email: String::new(),
            sender_name: String::new(),
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(10),
            max_frequency: Duration::from_secs(60),
        }
    }
}

impl Smtp {
    pub(super) fn from_env(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let headers = match vars.text("SMTP_HEADERS") {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| ConfigError::invalid("GOTRUE_SMTP_HEADERS", error.to_string()))?,
        };
        Ok(Self {
            host: vars.text("SMTP_HOST").unwrap_or_default(),
            port: vars.number("SMTP_PORT", default.port)?,
            user: vars.text("SMTP_USER").unwrap_or_default(),
            password: Secret::new(vars.text("SMTP_PASS").unwrap_or_default()),
            admin_email: vars.text("SMTP_ADMIN_EMAIL").unwrap_or_default(),
            sender_name: vars.text("SMTP_SENDER_NAME").unwrap_or_default(),
            headers,
            timeout: default.timeout,
            max_frequency: vars.frequency("SMTP_MAX_FREQUENCY", default.max_frequency)?,
        })
    }

    /// Who sends.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender { address: self.admin_email.clone(), name: self.sender_name.clone() }
    }

    /// The server, if there is one; `hello` is the name by which we introduce ourselves.
    pub(crate) fn server(&self, hello: String) -> Option<SmtpConfig> {
        let credentials = (!self.user.is_empty())
            .then(|| Credentials { user: self.user.clone(), password: self.password.expose().to_owned() });
        (!self.host.is_empty()).then(|| SmtpConfig {
            host: self.host.clone(),
            port: self.port,
            credentials,
            sender: self.sender(),
            hello,
            timeout: self.timeout,
        })
    }
}

/// Subjects and bodies of mails, and how they are fetched.
pub(super) fn templates_from_env(
    vars: &Variables<'_>,
    site_url: &str,
) -> Result<TemplatesConfig, ConfigError> {
    let default = TemplatesConfig::default();
    let mut subjects = HashMap::new();
    let mut bodies = HashMap::new();
    for kind in Kind::ALL {
        let name = kind.as_str().to_uppercase();
        if let Some(subject) = vars.text(&format!("MAILER_SUBJECTS_{name}")) {
            subjects.insert(kind, subject);
        }
        // Ours: the name of a file, or the text itself. The composition root sets them.
        if let Some(path) = vars.text(&format!("MAILER_TEMPLATE_FILES_{name}")) {
            bodies.insert(kind, Source::File(path.into()));
        } else if let Some(text) = vars.text(&format!("MAILER_TEMPLATE_TEXTS_{name}")) {
            bodies.insert(kind, Source::Text(text));
        } else if let Some(url) = vars.text(&format!("MAILER_TEMPLATES_{name}")) {
            let url = if url.starts_with("http") { url } else { format!("{site_url}{url}") };
            bodies.insert(kind, Source::Url(url));
        }
    }
    Ok(TemplatesConfig {
        subjects,
        bodies,
        max_size: vars.number("MAILER_TEMPLATE_MAX_SIZE", default.max_size)?,
        max_age: vars.duration("MAILER_TEMPLATE_MAX_AGE", default.max_age)?,
        retry_interval: vars.duration("MAILER_TEMPLATE_RETRY_INTERVAL", default.retry_interval)?,
        timeout: default.timeout,
    })
}

/// Who sends text messages.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // the providers' names
pub enum SmsProvider {
    #[default]
    None,
    Twilio(Twilio),
    TwilioVerify(Twilio),
    MessageBird(MessageBird),
    TextLocal(TextLocal),
    Vonage(Vonage),
    /// A name that nobody has.
    Unknown(String),
}

impl SmsProvider {
    /// The name in the configuration; empty is none.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::None => "",
            Self::Twilio(_) => "twilio",
            Self::TwilioVerify(_) => "twilio_verify",
            Self::MessageBird(_) => "messagebird",
            Self::TextLocal(_) => "textlocal",
            Self::Vonage(_) => "vonage",
            Self::Unknown(name) => name,
        }
    }

    /// Whether messages can travel by WhatsApp.
    #[must_use]
    pub const fn knows_whatsapp(&self) -> bool {
        matches!(self, Self::Twilio(_) | Self::TwilioVerify(_))
    }

    pub(super) fn from_env(vars: &Variables<'_>) -> Self {
        let text = |name: &str| vars.text(name).unwrap_or_default();
        let secret = |name: &str| Secret::new(text(name));
        let twilio = |prefix: &str| Twilio {
            account_sid: text(&format!("{prefix}_ACCOUNT_SID")),
            auth_token: secret(&format!("{prefix}_AUTH_TOKEN")),
            message_service_sid: text(&format!("{prefix}_MESSAGE_SERVICE_SID")),
            content_sid: text(&format!("{prefix}_CONTENT_SID")),
            base_url: None,
        };
        match text("SMS_PROVIDER").as_str() {
            "" => Self::None,
            "twilio" => Self::Twilio(twilio("SMS_TWILIO")),
            "twilio_verify" => Self::TwilioVerify(twilio("SMS_TWILIO_VERIFY")),
            "messagebird" => Self::MessageBird(MessageBird {
                access_key: secret("SMS_MESSAGEBIRD_ACCESS_KEY"),
                originator: text("SMS_MESSAGEBIRD_ORIGINATOR"),
                base_url: None,
            }),
            "textlocal" => Self::TextLocal(TextLocal {
                api_key: secret("SMS_TEXTLOCAL_API_KEY"),
                sender: text("SMS_TEXTLOCAL_SENDER"),
                base_url: None,
            }),
            "vonage" => Self::Vonage(Vonage {
                api_key: text("SMS_VONAGE_API_KEY"),
                api_secret: secret("SMS_VONAGE_API_SECRET"),
                from: text("SMS_VONAGE_FROM"),
                base_url: None,
            }),
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// An account at Twilio.
#[derive(Clone, Debug, Default)]
pub struct Twilio {
    /// The account.
    pub account_sid: String,
    /// Its password.
    pub auth_token: Secret,
    /// A messaging service, a number, or a Verify service.
    pub message_service_sid: String,
    /// A template for WhatsApp; empty is none.
    pub content_sid: String,
    /// Where the API is; not configurable but by tests.
    pub base_url: Option<String>,
}

/// An account at MessageBird.
#[derive(Clone, Debug, Default)]
pub struct MessageBird {
    /// The key of the API.
    pub access_key: Secret,
    /// Who sends.
    pub originator: String,
    /// Where the API is; not configurable but by tests.
    pub base_url: Option<String>,
}

/// An account at Textlocal.
#[derive(Clone, Debug, Default)]
pub struct TextLocal {
    /// The key of the API.
    pub api_key: Secret,
    /// Who sends.
    pub sender: String,
    /// Where the API is; not configurable but by tests.
    pub base_url: Option<String>,
}

/// An account at Vonage.
#[derive(Clone, Debug, Default)]
pub struct Vonage {
    /// The key of the API.
    pub api_key: String,
    /// Its secret.
    pub api_secret: Secret,
    /// Who sends.
    pub from: String,
    /// Where the API is; not configurable but by tests.
    pub base_url: Option<String>,
}
/// What is looked at before mail goes to an address.
pub(super) fn address_checks(vars: &Variables<'_>) -> Result<AddressChecks, ConfigError> {
    const HEADERS: &str = "MAILER_EMAIL_VALIDATION_SERVICE_HEADERS";
    const BLOCKED: &str = "MAILER_EMAIL_VALIDATION_BLOCKED_MX";
    let json = |name: &str| vars.text(name).unwrap_or_default();
    let service_headers = match json(HEADERS) {
        text if text.is_empty() => BTreeMap::new(),
        text => serde_json::from_str(&text).map_err(|_| {
            ConfigError::invalid(format!("GOTRUE_{HEADERS}"), "is not an object of lists of texts")
        })?,
    };
    let blocked: Vec<String> = match json(BLOCKED) {
        text if text.is_empty() => Vec::new(),
        text => serde_json::from_str(&text)
            .map_err(|_| ConfigError::invalid(format!("GOTRUE_{BLOCKED}"), "is not a list of texts"))?,
    };
    Ok(AddressChecks {
        extended: vars.flag("MAILER_EMAIL_VALIDATION_EXTENDED", false)?,
        service_url: vars.text("MAILER_EMAIL_VALIDATION_SERVICE_URL").unwrap_or_default(),
        service_headers,
        blocked_servers: blocked.iter().map(|host| host.trim_end_matches('.').to_lowercase()).collect(),
    })
}
