//! Metadata from where its provider publishes it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use uuid::Uuid;

use crate::outside::{self, Outside};
use crate::providers::ProviderError;

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

/// Fetches metadata over HTTPS, from wherever that leads but places that strangers may not name.
pub(crate) async fn fetch(strangers: &Outside, url: &str) -> Result<Vec<u8>, FetchError> {
    let failed = |error: ProviderError| FetchError::Failed(error.to_string());
    let request = strangers
        .client()
        .get(url)
        .timeout(TIMEOUT)
        .header("accept", "application/xml;charset=UTF-8")
        .header("accept-charset", "UTF-8");
    let answer = strangers.ask(request).await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16(), url.to_owned()));
    }
    outside::read(answer).await.map_err(failed)
}
