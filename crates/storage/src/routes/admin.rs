//! The administrative port of a service that runs alone.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::domain::Domain;

/// `/status`, `/version` and `/metrics`. Tenants are not administered: there is one.
pub(crate) fn router(domain: Domain, metrics: Arc<dyn Fn() -> String + Send + Sync>) -> Router {
    Router::new()
        .route("/status", get(|| async { StatusCode::OK }))
        .route("/version", get(|State(domain): State<Domain>| async move { domain.config().version.clone() }))
        .route("/metrics", get(move || async move { metrics() }))
        .with_state(domain)
}
