//! What is told to a receiver of webhooks, and to a cache.

use std::time::Duration;

use serde_json::{Value, json};
use storage::Config;
use storage::config::{Cdn, Webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::service::{Service, config, refused};

/// A request that a receiver got: its first line, its `Authorization`, its body.
type Told = (String, String, Value);

/// Listens, and answers with each of `statuses` in turn, the last one for ever.
async fn receiver(statuses: &'static [u16]) -> (String, mpsc::UnboundedReceiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let body = loop {
                stream.read_buf(&mut bytes).await.unwrap();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let header = |name: &str| {
                    let line = head.lines().find(|line| line.to_lowercase().starts_with(name));
                    line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value).to_owned()
                };
                if body.len() == header("content-length:").parse::<usize>().unwrap_or(0) {
                    let first = head.lines().next().unwrap().to_owned();
                    break (first, header("authorization:"), serde_json::from_str(body).unwrap());
                }
            };
            told.send(body).ok();
            let status = statuses.get(turn).or(statuses.last()).unwrap();
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heard)
}

async fn next(heard: &mut mpsc::UnboundedReceiver<Told>) -> Told {
    tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap()
}

async fn service(url: String) -> Service {
    let webhook = Webhook { url: Some(url), api_key: Some("hook-key".into()) };
    let service = Service::start_with(Config { region: "here".into(), webhook, ..config() }).await;
    service.allow_all().await;
    service
}

#[tokio::test]
async fn each_change_is_told_with_what_it_did() {
    let (url, mut heard) = receiver(&[200]).await;
    let service = service(url).await;
    service.bucket("b", json!({})).await;
    let (first, key, event) = next(&mut heard).await;
    assert_eq!((first.as_str(), key.as_str()), ("POST / HTTP/1.1", "Bearer hook-key"));
    let tenant = json!({ "ref": "stub", "host": "" });
    assert_eq!((&event["type"], &event["tenant"]), (&json!("Webhook"), &tenant));
    assert_eq!(event["event"]["type"], "Bucket:Created");
    assert_eq!((&event["event"]["region"], &event["event"]["$version"]), (&json!("here"), &json!("v1")));
    assert!(event["event"]["applyTime"].as_i64().unwrap() > 1_700_000_000_000);

    let upload = service.request("POST", "/object/b/a.txt").admin(&service).header("x-request-id", "r1");
    assert_eq!(upload.header("content-type", "text/plain").body("hello").send().await.status, 200);
    let (_, _, event) = next(&mut heard).await;
    let payload = &event["event"]["payload"];
    assert_eq!(event["event"]["type"], "ObjectCreated:Post");
    let told = ["bucketId", "name", "uploadType", "reqId"].map(|name| payload[name].as_str().unwrap());
    assert_eq!(told, ["b", "a.txt", "standard", "r1"]);
    assert_eq!(
        (&payload["metadata"]["size"], &payload["metadata"]["mimetype"]),
        (&json!(5), &json!("text/plain"))
    );
    let version = service.sql("select version from storage.objects").await;
    assert_eq!((&payload["version"], &payload["tenant"]), (&json!(version), &tenant));

    service.put("b/a.txt", "again").await;
    assert_eq!(next(&mut heard).await.2["event"]["type"], "ObjectCreated:Put");
    let copy = json!({"bucketId": "b", "sourceKey": "a.txt", "destinationKey": "c.txt"});
    assert_eq!(service.post("/object/copy", copy).admin(&service).send().await.status, 200);
    assert_eq!(next(&mut heard).await.2["event"]["type"], "ObjectCreated:Copy");
    let moved = json!({"bucketId": "b", "sourceKey": "c.txt", "destinationKey": "d.txt"});
    assert_eq!(service.post("/object/move", moved).admin(&service).send().await.status, 200);
    let events = [next(&mut heard).await.2, next(&mut heard).await.2];
    let kinds = events.each_ref().map(|event| event["event"]["type"].as_str().unwrap());
    assert_eq!(kinds, ["ObjectRemoved:Move", "ObjectCreated:Move"]);
    let old = &events[1]["event"]["payload"]["oldObject"];
    assert_eq!((&old["bucketId"], &old["name"]), (&json!("b"), &json!("c.txt")));
    assert_eq!(service.request("DELETE", "/object/b/d.txt").admin(&service).send().await.status, 200);
    let (_, _, event) = next(&mut heard).await;
    assert_eq!(event["event"]["type"], "ObjectRemoved:Delete");
    assert_eq!(event["event"]["payload"]["name"], "d.txt");
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_again_and_holds_nobody_up() {
    let (url, mut heard) = receiver(&[500, 503, 200]).await;
    let service = service(url).await;
    service.bucket("b", json!({})).await;
    service.put("b/a", "x").await;
    let kinds =
        [next(&mut heard).await, next(&mut heard).await, next(&mut heard).await, next(&mut heard).await];
    let kinds = kinds.map(|(_, _, event)| event["event"]["type"].as_str().unwrap().to_owned());
    assert_eq!(kinds, ["Bucket:Created", "Bucket:Created", "Bucket:Created", "ObjectCreated:Post"]);
}

#[tokio::test]
async fn a_cache_is_told_to_forget() {
    let (url, mut heard) = receiver(&[200, 500]).await;
    let cdn = Cdn { purge_url: Some(url), purge_key: Some("cache-key".into()) };
    let service = Service::start_with(Config { cdn, ..config() }).await;
    service.bucket("b", json!({})).await;
    service.put("b/dir/a.txt", "x").await;
    let purge = || service.request("DELETE", "/cdn/b/dir/a.txt");
    let answer = purge().admin(&service).send().await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "message": "success" })));
    let wanted = json!({ "tenant": { "ref": "stub" }, "bucketId": "b", "objectName": "dir/a.txt" });
    assert_eq!(next(&mut heard).await, ("POST /purge HTTP/1.1".into(), "Bearer cache-key".into(), wanted));
    assert_eq!(purge().admin(&service).send().await.status, 500);
    let denied = refused(403, "403", "Unauthorized", "Access denied: Invalid role");
    assert_eq!(purge().anon(&service).send().await.refusal(), denied);
    let none = service.request("DELETE", "/cdn/b/none").admin(&service).send().await;
    assert_eq!(none.refusal().1, "404");
}
