//! The HTTP endpoints.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokens::KeyRing;

use crate::service::Inner;

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

/// Who may use the tenant API and read the figures.
#[derive(Debug, Clone, Default)]
pub struct Management {
    /// Verifies the tokens of the tenant API; nobody may use it without.
    pub api: Option<KeyRing>,
    /// Verifies the tokens of the figures; nobody may read them without.
    pub metrics: Option<KeyRing>,
    /// What is refused and what encrypts.
    pub secrets: Secrets,
}

pub(crate) fn router(service: Arc<Inner>) -> Router {
    Router::new().route("/healthcheck", get(async || "ok")).with_state(service)
}
