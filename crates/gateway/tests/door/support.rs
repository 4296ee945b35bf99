//! A door on a real socket with a service behind it that tells what it saw.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::{any, get};
use gateway::{Config, Gateway, Health, Mount, Report, Roles, Service, State, Surroundings};
use http::{Request, StatusCode};
use telemetry::events::Bus;
use tokens::{KeyRing, KeySet, Verified};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use tokens::development::{ANON_KEY, JWT_SECRET, PUBLISHABLE_KEY, SECRET_KEY, SERVICE_ROLE_KEY};

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) gateway: Gateway,
    pub(crate) ring: KeyRing,
    pub(crate) events: Bus,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
}

struct KnownRoles;

impl Roles for KnownRoles {
    fn exists<'a>(&'a self, role: &'a str) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move { role == "custom" })
    }
}

struct Fine;

impl Health for Fine {
    fn report(&self) -> Report {
        Report { database: State::Up, services: vec![("rest", State::Up)] }
    }
}

pub(crate) async fn door() -> Door {
    door_with(Config { public_port: Some(54321), ..Config::default() }).await
}

pub(crate) async fn door_with(config: Config) -> Door {
    let ring = KeyRing::new(KeySet::from_secret(JWT_SECRET).unwrap());
    let events = Bus::new();
    let limits = config.connection.clone();
    let gateway = Gateway::new(
        config,
        Surroundings {
            ring: ring.clone(),
            api_keys: tokens::development::api_keys(),
            roles: Arc::new(KnownRoles),
            health: Arc::new(Fine),
            metrics: Box::new(|| "figures\n".to_owned()),
            events: events.clone(),
        },
    );
    gateway.mount(Service::Rest, Mount::Running(mirror().into()));
    gateway.mount(Service::Auth, Mount::Running(mirror().into()));
    gateway.mount(Service::Storage, Mount::Running(mirror().into()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(gateway::serve(
        listener,
        Arc::new(gateway.clone()),
        limits,
        stopped,
        Duration::from_secs(2),
    ));
    Door { address, gateway, ring, events, stop, serving }
}

impl Door {
    /// Sends bytes and reads until the door closes the connection.
    pub(crate) async fn send(&self, request: impl AsRef<[u8]>) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request.as_ref()).await.unwrap();
        read_to_end(&mut socket).await
    }

    /// A request by one line and its headers; the answer's head with variable headers removed, and its body.
    pub(crate) async fn ask(&self, line: &str, headers: &[&str]) -> Answer {
        let mut request = format!("{line} HTTP/1.1\r\nHost: door.test:54321\r\nConnection: close\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        Answer::parse(&self.send(request).await)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) fn order_stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) async fn stopped(self) {
        self.serving.await.unwrap().unwrap();
    }

    pub(crate) fn token(&self, claims: serde_json::Value) -> String {
        self.ring.sign(&claims).unwrap()
    }
}

pub(crate) async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = socket.read_to_end(&mut bytes);
    // A reset after the answer is still an answer.
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await.expect("the connection ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Everything but what differs from run to run.
    pub(crate) fn written(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for (name, value) in &self.headers {
            let value = match name.as_str() {
                "date" => continue,
                "x-kong-request-id" => "[id]",
                name if name.ends_with("-latency") => "[ms]",
                _ => value,
            };
            text.push_str(&format!("{name}: {value}\n"));
        }
        format!("{text}\n{}", self.body)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn mirror() -> Router {
    Router::new()
        .route("/panic", get(panicking))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        )
        .route("/forever", get(|| async { std::future::pending::<()>().await }))
        .route(
            "/body",
            any(|request: Request<Body>| async {
                match to_bytes(request.into_body(), usize::MAX).await {
                    Ok(bytes) => (StatusCode::OK, format!("{} bytes", bytes.len())),
                    Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
                }
            }),
        )
        .route(
            "/endless",
            get(|| async {
                Body::from_stream(futures_util::stream::repeat_with(|| {
                    Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b'a'; 4096]))
                }))
            }),
        )
        .route("/ignored", any(|| async { "ignored" }))
        .route(
            "/own-cors",
            get(|| async {
                ([("access-control-allow-origin", "https://a"), ("access-control-expose-headers", "x")], "")
            }),
        )
        .fallback(|request: Request<Body>| async move {
            let mut headers: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
                .collect();
            headers.sort();
            let role =
                request.extensions().get::<Arc<Verified>>().and_then(|token| token.role().map(str::to_owned));
            axum::Json(serde_json::json!({
                "method": request.method().as_str(),
                "uri": request.uri().to_string(),
                "headers": headers,
                "verified_role": role,
            }))
        })
}

async fn panicking() -> StatusCode {
    panic!("on purpose")
}
