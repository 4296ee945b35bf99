//! Asking a provider whether a caller is human.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::State;
use crate::config::CaptchaProvider;
use crate::error::{Cause, Error, ErrorCode, Result};
use crate::http::{Body, RequestContext, is_admin};
use crate::json::{Object, params};
use crate::sms::encode;

params! {
    "GotrueRequest",
    /// What of a body concerns captchas.
    struct Params { gotrue_meta_security: Option<Object> }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Verdict {
    success: bool,
    #[serde(rename = "error-codes")]
    error_codes: Vec<String>,
}

const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Refuses a request whose captcha was not solved. Administrators need none.
pub(crate) async fn check(state: &State, request: &RequestContext, body: &Body) -> Result<()> {
    let captcha = &state.config().captcha;
    if !captcha.enabled || is_admin(request, state) {
        return Ok(());
    }
    let params: Params = body.read()?;
    let failed = |reason: String| {
        Error::internal("captcha verification process failed").because(Cause::Other(reason.into()))
    };
    let token = params.gotrue_meta_security.as_ref().and_then(|security| security.get("captcha_token"));
    let token = token.and_then(|token| token.as_str()).unwrap_or_default().trim();
    if token.is_empty() {
        return Err(failed("no captcha response (captcha_token) found in request".into()));
    }
    let url = captcha.url.as_deref().unwrap_or(match captcha.provider {
        CaptchaProvider::HCaptcha => "https://hcaptcha.com/siteverify",
        CaptchaProvider::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    });
    let form = [("remoteip", request.ip.as_str()), ("response", token), ("secret", captcha.secret.expose())];
    let verdict = ask(state, url, encode(&form), captcha.timeout.unwrap_or(TIMEOUT)).await.map_err(failed)?;
    if verdict.success {
        return Ok(());
    }
    let reasons = verdict.error_codes.join(", ");
    Err(Error::bad_request(
        ErrorCode::CaptchaFailed,
        format!("captcha protection: request disallowed ({reasons})"),
    ))
}

async fn ask(state: &State, url: &str, form: String, timeout: Duration) -> Result<Verdict, String> {
    let failed = |error: reqwest::Error| error.without_url().to_string();
    let request = state
        .outside()
        .client()
        .post(url)
        .timeout(timeout)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    let mut answer = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err("the answer is too large".into());
        }
    }
    serde_json::from_slice(&body)
        .map_err(|error| format!("failed to decode captcha response: not JSON: {error}"))
}
