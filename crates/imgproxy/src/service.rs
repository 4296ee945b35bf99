//! Routes, and what every answer has.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use imaging::{Once, Workshop};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::config::Given;
use crate::measures::Measures;
use crate::process::Finished;
use crate::source::{Downloaded, Outcome, Sources};
use crate::{Config, Error};

/// As many jobs wait for a thread at most. Before them, requests wait for their turn to load.
const MOST_JOBS: usize = 4096;

/// What the answers to `/` say.
const LANDING: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>imgproxy</title></head>\
<body><p>This is an image server with imgproxy's URLs.</p></body></html>";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The running service.
#[derive(Clone)]
pub struct Imgproxy(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) sources: Sources,
    pub(crate) workshop: Workshop,
    pub(crate) once: Once<String, Result<Arc<Finished>, Error>>,
    /// Requests that load and transform.
    pub(crate) turns: Semaphore,
    /// Those and the ones that wait, if they are limited.
    queue: Option<Semaphore>,
    pub(crate) fallback: Option<Downloaded>,
    pub(crate) measures: Measures,
}

impl std::fmt::Debug for Imgproxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Imgproxy").finish_non_exhaustive()
    }
}

impl Imgproxy {
    /// Loads the pictures of its own and starts the threads.
    pub async fn start(mut config: Config) -> Result<Self, Error> {
        let sources = Sources::new(&config)?;
        if let Some((given, opacity)) = config.watermark.clone() {
            let bytes = own(&sources, &given).await?;
            config.imaging.watermark = Some((imaging::load(&bytes, &config.limits)?, opacity));
        }
        let fallback = match &config.fallback {
            None => None,
            Some(fallback) => {
                let bytes = own(&sources, &fallback.image).await?;
                imaging::Header::read(&bytes, &config.limits)?;
                Some(Downloaded { bytes, headers: HeaderMap::new(), fallback: true })
            }
        };
        if config.signing.pairs.is_empty() {
            tracing::warn!("no keys are set, so that signatures are not looked at");
        }
        // Threads beyond the cores gain nothing, and hold a picture each.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let workshop = Workshop::open(config.concurrency.min(cores), MOST_JOBS)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self(Arc::new(Parts {
            turns: Semaphore::new(config.concurrency),
            measures: Measures::new(config.metrics_namespace.as_deref()),
            queue: (config.queue > 0).then(|| Semaphore::new(config.queue + config.concurrency)),
            config,
            sources,
            workshop,
            once: Once::default(),
            fallback,
        })))
    }

    /// All routes.
    pub fn router(&self) -> Router {
        Router::new().fallback(route).with_state(self.clone())
    }
}

/// A picture of our own.
async fn own(sources: &Sources, given: &Given) -> Result<Bytes, Error> {
    use base64::Engine as _;
    match given {
        Given::Data(text) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|error| Error::internal(error.to_string())),
        Given::Path(path) => match tokio::fs::read(path).await {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(Error::internal(format!("Can't read {}: {error}", path.display()))),
        },
        Given::Url(url) => match sources.load(url, HeaderMap::new()).await? {
            Outcome::Loaded(loaded) => Ok(loaded.bytes),
            Outcome::NotModified(_) => Err(Error::failing("not modified")),
        },
    }
}

async fn route(State(service): State<Imgproxy>, request: Request<Body>) -> Response {
    let given = request.headers().get(&REQUEST_ID).filter(|id| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !id.is_empty() && id.as_bytes().iter().all(allowed)
    });
    let id = given.cloned().unwrap_or_else(|| {
        let new = uuid::Uuid::new_v4().simple().to_string();
        HeaderValue::try_from(new).unwrap_or_else(|_| HeaderValue::from_static("-"))
    });
    let mut response = service.0.answer(request).await;
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("imgproxy"));
    headers.insert(REQUEST_ID, id);
    response
}

pub(crate) fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

impl Parts {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response {
        let Some(path) = request.uri().path().strip_prefix(&self.config.path_prefix) else {
            return empty(StatusCode::NOT_FOUND);
        };
        let healthy = path == "/health" || self.config.health_check_path.as_deref() == Some(path);
        match (request.method(), path) {
            (&Method::GET, "/") => {
                let mut page = text(StatusCode::OK, LANDING);
                page.headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                page
            }
            (&Method::GET, _) if healthy => text(StatusCode::OK, "imgproxy is running"),
            (&Method::GET, "/favicon.ico") => empty(StatusCode::OK),
            (&Method::GET, path) if path.starts_with('/') => {
                let path = path.to_owned();
                let _request = self.measures.request();
                let mut response = match self.clone().picture(&path, request.headers()).await {
                    Ok(response) => response,
                    Err(error) => self.refusal(&error, &path),
                };
                self.cross_origin(response.headers_mut());
                response
            }
            (&Method::HEAD | &Method::OPTIONS, path) if path.starts_with('/') => {
                let mut response = empty(StatusCode::OK);
                self.cross_origin(response.headers_mut());
                response
            }
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    async fn picture(self: Arc<Self>, path: &str, headers: &HeaderMap) -> Result<Response, Error> {
        if let Some(secret) = &self.config.secret {
            let wanted = format!("Bearer {secret}");
            let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
            if !bool::from(given.ct_eq(wanted.as_bytes())) {
                return Err(Error::forbidden("Invalid secret"));
            }
        }
        let _place = match &self.queue {
            Some(queue) => Some(queue.try_acquire().map_err(|_| Error::too_many())?),
            None => None,
        };
        let answer = self.clone().process(path, headers);
        tokio::time::timeout(self.config.write_timeout, answer).await.map_err(|_| Error::timeout())?
    }

    fn refusal(&self, error: &Error, path: &str) -> Response {
        self.measures.error(error);
        if error.status.is_server_error() {
            tracing::error!(%error, status = error.status.as_u16(), path, "no picture");
        } else {
            tracing::debug!(%error, status = error.status.as_u16(), path, "no picture");
        }
        let body =
            if self.config.development_errors { error.message.clone() } else { error.public.to_owned() };
        text(error.status, body)
    }

    fn cross_origin(&self, headers: &mut HeaderMap) {
        if let Some(origin) =
            self.config.allow_origin.as_ref().and_then(|origin| HeaderValue::try_from(origin).ok())
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, OPTIONS"));
        }
    }
}
