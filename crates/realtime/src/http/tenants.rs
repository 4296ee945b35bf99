//! The tenant API. There is one tenant; its row in `_realtime.tenants` holds its limits.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::invalid;
use crate::service::Inner;
use crate::tenant::{Changes, Tenant, TenantError};

/// The service, for who may manage it.
pub(super) struct Managed(Arc<Inner>);

impl FromRequestParts<Arc<Inner>> for Managed {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Inner>) -> Result<Self, Response> {
        service.management.may_manage(&parts.headers)?;
        Ok(Self(service.clone()))
    }
}

impl Managed {
    /// The service, if `name` is its tenant's.
    fn of(self, name: &str) -> Result<Arc<Inner>, Response> {
        if name == self.0.config.tenant { Ok(self.0) } else { Err(not_found()) }
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "not found" }))).into_response()
}

fn failed(error: &TenantError) -> Response {
    tracing::error!(%error, "the tenant's row cannot be used");
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": "the database cannot be asked" })))
        .into_response()
}

fn shown(status: StatusCode, tenant: &Tenant) -> Response {
    (status, Json(json!({ "data": tenant.to_json() }))).into_response()
}

pub(super) async fn index(Managed(service): Managed) -> Result<Response, Response> {
    let tenants = Tenant::all(&service.pool).await.map_err(|error| failed(&error))?;
    let data: Vec<Value> = tenants.iter().map(Tenant::to_json).collect();
    Ok(Json(json!({ "data": data })).into_response())
}

pub(super) async fn show(Managed(service): Managed, Path(name): Path<String>) -> Result<Response, Response> {
    match Tenant::find(&service.pool, &name).await.map_err(|error| failed(&error))? {
        Some(tenant) => Ok(shown(StatusCode::OK, &tenant)),
        None => Err(not_found()),
    }
}

pub(super) async fn create(Managed(service): Managed, body: Bytes) -> Result<Response, Response> {
    let given = tenant_of(&body)?;
    let name = given.get("external_id").and_then(Value::as_str).unwrap_or("").to_owned();
    if name.is_empty() {
        return Err(invalid(json!({ "external_id": ["can't be blank"] })));
    }
    put(&service, &name, &given).await
}

pub(super) async fn update(
    Managed(service): Managed,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Response> {
    let given = tenant_of(&body)?;
    put(&service, &name, &given).await
}

fn tenant_of(body: &[u8]) -> Result<Map<String, Value>, Response> {
    let body: Value = serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST.into_response())?;
    match body.get("tenant") {
        Some(Value::Object(tenant)) => Ok(tenant.clone()),
        _ => Err(StatusCode::BAD_REQUEST.into_response()),
    }
}

async fn put(service: &Inner, name: &str, given: &Map<String, Value>) -> Result<Response, Response> {
    let changes = Changes::parse(given).map_err(invalid)?;
    let key = service.management.secrets.encryption_key.as_deref();
    let (tenant, created) = changes.apply(&service.pool, name, key).await.map_err(|error| failed(&error))?;
    if name == service.config.tenant {
        service.adopt(&tenant, changes.concerns_sockets());
        service.tell_nodes(true, changes.concerns_sockets());
    }
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = shown(status, &tenant);
    if let Ok(location) = format!("/api/tenants/{name}").parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn delete(
    Managed(service): Managed,
    Path(name): Path<String>,
) -> Result<Response, Response> {
    Tenant::delete(&service.pool, &name).await.map_err(|error| failed(&error))?;
    if name == service.config.tenant {
        disconnect(&service);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Drops every socket, so that all begin anew.
pub(super) async fn reload(managed: Managed, Path(name): Path<String>) -> Result<Response, Response> {
    disconnect(&*managed.of(&name)?);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn disconnect(service: &Inner) {
    service.hub.disconnect_all();
    service.tell_nodes(false, true);
}

pub(super) async fn shutdown(managed: Managed, Path(name): Path<String>) -> Result<Response, Response> {
    managed.of(&name)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn health(managed: Managed, Path(name): Path<String>) -> Result<Response, Response> {
    let service = managed.of(&name)?;
    let users = service.hub.users();
    let connected = match service.pool.acquire().await {
        Ok(mut connection) => connection.simple_query("select 1").await.is_ok(),
        Err(_) => false,
    };
    Ok(Json(json!({ "data": {
        "healthy": connected,
        "db_connected": connected,
        "replication_connected": service.changes.hears_messages(),
        "connected_cluster": users,
        "region": service.config.region,
        "node": "monobase",
    } }))
    .into_response())
}
