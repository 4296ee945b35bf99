//! Textlocal.

use serde::Deserialize;

use super::{Call, Http, Provider, TextError, TextMessage};
use crate::config::TextLocal as Settings;

pub(super) struct TextLocal {
    pub(super) http: Http,
    pub(super) settings: Settings,
}

/// The code of a message that fits none of the sender's registered templates.
const TEMPLATE_ERROR: i64 = 80;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    status: String,
    errors: Vec<Problem>,
    messages: Vec<Sent>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: i64,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    id: String,
}

impl Provider for TextLocal {
    fn send<'a>(&'a self, message: &'a TextMessage) -> Call<'a, String> {
        Box::pin(async move {
            if message.channel != "sms" {
                return Err(TextError(format!(
                    "channel type {:?} is not supported for TextLocal",
                    message.channel
                )));
            }
            let form = [
                ("apikey", self.settings.api_key.expose()),
                ("message", &message.text),
                ("numbers", &message.phone),
                ("sender", &self.settings.sender),
            ];
            let answer: Answer = self.http.post("/send", &form, |request| request).await?.json()?;
            // The original forgets the id of a message that was sent.
            if answer.status == "success" {
                return Ok(String::new());
            }
            let id = answer.messages.into_iter().next().unwrap_or_default().id;
            let Problem { code, message: reason } = answer.errors.into_iter().next().unwrap_or_default();
            Err(TextError(if code == TEMPLATE_ERROR {
                format!("textlocal error: {reason} (code: {code}) template message: {}", message.text)
            } else {
                format!("textlocal error: {reason} (code: {code}) message {id}")
            }))
        })
    }
}
