//! Twilio: Programmable Messaging, and Verify, which makes up the codes itself.

use serde::Deserialize;

use super::{Answer, Call, Http, Provider, TextError, TextMessage};
use crate::config::Twilio;

pub(super) struct Messages {
    pub(super) http: Http,
    pub(super) settings: Twilio,
}

pub(super) struct Verify {
    pub(super) http: Http,
    pub(super) settings: Twilio,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    sid: Option<String>,
    status: Option<String>,
    /// A number or a text, depending on the API.
    error_code: serde_json::Value,
    error_message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Checked {
    status: String,
    valid: bool,
    error_message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    message: String,
    more_info: String,
}

fn refused(answer: &Answer) -> TextError {
    match answer.json::<Problem>() {
        Ok(problem) => TextError(format!("{} More information: {}", problem.message, problem.more_info)),
        Err(error) => error,
    }
}

fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn unsupported(channel: &str) -> TextError {
    TextError(format!("channel type {channel:?} is not supported for Twilio"))
}

impl Provider for Messages {
    fn send<'a>(&'a self, message: &'a TextMessage) -> Call<'a, String> {
        Box::pin(async move {
            let settings = &self.settings;
            let number = format!("+{}", message.phone);
            let sender = &settings.message_service_sid;
            let answer = match message.channel.as_str() {
                "sms" => {
                    let form = [
                        ("Body", message.text.as_str()),
                        ("Channel", "sms"),
                        ("From", sender),
                        ("To", &number),
                    ];
                    self.post(&form).await?
                }
                "whatsapp" => {
                    let receiver = format!("whatsapp:{number}");
                    let variables = format!("{{\"1\": \"{}\"}}", message.code);
                    let content: &[(&str, &str)] = if settings.content_sid.is_empty() {
                        &[("Body", &message.text)]
                    } else {
                        &[("ContentSid", &settings.content_sid), ("ContentVariables", &variables)]
                    };
                    let mut form = content.to_vec();
                    form.extend([("Channel", "whatsapp"), ("From", sender.as_str()), ("To", &receiver)]);
                    form.sort_unstable();
                    self.post(&form).await?
                }
                other => return Err(unsupported(other)),
            };
            if !answer.is_created() {
                return Err(refused(&answer));
            }
            let sent: Sent = answer.json()?;
            let id = sent.sid.unwrap_or_default();
            if matches!(sent.status.as_deref(), Some("failed" | "undelivered")) {
                let reason = sent.error_message.unwrap_or_default();
                return Err(TextError(format!(
                    "twilio error: {reason} {} for message {id}",
                    text(&sent.error_code)
                )));
            }
            Ok(id)
        })
    }
}

impl Messages {
    async fn post(&self, form: &[(&str, &str)]) -> Result<Answer, TextError> {
        let settings = &self.settings;
        let path = format!("/2010-04-01/Accounts/{}/Messages.json", settings.account_sid);
        self.http
            .post(&path, form, |request| {
                request.basic_auth(&settings.account_sid, Some(settings.auth_token.expose()))
            })
            .await
    }
}

impl Verify {
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, TextError> {
        let settings = &self.settings;
        let path = format!("/v2/Services/{}/{path}", settings.message_service_sid);
        let answer = self
            .http
            .post(&path, form, |request| {
                request.basic_auth(&settings.account_sid, Some(settings.auth_token.expose()))
            })
            .await?;
        if answer.is_created() { Ok(answer) } else { Err(refused(&answer)) }
    }
}

impl Provider for Verify {
    fn send<'a>(&'a self, message: &'a TextMessage) -> Call<'a, String> {
        Box::pin(async move {
            if !matches!(message.channel.as_str(), "sms" | "whatsapp") {
                return Err(unsupported(&message.channel));
            }
            let number = format!("+{}", message.phone);
            let form = [("Channel", message.channel.as_str()), ("To", &number)];
            let sent: Sent = self.post("Verifications", &form).await?.json()?;
            Ok(sent.sid.unwrap_or_default())
        })
    }

    fn verify<'a>(&'a self, phone: &'a str, code: &'a str) -> Option<Call<'a, ()>> {
        Some(Box::pin(async move {
            let number = format!("+{phone}");
            let answer = self.post("VerificationCheck", &[("Code", code), ("To", &number)]).await?;
            let checked: Checked = answer.json()?;
            if checked.status == "approved" && checked.valid {
                return Ok(());
            }
            let reason = checked.error_message.unwrap_or_default();
            Err(TextError(format!("twilio verification error: {reason} {}", checked.status)))
        }))
    }
}
