//! Text messages, through one of five providers.

mod messagebird;
mod textlocal;
mod twilio;
mod vonage;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::State;
use crate::config::{SmsProvider, Twilio};
use crate::error::{Cause, Error};
use crate::http::escape_query;

/// A text message on its way.
#[derive(Clone)]
pub(crate) struct TextMessage {
    /// The number, without `+`.
    pub(crate) phone: String,
    /// What it says.
    pub(crate) text: String,
    /// The digits in it.
    pub(crate) code: String,
    /// `sms` or `whatsapp`.
    pub(crate) channel: String,
}

impl fmt::Debug for TextMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextMessage").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// Why a message was not sent, or a code not accepted: the provider's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TextError(pub(crate) String);

/// A future of [`Provider`].
pub(crate) type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, TextError>> + Send + 'a>>;

/// Somebody who sends text messages.
pub(crate) trait Provider: Send + Sync {
    /// Sends, and returns the provider's id of the message.
    fn send<'a>(&'a self, message: &'a TextMessage) -> Call<'a, String>;

    /// Checks a code, where the provider makes up the codes itself.
    fn verify<'a>(&'a self, _phone: &'a str, _code: &'a str) -> Option<Call<'a, ()>> {
        None
    }
}

/// The provider that an instance is configured with.
pub(crate) fn of(state: &State) -> Result<Box<dyn Provider>, Error> {
    let config = state.config();
    provider(&config.sms.provider, state.outside().client().clone(), config.internal_http_timeout)
        .map_err(|reason| Error::internal("Unable to get SMS provider").because(Cause::Other(reason.into())))
}

/// The provider of a configuration. The error is what is wrong with its settings.
pub(crate) fn provider(
    settings: &SmsProvider,
    client: reqwest::Client,
    timeout: Duration,
) -> Result<Box<dyn Provider>, String> {
    let missing = |fields: &[(&str, &str)]| match fields.iter().find(|(value, _)| value.is_empty()) {
        Some((_, what)) => Err(format!("missing {what}")),
        None => Ok(()),
    };
    let http = |base: &Option<String>, default: &str| Http {
        client: client.clone(),
        base: base.clone().unwrap_or_else(|| default.to_owned()),
        timeout,
    };
    match settings {
        SmsProvider::None => Err("sms Provider  could not be found".into()),
        SmsProvider::Unknown(name) => Err(format!("sms Provider {name} could not be found")),
        SmsProvider::Twilio(twilio) => {
            missing(&twilio_fields(twilio))?;
            let http = http(&twilio.base_url, "https://api.twilio.com");
            Ok(Box::new(twilio::Messages { http, settings: twilio.clone() }))
        }
        SmsProvider::TwilioVerify(twilio) => {
            missing(&twilio_fields(twilio))?;
            let http = http(&twilio.base_url, "https://verify.twilio.com");
            Ok(Box::new(twilio::Verify { http, settings: twilio.clone() }))
        }
        SmsProvider::MessageBird(bird) => {
            missing(&[
                (bird.access_key.expose(), "Messagebird access key"),
                (&bird.originator, "Messagebird originator"),
            ])?;
            let http = http(&bird.base_url, "https://rest.messagebird.com");
            Ok(Box::new(messagebird::MessageBird { http, settings: bird.clone() }))
        }
        SmsProvider::TextLocal(local) => {
            missing(&[(local.api_key.expose(), "Textlocal API key"), (&local.sender, "Textlocal sender")])?;
            let http = http(&local.base_url, "https://api.textlocal.in");
            Ok(Box::new(textlocal::TextLocal { http, settings: local.clone() }))
        }
        SmsProvider::Vonage(vonage) => {
            missing(&[
                (&vonage.api_key, "Vonage API key"),
                (vonage.api_secret.expose(), "Vonage API secret"),
                (&vonage.from, "Vonage 'from' parameter"),
            ])?;
            let http = http(&vonage.base_url, "https://rest.nexmo.com");
            Ok(Box::new(vonage::Vonage { http, settings: vonage.clone() }))
        }
    }
}

fn twilio_fields(twilio: &Twilio) -> [(&str, &'static str); 3] {
    [
        (&twilio.account_sid, "Twilio account SID"),
        (twilio.auth_token.expose(), "Twilio auth token"),
        (&twilio.message_service_sid, "Twilio message service SID or Twilio phone number"),
    ]
}

/// Calls to a provider's API.
struct Http {
    client: reqwest::Client,
    base: String,
    timeout: Duration,
}

/// Largest answer of a provider that is read.
const MAX_ANSWER: usize = 1024 * 1024;

/// An answer of a provider.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn json<T: DeserializeOwned>(&self) -> Result<T, TextError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            TextError(format!("the answer (status {}) cannot be read: {error}", self.status))
        })
    }

    fn is_created(&self) -> bool {
        matches!(self.status, 200 | 201)
    }
}

impl Http {
    /// Posts a form. Keys are sent in their order, which is that of the alphabet.
    async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        sign: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Answer, TextError> {
        let failed = |error: reqwest::Error| TextError(error.without_url().to_string());
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .timeout(self.timeout)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encode(form));
        let mut answer = sign(request).send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(TextError("the answer is too large".into()));
            }
        }
        Ok(Answer { status, body })
    }
}

/// A form as a body.
pub(crate) fn encode(form: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        form.iter().map(|(key, value)| format!("{}={}", escape_query(key), escape_query(value))).collect();
    pairs.join("&")
}
