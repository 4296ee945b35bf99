//! Who may use the tenant API and read the figures.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tokens::{KeyRing, Policy};

/// What protects the tenant API and the figures.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Tokens that are refused (`API_TOKEN_BLOCKLIST`).
    pub api_blocklist: Vec<String>,
    /// Signs the tokens that may read the figures (`METRICS_JWT_SECRET`).
    pub metrics_secret: Option<String>,
    /// Tokens that are refused there (`METRICS_TOKEN_BLOCKLIST`).
    pub metrics_blocklist: Vec<String>,
    /// Encrypts what `_realtime` keeps (`DB_ENC_KEY`).
    pub encryption_key: Option<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets { .. }")
    }
}

/// Renders the figures of the process.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Who may use the tenant API and read the figures.
#[derive(Clone, Default)]
pub struct Management {
    /// Verifies the tokens of the tenant API; nobody may use it without.
    pub api: Option<KeyRing>,
    /// Verifies the tokens of the figures; nobody may read them without.
    pub metrics: Option<KeyRing>,
    /// Renders the figures.
    pub render: Option<Render>,
    /// What is refused and what encrypts.
    pub secrets: Secrets,
}

impl std::fmt::Debug for Management {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Management").field("api", &self.api.is_some()).finish_non_exhaustive()
    }
}

impl Management {
    pub(super) fn may_manage(&self, headers: &HeaderMap) -> Result<(), Response> {
        admit(self.api.as_ref(), &self.secrets.api_blocklist, headers)
    }

    pub(super) fn may_measure(&self, headers: &HeaderMap) -> Result<(), Response> {
        admit(self.metrics.as_ref(), &self.secrets.metrics_blocklist, headers)
    }
}

fn admit(ring: Option<&KeyRing>, blocked: &[String], headers: &HeaderMap) -> Result<(), Response> {
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim);
    match (ring, token) {
        (Some(ring), Some(token))
            if !blocked.iter().any(|known| known == token)
                && ring.verify_with(token, &Policy::EXACT).is_ok_and(|verified| !verified.is_foreign) =>
        {
            Ok(())
        }
        _ => Err(StatusCode::FORBIDDEN.into_response()),
    }
}
