//! The API of Inbucket, which older projects' tests read mails with: a mailbox is what stands before the `@`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::Shared;
use crate::message::{Message, time};
use crate::search::Query;

type Box_ = State<Arc<Shared>>;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/mailbox/{name}", get(list).delete(purge))
        .route("/api/v1/mailbox/{name}/{id}", get(message).delete(delete))
        .route("/api/v1/mailbox/{name}/{id}/source", get(source))
}

fn belongs(message: &Message, name: &str) -> bool {
    let name = name.split('@').next().unwrap_or_default();
    message.receivers.iter().any(|address| {
        let local = address.split('@').next().unwrap_or_default();
        local.split('+').next().unwrap_or_default().eq_ignore_ascii_case(name)
            || local.eq_ignore_ascii_case(name)
    })
}

fn head(message: &Message, name: &str, seen: bool) -> Value {
    let person = |person: &crate::message::Person| {
        if person.name.is_empty() {
            format!("<{}>", person.address)
        } else {
            format!("{:?} <{}>", person.name, person.address)
        }
    };
    json!({
        "mailbox": name,
        "id": message.id,
        "from": message.from.as_ref().map(person).unwrap_or_default(),
        "to": message.to.iter().map(person).collect::<Vec<_>>(),
        "subject": message.subject,
        "date": time(message.received),
        "posix-millis": message.received.timestamp_millis(),
        "size": message.raw.len(),
        "seen": seen,
    })
}

/// Oldest first, unlike everywhere else.
async fn list(State(shared): Box_, Path(name): Path<String>) -> Json<Value> {
    let all = shared.inbox.list(&Query::default(), 0, usize::MAX);
    let own = all.page.iter().rev().filter(|(message, _)| belongs(message, &name));
    Json(own.map(|(message, read)| head(message, &name, *read)).collect())
}

fn find(shared: &Shared, name: &str, id: &str) -> Option<Arc<Message>> {
    let all = shared.inbox.list(&Query::default(), 0, usize::MAX);
    let mut own = all.page.into_iter().map(|(message, _)| message).filter(|message| belongs(message, name));
    if id == "latest" { own.next() } else { own.find(|message| message.id == id) }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

async fn message(State(shared): Box_, Path((name, id)): Path<(String, String)>) -> Response {
    let Some(message) = find(&shared, &name, &id) else { return not_found() };
    shared.inbox.mark(std::slice::from_ref(&message.id), true);
    let mut answer = head(&message, &name, true);
    answer["body"] = json!({"text": message.text, "html": message.html});
    answer["header"] = json!(message.headers);
    answer["attachments"] = json!([]);
    Json(answer).into_response()
}

async fn source(State(shared): Box_, Path((name, id)): Path<(String, String)>) -> Response {
    let text = |message: Arc<Message>| {
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], message.raw.clone()).into_response()
    };
    find(&shared, &name, &id).map_or_else(not_found, text)
}

async fn delete(State(shared): Box_, Path((name, id)): Path<(String, String)>) -> Response {
    let removed = shared.inbox.remove(|message, _| message.id == id && belongs(message, &name));
    if removed == 0 { not_found() } else { Json("OK").into_response() }
}

async fn purge(State(shared): Box_, Path(name): Path<String>) -> Json<&'static str> {
    shared.inbox.remove(|message, _| belongs(message, &name));
    Json("OK")
}
