//! The way in and out: every request passes here before routing and every answer after it.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{ALLOW, ORIGIN};
use http::{HeaderValue, Method, StatusCode, Uri};
use tower::ServiceExt;

use super::{RequestContext, cors};
use crate::State;
use crate::error::{Error, ErrorCode, Pending, render};
use crate::news;

/// Leaf routes of the original's router: with a slash behind them they don't exist. All others are
/// mounted sub-routers there, which answer with and without it.
const LEAVES: [&str; 15] = [
    "/health",
    "/.well-known/openid-configuration",
    "/.well-known/jwks.json",
    "/settings",
    "/authorize",
    "/invite",
    "/recover",
    "/resend",
    "/magiclink",
    "/otp",
    "/token",
    "/logout",
    "/admin/generate_link",
    "/sso/saml/metadata",
    "/sso/saml/acs",
];

/// Puts the surroundings around the routes, which are those of the moment at which a request comes.
pub(crate) fn front(current: impl Fn() -> (State, Router) + Clone + Send + Sync + 'static) -> Router {
    let service = tower::service_fn(move |request: Request| {
        let (state, routes) = current();
        async move { Ok::<_, Infallible>(serve(&state, routes, request).await) }
    });
    Router::new().fallback_service(service)
}

async fn serve(state: &State, routes: Router, mut request: Request) -> Response {
    let config = state.config();
    if cors::is_preflight(request.method(), request.headers()) {
        return cors::preflight(request.headers(), &config.cors_allowed_headers);
    }
    let context = Arc::new(RequestContext::new(&request, config));
    let started = Instant::now();
    adjust(&mut request);
    request.extensions_mut().insert(context.clone());

    let answer = async {
        let Ok(answer) = routes.oneshot(request).await;
        deliver(state, &context, answer).await
    };
    let answer = match config.max_request_duration {
        limit if limit.is_zero() => answer.await,
        // The abandoned handler is dropped where it waits: its transaction is rolled back.
        limit => match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => axum::response::IntoResponse::into_response(Error::new(
                StatusCode::GATEWAY_TIMEOUT,
                ErrorCode::RequestTimeout,
                "Processing this request timed out, please retry after a moment.",
            )),
        },
    };
    let mut response = finish(answer, &context);
    cors::mark(response.headers_mut(), context.headers.contains_key(ORIGIN), &context.method);
    record(&context, &response, started);
    state.cleanup().after(config, &context.method, response.status());
    response
}

/// Sends the mails that a request has written. One whose handler failed has left none behind.
async fn deliver(state: &State, context: &RequestContext, answer: Response) -> Response {
    let written = std::mem::take(&mut *context.written.lock().unwrap_or_else(PoisonError::into_inner));
    if answer.extensions().get::<Pending>().is_some() {
        return answer;
    }
    if !written.is_empty()
        && let Err(error) = state.outbox().deliver(written).await
    {
        return axum::response::IntoResponse::into_response(error);
    }
    news::send(state, context).await;
    answer
}

/// Makes our router see the request as the original's would.
fn adjust(request: &mut Request) {
    // axum answers HEAD with GET's handler; the original has no HEAD at all. No route has TRACE.
    if request.method() == Method::HEAD {
        *request.method_mut() = Method::TRACE;
    }
    let uri = request.uri();
    let Some(path) = uri.path().strip_suffix('/').filter(|path| !path.is_empty() && !LEAVES.contains(path))
    else {
        return;
    };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(target) = target.parse::<Uri>() {
        *request.uri_mut() = target;
    }
}

/// Turns an error that a handler returned into its wire form.
fn finish(answer: Response, context: &RequestContext) -> Response {
    let Some(Pending(error)) = answer.extensions().get::<Pending>() else {
        return answer;
    };
    let mut response = render(error, context);
    if matches!(**error, Error::MethodNotAllowed) {
        let allowed = answer.headers().get(ALLOW).and_then(|value| value.to_str().ok()).unwrap_or_default();
        for method in allowed.split(',').map(str::trim).filter(|method| !matches!(*method, "" | "HEAD")) {
            if let Ok(value) = HeaderValue::from_str(method) {
                response.headers_mut().append(ALLOW, value);
            }
        }
    }
    response
}

/// The method as a label. A client may invent methods, and every new label costs memory for good.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn record(context: &RequestContext, response: &Response<Body>, started: Instant) {
    let status = response.status().as_u16();
    let method = method_label(&context.method);
    metrics::counter!("auth_http_requests_total", "method" => method, "status" => status.to_string())
        .increment(1);
    if context.path == "/health" {
        return;
    }
    let grant_type = if context.path == "/token" { context.query.get("grant_type") } else { "" };
    let error_code = response.headers().get("x-sb-error-code").and_then(|value| value.to_str().ok());
    tracing::info!(
        component = "api",
        method = %context.method,
        path = %context.path,
        remote_addr = %context.ip,
        grant_type,
        request_id = %context.id,
        status,
        duration = started.elapsed().as_nanos() as u64,
        error_code = error_code.unwrap_or_default(),
        "request completed"
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn invented_methods_share_one_label() {
        assert_eq!(method_label(&Method::PUT), "PUT");
        assert_eq!(method_label(&Method::from_bytes(b"INVENTED1").unwrap()), "other");
    }
}
