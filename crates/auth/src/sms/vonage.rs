//! Vonage.

use serde::Deserialize;

use super::{Call, Http, Provider, TextError, TextMessage};
use crate::config::Vonage as Settings;

pub(super) struct Vonage {
    pub(super) http: Http,
    pub(super) settings: Settings,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    messages: Vec<Sent>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Sent {
    message_id: String,
    status: String,
    error_text: String,
}

impl Provider for Vonage {
    fn send<'a>(&'a self, message: &'a TextMessage) -> Call<'a, String> {
        Box::pin(async move {
            if message.channel != "sms" {
                return Err(TextError(format!(
                    "channel type {:?} is not supported for Vonage",
                    message.channel
                )));
            }
            let settings = &self.settings;
            let mut form = vec![
                ("api_key", settings.api_key.as_str()),
                ("api_secret", settings.api_secret.expose()),
                ("from", &settings.from),
                ("text", &message.text),
                ("to", &message.phone),
            ];
            if !message.text.is_ascii() {
                form.push(("type", "unicode"));
            }
            let answer: Answer = self.http.post("/sms/json", &form, |request| request).await?.json()?;
            let Some(sent) = answer.messages.into_iter().next() else {
                return Err(TextError("vonage error: Internal Error".into()));
            };
            if sent.status == "0" {
                return Ok(sent.message_id);
            }
            let Sent { message_id, status, error_text } = sent;
            Err(TextError(format!("vonage error: {error_text} (status: {status}) for message {message_id}")))
        })
    }
}
