//! MessageBird.

use serde::Deserialize;

use super::{Call, Http, Provider, TextError, TextMessage};
use crate::config::MessageBird as Settings;

pub(super) struct MessageBird {
    pub(super) http: Http,
    pub(super) settings: Settings,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    id: String,
    recipients: Recipients,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Recipients {
    total_sent_count: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problems {
    errors: Vec<Problem>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    description: String,
}

impl Provider for MessageBird {
    fn send<'a>(&'a self, message: &'a TextMessage) -> Call<'a, String> {
        Box::pin(async move {
            if message.channel != "sms" {
                return Err(TextError(format!(
                    "channel type {:?} is not supported for Messagebird",
                    message.channel
                )));
            }
            let form = [
                ("body", message.text.as_str()),
                ("datacoding", "unicode"),
                ("originator", &self.settings.originator),
                ("recipients", &message.phone),
                ("type", "sms"),
            ];
            let key = format!("AccessKey {}", self.settings.access_key.expose());
            let answer =
                self.http.post("/messages", &form, |request| request.header("authorization", key)).await?;
            if matches!(answer.status, 400 | 401 | 403 | 422) {
                let problems: Problems = answer.json()?;
                let first = problems.errors.into_iter().next().unwrap_or_default();
                return Err(TextError(first.description));
            }
            let sent: Sent = answer.json()?;
            if sent.recipients.total_sent_count == 0 {
                return Err(TextError("messagebird error: total sent count is 0".into()));
            }
            Ok(sent.id)
        })
    }
}
