//! The tenant API. There is one tenant; its row in `_realtime.tenants` holds its limits.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::invalid;
use crate::service::Inner;
use crate::tenant::{Changes, Tenant, TenantError};

type Service = State<Arc<Inner>>;

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

pub(super) async fn index(State(service): Service, headers: HeaderMap) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
    let tenants = Tenant::all(&service.pool).await.map_err(|error| failed(&error))?;
    let data: Vec<Value> = tenants.iter().map(Tenant::to_json).collect();
    Ok(Json(json!({ "data": data })).into_response())
}

pub(super) async fn show(
    State(service): Service,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
    match Tenant::find(&service.pool, &name).await.map_err(|error| failed(&error))? {
        Some(tenant) => Ok(shown(StatusCode::OK, &tenant)),
        None => Err(not_found()),
    }
}

pub(super) async fn create(
    State(service): Service,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
    let given = tenant_of(&body)?;
    let name = given.get("external_id").and_then(Value::as_str).unwrap_or("").to_owned();
    if name.is_empty() {
        return Err(invalid(json!({ "external_id": ["can't be blank"] })));
    }
    put(&service, &name, &given).await
}

pub(super) async fn update(
    State(service): Service,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
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
    }
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = shown(status, &tenant);
    if let Ok(location) = format!("/api/tenants/{name}").parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn delete(
    State(service): Service,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
    Tenant::delete(&service.pool, &name).await.map_err(|error| failed(&error))?;
    if name == service.config.tenant {
        service.hub.disconnect_all();
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Drops every socket, so that all begin anew.
pub(super) async fn reload(
    State(service): Service,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
    if name != service.config.tenant {
        return Err(not_found());
    }
    service.hub.disconnect_all();
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn shutdown(
    State(service): Service,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
    if name == service.config.tenant { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(not_found()) }
}

pub(super) async fn health(
    State(service): Service,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    service.management.may_manage(&headers)?;
    if name != service.config.tenant {
        return Err(not_found());
    }
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
