//! The way of a request through the door.

use std::borrow::Cow;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, VIA};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use telemetry::events::Bus;
use tokens::{ApiKeys, KeyRing};
use tokio::sync::watch;
use tower::Service as _;

use crate::body::{Inbound, Meter, Verdict};
use crate::config::Config;
use crate::error::Refusal;
use crate::forward::{self, Peer};
use crate::health::{self, Health};
use crate::identity::{self, Consumer, Keys, Roles};
use crate::journal::{Entry, Journal, Outcome};
use crate::listener::Handler;
use crate::observe::{Figures, RequestIds};
use crate::routes::{BodyLimit, ROUTES, Route, Service, Table, Target};
use crate::{cors, path};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-kong-request-id");
const PROXY_LATENCY: HeaderName = HeaderName::from_static("x-kong-proxy-latency");
const UPSTREAM_LATENCY: HeaderName = HeaderName::from_static("x-kong-upstream-latency");
const RESPONSE_LATENCY: HeaderName = HeaderName::from_static("x-kong-response-latency");
const VIA_US: HeaderValue = HeaderValue::from_static("kong/2.8.1");

/// What answers the requests for a service.
#[derive(Clone)]
pub struct Upstream(Arc<dyn Fn(Request<Body>) -> Answering + Send + Sync>);

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl Upstream {
    /// Every request is handed to `answer`.
    pub fn new<F>(answer: impl Fn(Request<Body>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(answer(request))))
    }
}

impl From<Router> for Upstream {
    fn from(router: Router) -> Self {
        Self::new(move |request| {
            let answered = router.clone().call(request);
            async move { answered.await.unwrap_or_else(|never| match never {}) }
        })
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream")
    }
}

/// What is behind the routes of one service.
#[derive(Debug, Clone)]
pub enum Mount {
    /// This build has no such service.
    NotBuilt,
    /// The service is switched off in this process.
    Off,
    /// The service is about to be mounted: requests wait for it.
    Starting,
    /// The service.
    Running(Upstream),
}

type Mounts = [Mount; Service::ALL.len()];

/// What the door asks of the rest of the process.
pub struct Surroundings {
    /// The keys that tokens verify under.
    pub ring: KeyRing,
    /// The configured API keys.
    pub api_keys: ApiKeys,
    /// Which roles the database knows.
    pub roles: Arc<dyn Roles>,
    /// Whether the whole is ready.
    pub health: Arc<dyn Health>,
    /// Renders the figures of the whole process.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Where every request is told.
    pub events: Bus,
}

/// The front door. Clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    config: Config,
    table: Table,
    keys: Keys,
    mounts: ArcSwap<Mounts>,
    /// Counts changes of `mounts`, for requests that wait for one.
    changes: watch::Sender<u64>,
    /// The database is away: nothing behind the door can answer.
    suspended: AtomicBool,
    health: Arc<dyn Health>,
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    journal: Journal,
    figures: Figures,
    ids: RequestIds,
}

impl Gateway {
    /// A door with nothing behind it yet. Handles of metrics are registered here, so the recorder must be installed.
    #[must_use]
    pub fn new(config: Config, surroundings: Surroundings) -> Self {
        let table = Table::new(ROUTES);
        let Surroundings { ring, api_keys, roles, health, metrics, events } = surroundings;
        Self(Arc::new(Inner {
            figures: Figures::new(table.routes()),
            journal: Journal::new(events, config.access_log),
            keys: Keys { ring, api_keys, roles, auth_without_key: config.auth_without_key },
            config,
            table,
            mounts: ArcSwap::from_pointee([const { Mount::NotBuilt }; Service::ALL.len()]),
            changes: watch::Sender::new(0),
            suspended: AtomicBool::new(false),
            health,
            metrics,
            ids: RequestIds::new(),
        }))
    }

    /// While suspended, requests to services are told to come back soon, at the door: the database is away, and a crowd
    /// of waiting connections is the last thing it needs when it comes back.
    pub fn suspend(&self, suspended: bool) {
        self.0.suspended.store(suspended, Ordering::Relaxed);
    }

    /// Puts something behind the routes of a service, at once and for all connections.
    pub fn mount(&self, service: Service, mount: Mount) {
        self.0.mounts.rcu(|mounts| {
            let mut mounts = Mounts::clone(mounts);
            mounts[service as usize] = mount.clone();
            mounts
        });
        self.0.changes.send_modify(|count| *count += 1);
    }
}

impl Handler for Gateway {
    type Peer = Peer;
    type Guard = Exchange;

    fn connected(&self, peer: SocketAddr, local: SocketAddr) -> Peer {
        let port = self.0.config.public_port.unwrap_or(local.port());
        Peer::new(peer.ip(), port, &self.0.config.trusted)
    }

    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> (Response<Body>, Exchange) {
        let mut exchange = Exchange::begin(self.0.clone());
        let (mut parts, body) = request.into_parts();
        let id = self.0.ids.next();
        exchange.entry = self.0.journal.is_read().then(|| Box::new(Entry::of(&parts, peer, &id)));
        let outcome = self.0.pass(peer, &mut parts, body, &id, &mut exchange).await;
        let mut response = match outcome {
            Ok(response) => response,
            Err(refusal) => refusal.response(&parts.headers),
        };
        self.0.finish(&mut response, &mut exchange, id);
        (response, exchange)
    }
}

impl Inner {
    async fn pass(
        &self,
        peer: &Peer,
        parts: &mut Parts,
        body: Incoming,
        id: &HeaderValue,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        self.check_head(parts)?;
        let uri = parts.uri.clone();
        let path = path::normalise(uri.path()).map_err(|path::Malformed| Refusal::BadRequest)?;
        let (index, route) = self.table.find(&path).ok_or(Refusal::NoRoute)?;
        exchange.route = Some(index);
        exchange.cors = route.cors;
        if route.cors && cors::is_preflight(&parts.method, &parts.headers) {
            return Ok(cors::preflight(&parts.headers));
        }
        let presented = identity::Keys::presented(&parts.headers, uri.query());
        let key = presented
            .as_ref()
            .map(|key| key.as_ref().map(identity::Presented::as_str))
            .map_err(|refusal| *refusal);
        let consumer = self.keys.admit(route.access, key).await?;
        exchange.consumer = consumer;
        match route.target {
            Target::Forbidden => Err(Refusal::Forbidden),
            Target::Health => Ok(health::respond(&self.health.report())),
            Target::Metrics => self.metrics(peer, &parts.headers, key).await,
            Target::Service(..) if self.suspended.load(Ordering::Relaxed) => Err(Refusal::DatabaseRestarting),
            Target::Service(service, base) => {
                let upstream = self.service(service).await?;
                let limit = match route.body {
                    BodyLimit::Default => self.config.max_body,
                    BodyLimit::Service => None,
                };
                check_length(&parts.headers, limit)?;
                let query = self.translate(route, parts, uri.query(), key.ok().flatten());
                let host = parts.headers.get(HOST).cloned();
                parts.uri = upstream_uri(route, base, &path, &uri, query.as_deref())?;
                forward::prepare(
                    &mut parts.headers,
                    peer,
                    host.as_ref().and_then(|host| host.to_str().ok()),
                    uri.path(),
                    route,
                    consumer,
                    id,
                );
                exchange.upstream = Some(Instant::now());
                self.call(upstream, parts, body, limit, exchange).await
            }
        }
    }

    /// What nginx refuses before Kong is asked.
    fn check_head(&self, parts: &Parts) -> Result<(), Refusal> {
        let mut size = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
        for (name, value) in &parts.headers {
            size += name.as_str().len() + value.len() + 4;
        }
        if size > self.config.connection.max_head {
            return Err(Refusal::HeaderTooLarge);
        }
        let hosts = parts.headers.get_all(HOST).iter().count();
        if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
            return Err(Refusal::BadRequest);
        }
        if matches!(parts.method, Method::TRACE | Method::CONNECT) {
            return Err(Refusal::MethodNotAllowed);
        }
        Ok(())
    }

    /// What answers for a service, waiting for one that is starting.
    async fn service(&self, service: Service) -> Result<Upstream, Refusal> {
        let name = service.name();
        if let Mount::Running(upstream) = &self.mounts.load()[service as usize] {
            return Ok(upstream.clone());
        }
        let mut changes = self.changes.subscribe();
        let settled = async {
            loop {
                match &self.mounts.load()[service as usize] {
                    Mount::Running(upstream) => return Ok(upstream.clone()),
                    Mount::NotBuilt => return Err(Refusal::NotBuilt(name)),
                    Mount::Off => return Err(Refusal::NotRunning(name)),
                    Mount::Starting => {}
                }
                if changes.changed().await.is_err() {
                    return Err(Refusal::NotRunning(name));
                }
            }
        };
        tokio::time::timeout(self.config.start_wait, settled).await.unwrap_or(Err(Refusal::Starting(name)))
    }

    /// Hands the credentials on in the form that the service understands; answers the new query if it changes.
    fn translate<'a>(
        &self,
        route: &Route,
        parts: &mut Parts,
        query: Option<&'a str>,
        key: Option<&str>,
    ) -> Option<Cow<'a, str>> {
        let mut query = query.map(Cow::Borrowed);
        let change =
            identity::translate(route.translate, &self.keys.api_keys, &parts.headers, query.as_deref(), key);
        if let Some(new) = change.apply(&mut parts.headers, query.as_deref()) {
            query = Some(Cow::Owned(new));
        }
        if route.hide_key
            && let Some(new) = identity::hide(&mut parts.headers, query.as_deref())
        {
            query = (!new.is_empty()).then_some(Cow::Owned(new));
        }
        if let Some((name, value)) = route.add_header
            && !parts.headers.contains_key(name)
        {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
        // Verified once, here; the service finds the result beside the request. What does not verify it judges itself,
        // in its own words.
        if let Some(token) = identity::bearer_token(&parts.headers)
            && let Ok(verified) = self.keys.ring.verify_signature(token)
        {
            parts.extensions.insert(verified);
        }
        query
    }

    async fn call(
        &self,
        upstream: Upstream,
        parts: &mut Parts,
        body: Incoming,
        limit: Option<u64>,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        let (body, verdict) = if http_body::Body::is_end_stream(&body) {
            (Body::empty(), None::<Verdict>)
        } else {
            let (inbound, verdict) = Inbound::new(body, limit, self.config.connection.body_timeout);
            (Body::new(inbound), Some(verdict))
        };
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = std::mem::take(&mut parts.uri);
        *request.version_mut() = parts.version;
        *request.extensions_mut() = std::mem::take(&mut parts.extensions);
        // A refusal after the call still needs to know what the client accepts.
        let negotiation = verdict.as_ref().map(|_| NEGOTIATION.map(|name| parts.headers.get(name).cloned()));
        *request.headers_mut() = std::mem::take(&mut parts.headers);
        let answered = AssertUnwindSafe(async { (upstream.0)(request).await }).catch_unwind().await;
        if let Some(refusal) = verdict.and_then(|verdict| verdict.refusal()) {
            for (name, value) in NEGOTIATION.into_iter().zip(negotiation.into_iter().flatten()) {
                parts.headers.extend(value.map(|value| (name, value)));
            }
            exchange.upstream = None;
            return Err(refusal);
        }
        match answered {
            Ok(response) => Ok(response),
            Err(_panic) => {
                exchange.upstream = None;
                tracing::error!("a service panicked; the request was answered with 500");
                Err(Refusal::Crashed)
            }
        }
    }

    /// The figures, for administrators and for this machine itself. A proxy on this machine is not this machine.
    async fn metrics(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
        key: Result<Option<&str>, Refusal>,
    ) -> Result<Response<Body>, Refusal> {
        if !peer.is_local(headers) {
            self.keys.admit(crate::routes::Access::Admin, key).await?;
        }
        let mut response = Response::new(Body::from((self.metrics)()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
        Ok(response)
    }

    /// Adds the door's own headers and notes the outcome.
    fn finish(&self, response: &mut Response<Body>, exchange: &mut Exchange, id: HeaderValue) {
        let headers = response.headers_mut();
        if exchange.cors {
            cors::decorate(headers);
        }
        headers.insert(REQUEST_ID, id);
        match exchange.upstream {
            Some(upstream) => {
                let before = upstream.duration_since(exchange.started).as_millis() as u64;
                headers.insert(UPSTREAM_LATENCY, millis(upstream.elapsed().as_millis() as u64));
                headers.insert(PROXY_LATENCY, millis(before));
                headers.insert(VIA, VIA_US);
            }
            None => {
                headers.insert(RESPONSE_LATENCY, millis(exchange.started.elapsed().as_millis() as u64));
            }
        }
        exchange.status = response.status();
    }
}

/// The headers that decide the form of a refusal.
const NEGOTIATION: [HeaderName; 2] = [http::header::ACCEPT, CONTENT_TYPE];

fn millis(value: u64) -> HeaderValue {
    if value == 0 { HeaderValue::from_static("0") } else { HeaderValue::from(value) }
}

fn check_length(headers: &HeaderMap, limit: Option<u64>) -> Result<(), Refusal> {
    let (Some(limit), Some(length)) = (limit, headers.get(CONTENT_LENGTH)) else {
        return Ok(());
    };
    // hyper has parsed the length already; what it accepted is a number.
    match length.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(length) if length <= limit => Ok(()),
        _ => Err(Refusal::BodyTooLarge),
    }
}

/// The address that the service sees.
fn upstream_uri(
    route: &Route,
    base: &str,
    path: &str,
    sent: &Uri,
    query: Option<&str>,
) -> Result<Uri, Refusal> {
    let raw = sent.path();
    let rest = if route.raw_path && raw.as_bytes().starts_with(route.prefix.as_bytes()) {
        &raw[route.prefix.len()..]
    } else {
        // The route was found by this very prefix.
        path.get(route.prefix.len()..).unwrap_or("")
    };
    let mut target = path::upstream(base, rest, path);
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    let target =
        PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).map_err(|_| Refusal::BadRequest)?;
    Ok(Uri::from(target))
}

/// The books of one request: written when the last byte of its answer was handed over, or the client was gone.
pub struct Exchange {
    door: Arc<Inner>,
    started: Instant,
    upstream: Option<Instant>,
    route: Option<usize>,
    consumer: Option<Consumer>,
    cors: bool,
    status: StatusCode,
    bytes: u64,
    entry: Option<Box<Entry>>,
}

impl Exchange {
    fn begin(door: Arc<Inner>) -> Self {
        door.figures.in_flight.increment(1.0);
        Self {
            door,
            started: Instant::now(),
            upstream: None,
            route: None,
            consumer: None,
            cors: false,
            // nginx's status for a client that left before there was an answer.
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            bytes: 0,
            entry: None,
        }
    }
}

impl Meter for Exchange {
    fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.door.figures.in_flight.decrement(1.0);
        let duration = self.started.elapsed();
        self.door.figures.record(self.route, self.status, duration, self.bytes);
        if let Some(entry) = self.entry.take() {
            self.door.journal.write(
                *entry,
                Outcome {
                    route: self.route.map(|index| self.door.table.routes()[index].name),
                    consumer: self.consumer.map(Consumer::name),
                    status: self.status,
                    bytes: self.bytes,
                    duration,
                },
            );
        }
    }
}
