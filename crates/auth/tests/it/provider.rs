//! A sign-in page of somebody else: OAuth 2.0 and OpenID Connect over HTTP, with whoever is set as its one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokens::{KeyRing, KeySet};
use tokio::net::TcpListener;

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
}

impl FakeProvider {
    pub(crate) async fn start(user: Value) -> Self {
        Self::start_with(user, false).await
    }

    pub(crate) async fn start_with(user: Value, body_only: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let jwk = tokens::generate::signing_jwk().unwrap();
        let keys = KeyRing::new(KeySet::from_signing_keys(&json!([jwk]).to_string()).unwrap());
        let provider =
            Self(Arc::new(Inner { url, keys, user: Mutex::new(user), codes: Mutex::default(), body_only }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/protocol/openid-connect/auth", get(authorize))
            .route("/protocol/openid-connect/token", post(token))
            .route("/protocol/openid-connect/userinfo", get(userinfo))
            .route("/login/oauth/authorize", get(authorize))
            .route("/login/oauth/access_token", post(token))
            .route("/api/v3/user", get(userinfo))
            .route("/api/v3/user/emails", get(emails))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
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
        Some(asked) if asked["redirect_uri"] == form["redirect_uri"] => Json(json!({
            "access_token": "their-access", "refresh_token": "their-refresh", "token_type": "bearer",
            "id_token": provider.id_token(json!({})),
        }))
        .into_response(),
        _ => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response(),
    }
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
