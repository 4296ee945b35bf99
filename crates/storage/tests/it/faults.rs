//! Stores that fail, clients that go away, writers that meet.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use storage::blob::{
    Attributes, Blob, BlobName, BoxFuture, Inflow, LocalStore, Piece, Store, StoreError, Written,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::service::{Service, config};

/// A store that fails half way when told to, as a disk that fills up does.
struct Failing {
    store: LocalStore,
    fails: Arc<AtomicBool>,
}

impl Store for Failing {
    fn kind(&self) -> &'static str {
        "failing"
    }
    fn put<'a>(
        &'a self,
        name: &'a BlobName,
        attributes: &'a Attributes,
        body: Inflow,
    ) -> BoxFuture<'a, Result<Written, StoreError>> {
        if !self.fails.load(Ordering::Relaxed) {
            return self.store.put(name, attributes, body);
        }
        Box::pin(async move {
            let mut body = body;
            body.next().await;
            Err(StoreError::Full)
        })
    }
    fn get<'a>(
        &'a self,
        name: &'a BlobName,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Blob, StoreError>> {
        self.store.get(name, range)
    }
    fn head<'a>(&'a self, name: &'a BlobName) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.store.head(name)
    }
    fn copy<'a>(
        &'a self,
        from: &'a BlobName,
        to: &'a BlobName,
        attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.fails.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Full) });
        }
        self.store.copy(from, to, attributes)
    }
    fn compose<'a>(
        &'a self,
        pieces: &'a [Piece],
        to: &'a BlobName,
        attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.store.compose(pieces, to, attributes)
    }
    fn delete<'a>(&'a self, names: &'a [BlobName]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.delete(names)
    }
    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.health()
    }
}

#[tokio::test]
async fn a_store_that_fails_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let store = LocalStore::open(folder.path().join("blobs"), None, false).unwrap();
    let service =
        Service::start_on(config(), Arc::new(Failing { store, fails: fails.clone() }), folder).await;
    service.bucket("b", json!({})).await;
    service.put("b/a", "before").await;
    fails.store(true, Ordering::Relaxed);
    let put = service.request("PUT", "/object/b/a").admin(&service).body("after").send().await;
    assert_eq!((put.status, put.refusal().3.as_str()), (500, "Internal server error"));
    let copy = json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "c"});
    assert_eq!(service.post("/object/copy", copy).admin(&service).send().await.status, 500);
    assert_eq!(service.content("b/a").await.as_deref(), Some("before"));
    assert_eq!(service.blobs(1).await, 1);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let service = Service::open().await;
    for cut in [10, 200_000] {
        let request = service.request("POST", "/object/b/a").anon(&service).body(vec![7; 500_000]);
        let bytes = request.bytes();
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(&bytes[..head + cut]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(service.blobs(0).await, 0);
    assert_eq!(service.sql("select count(*) from storage.objects").await, "0");
    for _ in 0..100 {
        if service.sql("select count(*) from _storage.blobs").await == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the ledger still has the blob");
}

#[tokio::test]
async fn of_many_writers_of_one_key_one_wins_and_nothing_is_left_over() {
    let service = Service::open().await;
    let write = |index: usize| {
        let body = format!("{index}").repeat(70_000);
        service.request("PUT", "/object/b/contended").anon(&service).body(body).send()
    };
    let answers = futures_util::future::join_all((0..10).map(write)).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let content = service.content("b/contended").await.unwrap();
    assert!(content.len() == 70_000 && content.bytes().all(|byte| byte == content.as_bytes()[0]));
    assert_eq!(service.blobs(1).await, 1);

    let create = |_| service.request("POST", "/object/b/new").anon(&service).body("x").send();
    let answers = futures_util::future::join_all((0..10).map(create)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(service.blobs(2).await, 2);
}

#[tokio::test]
async fn slow_uploads_hold_no_connection() {
    let service = Service::open().await;
    // More than the pool has connections.
    let mut slow = Vec::new();
    for index in 0..12 {
        let bytes = service
            .request("POST", &format!("/object/b/slow{index}"))
            .anon(&service)
            .body("0123456789")
            .bytes();
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(&bytes[..bytes.len() - 5]).await.unwrap();
        slow.push((stream, bytes));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let quick = tokio::time::timeout(Duration::from_secs(2), service.put("b/quick", "x")).await;
    assert!(quick.is_ok());
    for (stream, bytes) in &mut slow {
        stream.write_all(&bytes[bytes.len() - 5..]).await.unwrap();
    }
    for _ in 0..200 {
        if service.sql("select count(*) from storage.objects").await == "13" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the slow uploads did not end");
}
