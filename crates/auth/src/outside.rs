//! Requests to others: hooks, captchas, text messages and templates with the client itself, providers with a time limit, a size
//! limit, and no secrets in what is logged. Where somebody else said whom to ask, only public addresses are asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outgoing::Addresses;
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect};
use serde_json::Value;

use crate::config::External;
use crate::providers::ProviderError;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Most redirects that are followed.
const REDIRECTS: usize = 5;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Longest answer of a provider that is read.
const LARGEST: usize = 1 << 20;

/// The client for all others.
pub(crate) struct Outside {
    client: Client,
    /// Which addresses may stand in a URL.
    addresses: Addresses,
    /// How long a provider may take.
    patience: Duration,
    /// Token endpoints that want the client's secret in the body; learned at the first exchange.
    secret_in_body: Arc<Mutex<HashMap<String, bool>>>,
}

/// An answer that was a success.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|_| ProviderError::Answer("the answer is not JSON"))
    }
}

impl Outside {
    /// A client that gives up on a provider after so long.
    pub(crate) fn new(patience: Duration) -> Result<Self, reqwest::Error> {
        let client = outgoing::builder().redirect(redirect::Policy::limited(REDIRECTS));
        Self::with(client, Addresses::ANY, patience)
    }

    /// A client for URLs that somebody else named: TLS and public addresses alone, unless the configuration says otherwise.
    pub(crate) fn guarded(config: &External) -> Result<Self, reqwest::Error> {
        let addresses = if config.private_addresses { Addresses::ANY } else { Addresses::PUBLIC };
        let mut client = outgoing::guarded(addresses, REDIRECTS).https_only(true);
        for authority in &config.authorities {
            client = client.add_root_certificate(Certificate::from_der(authority)?);
        }
        Self::with(client, addresses, config.http_timeout)
    }

    fn with(
        client: reqwest::ClientBuilder,
        addresses: Addresses,
        patience: Duration,
    ) -> Result<Self, reqwest::Error> {
        let client = client
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("monobase/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, addresses, patience, secret_in_body: Arc::default() })
    }

    /// The same with another time limit for providers.
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        let (client, secret_in_body) = (self.client.clone(), self.secret_in_body.clone());
        Self { client, addresses: self.addresses, patience, secret_in_body }
    }

    /// The client. Callers limit each call.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A question to a provider.
    pub(crate) fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url).timeout(self.patience).header("accept", "application/json")
    }

    /// A form for a provider.
    pub(crate) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url).timeout(self.patience)
    }

    pub(crate) fn wants_secret_in_body(&self, url: &str) -> Option<bool> {
        self.secret_in_body.lock().unwrap_or_else(PoisonError::into_inner).get(url).copied()
    }

    pub(crate) fn learn_secret_in_body(&self, url: &str, in_body: bool) {
        let mut known = self.secret_in_body.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(url.to_owned(), in_body);
    }

    /// Sends a request; the answer may be any.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Response, ProviderError> {
        let request = request.build().map_err(unreachable)?;
        if !self.addresses.allow_url(request.url()) {
            return Err("the address is not allowed".into());
        }
        self.client.execute(request).await.map_err(unreachable)
    }

    /// Sends a request; anything but a success is an error.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let answer = self.ask(request).await?;
        let host = answer.url().host_str().unwrap_or_default().to_owned();
        let status = answer.status();
        let content_type = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let body = read(answer).await?;
        if !status.is_success() {
            let shown = String::from_utf8_lossy(&body[..body.len().min(500)]);
            tracing::warn!(%host, status = status.as_u16(), answer = %shown, "a provider answered with an error");
            return Err(ProviderError::Status { host, status: status.as_u16() });
        }
        Ok(Answer { body, content_type })
    }
}

/// The whole of an answer that is not too long.
pub(crate) async fn read(mut answer: Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > LARGEST {
            return Err("the answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreachable(error: reqwest::Error) -> ProviderError {
    let host = error.url().and_then(|url| url.host_str()).unwrap_or_default().to_owned();
    let error = error.without_url();
    // What lies behind says more than that a request failed.
    let mut reason = error.to_string();
    let mut behind = std::error::Error::source(&error);
    while let Some(cause) = behind {
        reason = format!("{reason}: {cause}");
        behind = cause.source();
    }
    ProviderError::Unreachable { host, reason }
}
