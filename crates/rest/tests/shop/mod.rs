//! A service on a database of its own, with a small shop in it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use rest::{Config, Rest};
use serde_json::{Value, json};
use testkit::TestDatabase;
use tokens::{KeyRing, KeySet};
use tower::ServiceExt;

const SECRET: &str = "a secret of the tests, long enough to sign with";
const FIXTURE: &str = include_str!("../fixtures/shop.sql");

/// A service on a database of its own.
pub struct Shop {
    pub rest: Rest,
    pub router: Router,
    pub ring: KeyRing,
    pub database: TestDatabase,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} is not JSON", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(|config| config).await
    }

    pub async fn open_with(change: impl FnOnce(Config) -> Config) -> Self {
        let database = testkit::database().await;
        // As the role that users create their tables with, so that the default privileges apply.
        database.connect("postgres").await.simple_query(FIXTURE).await.unwrap();
        let ring = KeyRing::new(KeySet::from_secret(SECRET).unwrap());
        let config = change(Config {
            anon_role: Some("anon".to_owned()),
            extra_search_path: vec!["public".to_owned(), "extensions".to_owned()],
            require_where: true,
            ..Config::default()
        });
        let rest = Rest::start(config, database.pool("authenticator"), Some(ring.clone()));
        while !rest.is_ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { router: rest.router(), rest, ring, database }
    }

    pub fn token(&self, sub: u32) -> String {
        let sub = format!("00000000-0000-0000-0000-{sub:012}");
        self.ring.sign(&json!({"role": "authenticated", "sub": sub})).unwrap()
    }

    pub async fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (method, uri) = line.split_once(' ').unwrap();
        // Clients escape this one.
        let mut request = Request::builder().method(method).uri(uri.replace('>', "%3E"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "").await
    }

    /// Changes the database as its owner does, and waits until the service knows.
    pub async fn change(&self, sql: &str) {
        self.database.connect("postgres").await.simple_query(sql).await.unwrap();
        let before = self.rest.catalog().unwrap();
        self.rest.reload();
        while std::sync::Arc::ptr_eq(&before, &self.rest.catalog().unwrap()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
