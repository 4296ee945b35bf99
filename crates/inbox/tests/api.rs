//! The API over the router, with the shapes that clients of Mailpit and Inbucket read.
#![allow(clippy::unwrap_used, missing_docs)]

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use inbox::{Inbox, Limits};
use serde_json::{Value, json};
use tower::ServiceExt as _;

struct Box_(Inbox);

impl Box_ {
    fn with(mails: &[(&str, &str)]) -> Self {
        let inbox = Inbox::new(Limits::default());
        for (to, subject) in mails {
            let raw = format!(
                "From: Team <team@x.test>\r\nTo: {to}\r\nSubject: {subject}\r\nContent-Type: text/html\r\n\r\n<a href=\"http://x\">go</a>"
            );
            inbox.accept("team@x.test", &[(*to).to_owned()], raw.into_bytes()).unwrap();
        }
        Self(inbox)
    }

    async fn call(&self, method: &str, path: &str, host: &str, body: &str) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let answer = inbox::router(self.0.clone(), "1", false).oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, "localhost:54324", "").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

#[tokio::test]
async fn mails_are_listed_newest_first_and_read() {
    let inbox = Box_::with(&[("ann@a.test", "One"), ("bob@b.test", "Two")]);
    let mut list = inbox.json("/api/v1/messages").await;
    let messages = list["messages"].take();
    assert_eq!(
        list,
        json!({"total": 2, "unread": 2, "count": 2, "messages_count": 2, "messages_unread": 2, "start": 0, "tags": [], "messages": null})
    );
    assert_eq!(messages[0]["Subject"], "Two");
    assert_eq!(messages[0]["To"], json!([{"Name": "", "Address": "bob@b.test"}]));
    assert_eq!(messages[1]["From"], json!({"Name": "Team", "Address": "team@x.test"}));
    assert_eq!(messages[0]["Read"], false);
    let id = messages[1]["ID"].as_str().unwrap();
    let mail = inbox.json(&format!("/api/v1/message/{id}")).await;
    assert_eq!((&mail["Subject"], &mail["HTML"]), (&json!("One"), &json!("<a href=\"http://x\">go</a>")));
    assert!(mail["Text"].as_str().unwrap().contains("go"));
    assert_eq!(inbox.json("/api/v1/message/latest").await["Subject"], "Two");
    assert_eq!(inbox.json("/api/v1/info").await["Unread"], 0);
    let headers = inbox.json("/api/v1/message/latest/headers").await;
    assert_eq!(headers["Subject"], json!(["Two"]));
    let (_, raw) = inbox.call("GET", "/api/v1/message/latest/raw", "localhost", "").await;
    assert!(raw.starts_with("From: Team"), "{raw}");
}

#[tokio::test]
async fn mails_are_found_marked_and_deleted() {
    let inbox = Box_::with(&[("ann@a.test", "One"), ("bob@b.test", "Two"), ("ann@a.test", "Three")]);
    let found = inbox.json("/api/v1/search?query=to:ann@a.test&limit=1").await;
    assert_eq!(
        (&found["total"], &found["messages_count"], &found["count"]),
        (&json!(3), &json!(2), &json!(1))
    );
    let id = found["messages"][0]["ID"].clone();
    let body = json!({"IDs": [id], "Read": true}).to_string();
    assert_eq!(
        inbox.call("PUT", "/api/v1/messages", "localhost", &body).await,
        (StatusCode::OK, "ok".into())
    );
    assert_eq!(inbox.json("/api/v1/search?query=is:unread").await["messages_count"], 2);
    let body = json!({"IDs": [id]}).to_string();
    assert_eq!(
        inbox.call("DELETE", "/api/v1/messages", "localhost", &body).await,
        (StatusCode::OK, "ok".into())
    );
    let (status, body) = inbox.call("DELETE", "/api/v1/search?query=subject:two", "localhost", "").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
    assert_eq!(inbox.json("/api/v1/messages").await["messages"][0]["Subject"], "One");
    inbox.call("DELETE", "/api/v1/messages", "localhost", "").await;
    assert_eq!(inbox.json("/api/v1/messages").await["total"], 0);
    let (status, _) = inbox.call("GET", "/api/v1/message/latest", "localhost", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_older_api_has_mailboxes() {
    let inbox = Box_::with(&[("ann+x@a.test", "One"), ("bob@b.test", "Two")]);
    let list = inbox.json("/api/v1/mailbox/ann").await;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["subject"]), (1, &json!("One")));
    let mail = inbox.json("/api/v1/mailbox/ann/latest").await;
    assert_eq!(mail["body"]["html"], "<a href=\"http://x\">go</a>");
    inbox.call("DELETE", "/api/v1/mailbox/ann", "localhost", "").await;
    assert_eq!(inbox.json("/api/v1/mailbox/ann").await, json!([]));
    assert_eq!(inbox.json("/api/v1/messages").await["total"], 1);
}

#[tokio::test]
async fn the_page_fetches_nothing_from_elsewhere_and_strangers_names_are_refused() {
    let inbox = Box_::with(&[("ann@a.test", "One")]);
    let (status, page) = inbox.call("GET", "/", "127.0.0.1:54324", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(!page.contains("http://") && !page.contains("https://") && page.len() < 10_000, "{}", page.len());
    let (status, view) = inbox.call("GET", "/view/latest.html", "localhost", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(view.ends_with("<a href=\"http://x\">go</a>"), "{view}");
    let (status, _) = inbox.call("GET", "/api/v1/messages", "rebound.evil.test:54324", "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
