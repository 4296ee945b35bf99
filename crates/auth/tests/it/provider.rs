//! A sign-in page of somebody else: OAuth 2.0 and OpenID Connect over HTTP, with whoever is set as its one user.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokens::{KeyRing, KeySet};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

pub(crate) const CLIENT: &str = "our-client";
pub(crate) const SECRET: &str = "our-secret";

type Params = HashMap<String, String>;

#[derive(Clone)]
pub(crate) struct FakeProvider(Arc<Inner>);

struct Inner {
    url: String,
    keys: KeyRing,
    user: Mutex<Value>,
    codes: Mutex<HashMap<String, Params>>,
    /// Refuse `Authorization` headers at the token endpoint, as some do.
    body_only: bool,
    /// Its certificate, where it speaks TLS.
    certificate: Vec<u8>,
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl FakeProvider {
    pub(crate) async fn start(user: Value) -> Self {
        Self::start_with(user, false).await
    }

    pub(crate) async fn start_with(user: Value, body_only: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (provider, router) = Self::at(url, user, body_only, Vec::new());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    /// The same at an `https` address, with a certificate of its own.
    pub(crate) async fn start_tls(user: Value) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", tcp.local_addr().unwrap().port());
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let (provider, router) = Self::at(url, user, false, made.cert.der().to_vec());
        let listener = TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(tls)) };
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    fn at(url: String, user: Value, body_only: bool, certificate: Vec<u8>) -> (Self, Router) {
        let jwk = tokens::generate::signing_jwk().unwrap();
        let keys = KeyRing::new(KeySet::from_signing_keys(&json!([jwk]).to_string()).unwrap());
        let user = Mutex::new(user);
        let provider =
            Self(Arc::new(Inner { url, keys, user, codes: Mutex::default(), body_only, certificate }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/protocol/openid-connect/auth", get(authorize))
            .route("/protocol/openid-connect/token", post(token))
            .route("/protocol/openid-connect/userinfo", get(userinfo))
            .route("/metadata", get(|| async { crate::saml_provider::usual_metadata() }))
            .route("/login/oauth/authorize", get(authorize))
            .route("/login/oauth/access_token", post(token))
            .route("/api/v3/user", get(userinfo))
            .route("/api/v3/user/emails", get(emails))
            .with_state(provider.clone());
        (provider, router)
    }

    /// What its callers have to trust.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.certificate.clone()
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// Somebody else sits before the page now.
    pub(crate) fn set_user(&self, user: Value) {
        *self.0.user.lock().unwrap() = user;
    }

    /// An ID token with the usual claims and these.
    pub(crate) fn id_token(&self, more: Value) -> String {
        let now = chrono::Utc::now().timestamp();
        let mut claims = json!({"iss": self.0.url, "aud": CLIENT, "iat": now, "exp": now + 300});
        for source in [&*self.0.user.lock().unwrap(), &more] {
            for (name, value) in source.as_object().unwrap() {
                claims[name] = value.clone();
            }
        }
        self.0.keys.sign(&claims).unwrap()
    }
}

async fn discovery(State(provider): State<FakeProvider>) -> Json<Value> {
    let url = provider.url();
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/protocol/openid-connect/auth"),
        "token_endpoint": format!("{url}/protocol/openid-connect/token"),
        "userinfo_endpoint": format!("{url}/protocol/openid-connect/userinfo"),
        "scopes_supported": ["openid", "email"],
        "jwks_uri": format!("{url}/jwks"),
    }))
}

async fn jwks(State(provider): State<FakeProvider>) -> Json<Value> {
    Json(provider.0.keys.jwks())
}

async fn authorize(State(provider): State<FakeProvider>, Query(params): Query<Params>) -> Response {
    if params.get("client_id").map(String::as_str) != Some(CLIENT) || params["response_type"] != "code" {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let code = uuid::Uuid::new_v4().to_string();
    let back = format!("{}?code={code}&state={}", params["redirect_uri"], params["state"]);
    provider.0.codes.lock().unwrap().insert(code, params);
    Redirect::to(&back).into_response()
}

async fn token(State(provider): State<FakeProvider>, headers: HeaderMap, body: String) -> Response {
    let Query(form) = Query::<Params>::try_from_uri(&format!("http://x/?{body}").parse().unwrap()).unwrap();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let by_header = headers.get("authorization").is_some_and(|value| *value == basic);
    let by_body = form.get("client_id").is_some_and(|id| id == CLIENT)
        && form.get("client_secret").is_some_and(|secret| secret == SECRET);
    if !(by_body || by_header && !provider.0.body_only) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let asked = provider.0.codes.lock().unwrap().remove(&form["code"]);
    match asked {
        Some(asked) if asked["redirect_uri"] == form["redirect_uri"] && is_proven(&asked, &form) => {
            Json(json!({
                "access_token": "their-access", "refresh_token": "their-refresh", "token_type": "bearer",
                "id_token": provider.id_token(json!({})),
            }))
            .into_response()
        }
        _ => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response(),
    }
}

/// Whoever asked with a hash redeems with what it is of.
fn is_proven(asked: &Params, form: &Params) -> bool {
    let hash = form
        .get("code_verifier")
        .map(|verifier| BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())));
    asked.get("code_challenge") == hash.as_ref()
}

fn is_authorized(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value == "Bearer their-access")
}

async fn userinfo(State(provider): State<FakeProvider>, headers: HeaderMap) -> Response {
    if !is_authorized(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(provider.0.user.lock().unwrap().clone()).into_response()
}

async fn emails(State(provider): State<FakeProvider>, headers: HeaderMap) -> Response {
    if !is_authorized(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let user = provider.0.user.lock().unwrap().clone();
    Json(json!([{"email": user["email"], "primary": true, "verified": user["email_verified"]}]))
        .into_response()
}
