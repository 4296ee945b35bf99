//! The page, and what protects it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{Shared, api};

type Box_ = State<Arc<Shared>>;

/// Everything in one file: nothing is fetched from elsewhere.
const PAGE: &str = include_str!("page.html");

/// A mail may show pictures and style itself; it runs nothing, and its links open elsewhere.
const MAIL_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; \
                           img-src http: https: data:; style-src 'unsafe-inline' http: https:; font-src http: https: data:";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
        .route("/view/{name}", get(view))
}

/// `/view/<id>.html` and `/view/<id>.txt`: a mail as its reader sees it.
async fn view(State(shared): Box_, Path(name): Path<String>) -> Response {
    let (id, kind) = name.rsplit_once('.').unwrap_or((&name, "html"));
    let Some(message) = shared.inbox.find(id) else { return api::not_found() };
    if kind == "txt" {
        return ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], message.text.clone()).into_response();
    }
    // Links of the mail open beside this page, whatever the mail says.
    let body = format!("<!doctype html><meta charset=\"utf-8\"><base target=\"_blank\">{}", message.html);
    let mut answer = Html(body).into_response();
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(MAIL_POLICY));
    answer
}

/// Refuses callers who use a stranger's name for this machine, and sets the headers of every answer.
pub(crate) async fn check(State(shared): Box_, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !shared.any_host && !is_own_name(host) {
        return (StatusCode::FORBIDDEN, "this mail catcher answers to localhost only\n").into_response();
    }
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    );
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Addresses are their own proof; of names only those that lead to this machine everywhere.
fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || name == "host.docker.internal"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in
            ["localhost:54324", "127.0.0.1", "[::1]:54324", "mail.localhost", "host.docker.internal:1"]
        {
            assert!(is_own_name(host), "{host}");
        }
        for host in ["", "evil.test", "localhost.evil.test:54324", "127.0.0.1.evil.test"] {
            assert!(!is_own_name(host), "{host}");
        }
    }
}
