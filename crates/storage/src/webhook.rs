//! Posts events to `WEBHOOK_URL`.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::domain::Event;

/// How many events may wait.
pub(crate) const QUEUE: usize = 10_000;

/// How often a post is tried, and how long each may take.
const ATTEMPTS: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where events are posted.
pub(crate) struct Webhook {
    client: reqwest::Client,
    url: String,
    key: Option<String>,
    region: String,
    tenant: String,
}

impl Webhook {
    /// None without an address.
    pub(crate) fn new(config: &Config) -> Option<Self> {
        let url = config.webhook.url.clone()?;
        let client = match crate::outgoing::client(TIMEOUT) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "webhooks cannot be posted");
                return None;
            }
        };
        let key = config.webhook.api_key.clone();
        Some(Self { client, url, key, region: config.region.clone(), tenant: config.tenant.clone() })
    }

    /// Posts events until `stop` changes; those that wait then are still tried once.
    pub(crate) async fn run(self, mut events: mpsc::Receiver<Event>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => self.post(&event, if *stop.borrow() { 1 } else { ATTEMPTS }).await,
                    None => return,
                },
                _ = stop.changed() => events.close(),
            }
        }
    }

    async fn post(&self, event: &Event, attempts: u32) {
        let body = event.to_json(&self.region, &self.tenant).to_string();
        for attempt in 1..=attempts {
            let mut request =
                self.client.post(&self.url).header("content-type", "application/json").body(body.clone());
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            let refused = match request.send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return,
                Err(error) => error,
            };
            tracing::warn!(error = %refused.without_url(), attempt, "a webhook was not taken");
            if attempt < attempts {
                tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
            }
        }
        metrics::counter!("storage_webhooks_failed_total").increment(1);
    }
}
