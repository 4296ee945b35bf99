//! The admin endpoints: is it alive, is it ready, what does it know, what are its figures.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{StatusCode, header};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use crate::catalog;
use crate::service::Rest;

/// Where the API itself listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// A port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What health is judged by, beside what the service knows of itself.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Tried at every question, so that a server that accepts nobody is not called alive.
    pub entrance: Entrance,
    /// Whether notifications are heard at the moment. Where nobody listens for them the database is asked instead.
    pub listening: Option<watch::Receiver<bool>>,
}

/// Connecting to ourselves takes microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Admin {
    rest: Rest,
    surroundings: Surroundings,
}

/// `/live`, `/ready`, `/schema_cache`, `/metrics`; any method.
pub(crate) fn router(rest: Rest, surroundings: Surroundings) -> Router {
    Router::new()
        .route("/live", any(live))
        .route("/ready", any(ready))
        .route("/schema_cache", any(schema_cache))
        .route("/metrics", any(metrics))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(Admin { rest, surroundings })
}

async fn live(State(admin): State<Admin>) -> StatusCode {
    if accepts(&admin.surroundings.entrance).await {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

async fn ready(State(admin): State<Admin>) -> StatusCode {
    if !accepts(&admin.surroundings.entrance).await {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let connected = async {
        match &admin.surroundings.listening {
            Some(listening) => *listening.borrow(),
            None => answers(&admin.rest).await,
        }
    };
    if admin.rest.is_ready() && connected.await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn accepts(entrance: &Entrance) -> bool {
    let connected = async {
        match entrance {
            Entrance::Tcp(address) => TcpStream::connect(nearby(*address)).await.map(drop),
            Entrance::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    };
    matches!(tokio::time::timeout(PATIENCE, connected).await, Ok(Ok(())))
}

/// "Any address" can be bound but not connected to.
fn nearby(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

async fn answers(rest: &Rest) -> bool {
    let Ok(mut connection) = rest.shared.pool.acquire().await else { return false };
    connection.simple_query("select 1").await.is_ok()
}

async fn schema_cache(State(admin): State<Admin>) -> Response {
    let Some(catalog) = admin.rest.catalog() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    // Tens of thousands of columns take a while to write down.
    let written = tokio::task::spawn_blocking(move || catalog::json(&catalog).to_string()).await;
    written.map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |text| ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text).into_response(),
    )
}

/// The pool's figures under PostgREST's names.
async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let rest = &admin.rest;
    let pool = rest.shared.pool.status();
    let available = pool.idle + pool.max_size.saturating_sub(pool.size);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut text = String::new();
    let mut describe = |name: &str, kind: &str, help: &str, samples: &[(&str, String)]| {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in samples {
            text.push_str(&format!("{name}{labels} {value}\n"));
        }
    };
    let seconds = rest.load_time().as_secs_f64().to_string();
    describe(
        "pgrst_schema_cache_query_time_seconds",
        "gauge",
        "The query time in seconds of the last schema cache load",
        &[("", seconds)],
    );
    let [loaded, failed] = rest.loads().map(|number| number.to_string());
    describe(
        "pgrst_schema_cache_loads_total",
        "counter",
        "The total number of times the schema cache was loaded",
        &[("{status=\"SUCCESS\"}", loaded), ("{status=\"FAIL\"}", failed)],
    );
    for (name, kind, help, value) in [
        (
            "pgrst_db_pool_timeouts_total",
            "counter",
            "The total number of pool connection timeouts",
            pool.timeouts,
        ),
        ("pgrst_db_pool_available", "gauge", "Available connections in the pool", count(available)),
        (
            "pgrst_db_pool_waiting",
            "gauge",
            "Requests waiting to acquire a pool connection",
            count(pool.waiting),
        ),
        ("pgrst_db_pool_max", "gauge", "Max pool connections", count(pool.max_size)),
    ] {
        describe(name, kind, help, &[("", value.to_string())]);
    }
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
}
