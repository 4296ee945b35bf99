//! The part of Mailpit's API that clients use.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use crate::Shared;
use crate::message::Message;
use crate::search::Query;

type Box_ = State<Arc<Shared>>;

/// Entries of a page unless a client asks for another number.
const PAGE: usize = 50;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/messages", get(messages).put(mark).delete(delete))
        .route("/api/v1/search", get(search).delete(delete_found))
        .route("/api/v1/message/{id}", get(message))
        .route("/api/v1/message/{id}/headers", get(headers))
        .route("/api/v1/message/{id}/raw", get(raw))
        .route("/api/v1/message/{id}/part/{part}", get(part))
        .route("/api/v1/info", get(info))
        .route("/api/v1/tags", get(async || Json(json!([]))))
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
}

/// What is not there, in Mailpit's form.
pub(crate) fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"Error": "message not found"}))).into_response()
}

#[derive(Debug, Deserialize)]
struct Range {
    #[serde(default)]
    query: String,
    #[serde(default)]
    start: usize,
    limit: Option<usize>,
}

async fn messages(State(shared): Box_, UrlQuery(range): UrlQuery<Range>) -> Response {
    list(&shared, &Query::default(), &range)
}

async fn search(State(shared): Box_, UrlQuery(range): UrlQuery<Range>) -> Response {
    let query = Query::parse(&range.query);
    if query.is_empty() {
        return (StatusCode::BAD_REQUEST, Json(json!({"Error": "Error: no search query"}))).into_response();
    }
    list(&shared, &query, &range)
}

fn list(shared: &Shared, query: &Query, range: &Range) -> Response {
    let limit = range.limit.unwrap_or(PAGE).min(shared.inbox.limits().messages);
    let found = shared.inbox.list(query, range.start, limit);
    let page: Vec<_> = found.page.iter().map(|(message, read)| message.summary(*read)).collect();
    Json(json!({
        "total": found.total,
        "unread": found.unread,
        "count": page.len(),
        "messages_count": found.matching,
        "messages_unread": found.matching_unread,
        "start": range.start,
        "tags": [],
        "messages": page,
    }))
    .into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Chosen {
    #[serde(rename = "IDs", alias = "ids")]
    ids: Vec<String>,
    read: bool,
}

impl Chosen {
    /// An empty body chooses everything, as does an empty list.
    fn read_from(body: &[u8]) -> Result<Self, Box<Response>> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| {
            let answer = Json(json!({"Error": error.to_string()}));
            Box::new((StatusCode::BAD_REQUEST, answer).into_response())
        })
    }
}

async fn mark(State(shared): Box_, body: axum::body::Bytes) -> Response {
    match Chosen::read_from(&body) {
        Ok(chosen) => {
            shared.inbox.mark(&chosen.ids, chosen.read);
            "ok".into_response()
        }
        Err(answer) => *answer,
    }
}

async fn delete(State(shared): Box_, body: axum::body::Bytes) -> Response {
    match Chosen::read_from(&body) {
        Ok(chosen) => {
            shared.inbox.remove(|message, _| chosen.ids.is_empty() || chosen.ids.contains(&message.id));
            "ok".into_response()
        }
        Err(answer) => *answer,
    }
}

async fn delete_found(State(shared): Box_, UrlQuery(range): UrlQuery<Range>) -> Response {
    let query = Query::parse(&range.query);
    if query.is_empty() {
        return (StatusCode::BAD_REQUEST, Json(json!({"Error": "Error: no search query"}))).into_response();
    }
    shared.inbox.remove(|message, read| query.matches(message, read));
    "ok".into_response()
}

async fn message(State(shared): Box_, Path(id): Path<String>) -> Response {
    let Some(message) = shared.inbox.find(&id) else { return not_found() };
    shared.inbox.mark(std::slice::from_ref(&message.id), true);
    Json(message.whole()).into_response()
}

async fn headers(State(shared): Box_, Path(id): Path<String>) -> Response {
    shared.inbox.find(&id).map_or_else(not_found, |message| Json(&message.headers).into_response())
}

async fn raw(State(shared): Box_, Path(id): Path<String>) -> Response {
    let text = |message: Arc<Message>| {
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], message.raw.clone()).into_response()
    };
    shared.inbox.find(&id).map_or_else(not_found, text)
}

async fn part(State(shared): Box_, Path((id, part)): Path<(String, String)>) -> Response {
    let message = shared.inbox.find(&id);
    let Some(part) =
        message.as_ref().and_then(|message| message.parts.iter().find(|known| known.part_id == part))
    else {
        return not_found();
    };
    let kind = HeaderValue::from_str(&part.content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let mut answer = part.bytes.clone().into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    // Somebody else's file must not act as a page of ours.
    answer.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    answer
}

async fn info(State(shared): Box_) -> Response {
    let counts = shared.inbox.counts();
    let listing = shared.inbox.list(&Query::default(), 0, 0);
    Json(json!({
        "Version": shared.version,
        "LatestVersion": shared.version,
        "Database": "memory",
        "DatabaseSize": counts.weight,
        "Messages": listing.total,
        "Unread": listing.unread,
        "Tags": {},
        "RuntimeStats": {
            "Uptime": shared.started.elapsed().as_secs(),
            "Memory": counts.weight,
            "MessagesDeleted": counts.deleted,
            "SMTPAccepted": counts.accepted,
            "SMTPAcceptedSize": counts.accepted_bytes,
            "SMTPRejected": 0,
            "SMTPIgnored": 0,
        },
    }))
    .into_response()
}
