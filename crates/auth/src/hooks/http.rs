//! Hooks that are URLs, signed as Standard Webhooks says.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use uuid::Uuid;

use crate::State;
use crate::config::{Hook, Secret};
use crate::error::{Cause, Error, ErrorCode, Result};
use crate::json::Timestamp;

/// All tries together.
const BUDGET: Duration = Duration::from_secs(5);
const TRIES: usize = 3;
/// Between two tries that could not connect.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 200 * 1024;

/// Posts JSON and returns the body of the answer; 204 has none.
pub(super) async fn call(state: &State, hook: &Hook, input: String) -> Result<Option<String>> {
    match tokio::time::timeout(BUDGET, tries(state.outside().client(), hook, input)).await {
        Ok(answer) => answer,
        Err(_) => Err(out_of_time()),
    }
}

fn out_of_time() -> Error {
    Error::unprocessable(
        ErrorCode::HookTimeout,
        format!("Failed to reach hook within maximum time of {:.6} seconds", BUDGET.as_secs_f64()),
    )
}

async fn tries(client: &reqwest::Client, hook: &Hook, input: String) -> Result<Option<String>> {
    for attempt in 1..=TRIES {
        let id = Uuid::new_v4().to_string();
        let now = Timestamp::now().unix();
        let signatures = sign(&hook.secrets, &id, now, &input)
            .map_err(|reason| Error::internal(format!("Error generating signatures: {reason}")))?;
        let request = client
            .post(&hook.uri)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", signatures)
            .header("accept-encoding", "identity")
            .body(input.clone());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return Err(out_of_time()),
            Err(error) if attempt < TRIES => {
                tracing::warn!(attempt, error = %error.without_url(), "a hook cannot be reached");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(attempt, error = %error.without_url(), "a hook cannot be reached");
                return Err(Error::unprocessable(
                    ErrorCode::HookTimeoutAfterRetry,
                    "Failed to reach hook after maximum retries",
                ));
            }
        };
        match answer.status() {
            StatusCode::NO_CONTENT => return Ok(None),
            StatusCode::OK | StatusCode::ACCEPTED => return read(answer).await.map(Some),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                if answer.headers().contains_key("retry-after") => {}
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => break,
            StatusCode::BAD_REQUEST => return Err(Error::internal("Invalid payload sent to hook")),
            StatusCode::UNAUTHORIZED => return Err(Error::internal("Hook requires authorization token")),
            other => {
                return Err(Error::internal(format!(
                    "Unexpected status code returned from hook: {}",
                    other.as_u16()
                )));
            }
        }
    }
    Err(Error::internal("Service currently unavailable due to hook"))
}

async fn read(mut answer: reqwest::Response) -> Result<String> {
    let wrong = |message: String| Err(Error::bad_request(ErrorCode::HookPayloadInvalidContentType, message));
    let content_type = answer
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if content_type.is_empty() {
        return wrong("Invalid Content-Type: Missing Content-Type header".into());
    }
    if media_type.is_empty() {
        return wrong("Invalid Content-Type header: mime: no media type".into());
    }
    if media_type != "application/json" {
        return wrong(format!("Invalid JSON response. Received content-type: {content_type}"));
    }
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            out_of_time()
        } else {
            Error::Unexpected(Cause::Other(error.without_url().into()))
        }
    };
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(Error::unprocessable(
                ErrorCode::HookPayloadOverSizeLimit,
                format!("Payload size exceeded size limit of {MAX_ANSWER} bytes"),
            ));
        }
    }
    String::from_utf8(body).map_err(|error| Error::Unexpected(Cause::Other(error.into())))
}

/// A signature for each key. Pairs of keys are accepted in configurations, but cannot sign yet.
fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> Result<String, String> {
    let signatures = secrets.iter().map(|secret| {
        let key = secret.expose().strip_prefix("v1,").ok_or("invalid signature format")?;
        let key = key.strip_prefix("whsec_").unwrap_or(key);
        let key = BASE64_STANDARD.decode(key).map_err(|error| error.to_string())?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        Ok(format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref())))
    });
    signatures.collect::<Result<Vec<_>, String>>().map(|signatures| signatures.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_key_signs() {
        // The example of Standard Webhooks.
        let secret = Secret::new("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = sign(
            std::slice::from_ref(&secret),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let two = sign(&[secret.clone(), secret], "a", 1, "{}").unwrap();
        assert_eq!(two.matches("v1,").count(), 2);
        assert!(two.contains(", "));
        assert_eq!(
            sign(&[Secret::new("v1a,whpk_x:whsk_y")], "a", 1, "").unwrap_err(),
            "invalid signature format"
        );
    }
}
