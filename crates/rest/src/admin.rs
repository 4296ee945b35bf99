//! The admin endpoints: is it alive, is it ready, what are its figures.

use axum::Router;
use axum::extract::State;
use axum::routing::any;
use http::{StatusCode, header};

use crate::service::Rest;

/// `/live`, `/ready`, `/metrics`; any method.
pub(crate) fn router(rest: Rest) -> Router {
    Router::new()
        .route("/live", any(|| async { StatusCode::OK }))
        .route("/ready", any(ready))
        .route("/metrics", any(metrics))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(rest)
}

async fn ready(State(rest): State<Rest>) -> StatusCode {
    if rest.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// The pool's figures under PostgREST's names.
async fn metrics(State(rest): State<Rest>) -> impl axum::response::IntoResponse {
    let pool = rest.shared.pool.status();
    let available = pool.idle + pool.max_size.saturating_sub(pool.size);
    let mut text = String::new();
    for (name, help, value) in [
        ("pgrst_db_pool_waiting", "Requests waiting to acquire a pool connection", pool.waiting),
        ("pgrst_db_pool_available", "Available connections in the pool", available),
        ("pgrst_db_pool_max", "Max pool connections", pool.max_size),
    ] {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
    }
    for (status, count) in rest.loads() {
        text.push_str(&format!("pgrst_schema_cache_loads_total{{status=\"{status}\"}} {count}\n"));
    }
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
}
