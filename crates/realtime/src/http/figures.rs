//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::service::Inner;

pub(super) async fn show(State(service): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = service.management.may_measure(&headers) {
        return refusal;
    }
    match &service.management.render {
        Some(render) => {
            service.record();
            ([(CONTENT_TYPE, "text/plain; version=0.0.4")], render()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Inner {
    /// Writes down the figures that are not counted as they happen, under the original's names.
    pub(crate) fn record(&self) {
        let hub = &self.hub;
        let tenant = self.config.tenant.clone();
        let gauge = |name: &'static str, value: f64| {
            metrics::gauge!(name, "tenant" => tenant.clone()).set(value);
        };
        gauge("realtime_connections_connected_cluster", hub.users() as f64);
        gauge("realtime_connections_limit_concurrent", hub.limits.users() as f64);
        gauge("realtime_channel_events_limit_per_second", hub.events.limit() as f64);
        gauge("realtime_channel_joins_limit_per_second", hub.joins.limit() as f64);
        gauge("realtime_tenants_connected", f64::from(u8::from(hub.users() > 0)));
        let total = |name: &'static str, value: u64| {
            metrics::counter!(name, "tenant" => tenant.clone()).absolute(value);
        };
        total("realtime_channel_events", hub.events.total());
        total("realtime_channel_joins", hub.joins.total());
        total("realtime_channel_presence_events", hub.presence.total());
        total("realtime_channel_db_events", hub.database_events.total());
    }
}
