//! Metadata from where its provider publishes it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{StatusCode, redirect};
use uuid::Uuid;

/// Longest metadata that is read.
const LARGEST: usize = 1 << 20;
/// Longest wait, all in all. Requests themselves end after ten seconds.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How often metadata is asked for that is old and cannot be had. Anybody can make us want it.
const PAUSE: Duration = Duration::from_secs(60);

/// When metadata of each provider was asked for last.
#[derive(Default)]
pub(crate) struct MetadataAttempts(Mutex<HashMap<Uuid, Instant>>);

impl MetadataAttempts {
    /// Whether to ask now.
    pub(crate) fn may_try(&self, provider: Uuid) -> bool {
        let mut attempts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        attempts.retain(|_, at| at.elapsed() < PAUSE);
        if attempts.contains_key(&provider) {
            return false;
        }
        attempts.insert(provider, Instant::now());
        true
    }
}

/// Why there is no metadata.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("HTTP {0} error fetching SAML Metadata from URL '{1}'")]
    Status(u16, String),
    #[error("{0}")]
    Failed(String),
}

/// Fetches metadata over HTTPS, wherever that leads.
pub(crate) async fn fetch(url: &str) -> Result<Vec<u8>, FetchError> {
    let failed = |error: reqwest::Error| FetchError::Failed(error.without_url().to_string());
    let client = outgoing::builder()
        .https_only(true)
        .redirect(redirect::Policy::limited(5))
        .timeout(TIMEOUT)
        .build()
        .map_err(failed)?;
    let request =
        client.get(url).header("accept", "application/xml;charset=UTF-8").header("accept-charset", "UTF-8");
    let mut answer = request.send().await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16(), url.to_owned()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(FetchError::Failed("the metadata is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
