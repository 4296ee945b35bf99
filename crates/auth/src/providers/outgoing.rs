//! Requests to providers: a time limit, a size limit, no secrets in what is logged.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, redirect};
use serde_json::Value;

use super::ProviderError;

/// Longest answer that is read.
const LARGEST: usize = 1 << 20;

/// The client for all providers.
pub(crate) struct Outgoing {
    client: Client,
    /// Token endpoints that want the client's secret in the body; learned at the first exchange.
    secret_in_body: Mutex<HashMap<String, bool>>,
}

/// An answer that was a success.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) content_type: String,
}

impl Answer {
    pub(super) fn json(&self) -> Result<Value, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|_| ProviderError::Answer("the answer is not JSON"))
    }
}

impl Outgoing {
    /// A client that gives up after so long.
    pub(crate) fn new(timeout: Duration) -> Self {
        let client = ::outgoing::builder()
            .timeout(timeout)
            .redirect(redirect::Policy::limited(5))
            .user_agent(concat!("monobase/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("invariant: the client has no setting that can fail");
        Self { client, secret_in_body: Mutex::default() }
    }

    pub(super) fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url).header("accept", "application/json")
    }

    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    pub(super) fn wants_secret_in_body(&self, url: &str) -> Option<bool> {
        self.secret_in_body.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(url).copied()
    }

    pub(super) fn learn_secret_in_body(&self, url: &str, in_body: bool) {
        let mut known = self.secret_in_body.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.insert(url.to_owned(), in_body);
    }

    /// Sends a request; anything but a success is an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let unreachable = |error: reqwest::Error| ProviderError::Unreachable {
            host: error.url().and_then(|url| url.host_str()).unwrap_or_default().to_owned(),
            reason: error.without_url().to_string(),
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let host = answer.url().host_str().unwrap_or_default().to_owned();
        let status = answer.status();
        let content_type = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(ProviderError::Answer("the answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let shown = String::from_utf8_lossy(&body[..body.len().min(500)]);
            tracing::warn!(%host, status = status.as_u16(), answer = %shown, "a provider answered with an error");
            return Err(ProviderError::Status { host, status: status.as_u16() });
        }
        Ok(Answer { body, content_type })
    }
}
