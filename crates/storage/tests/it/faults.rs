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
use tokio::sync::{mpsc, oneshot};

use crate::service::{Service, config};

/// A local store with troubles.
struct Troubled {
    store: LocalStore,
    /// Writes fail half way while this is set, as on a disk that fills up.
    fails: Arc<AtomicBool>,
    /// Told of each blob when it is written; the store says so once it is told to go on.
    durable: Option<mpsc::UnboundedSender<oneshot::Sender<()>>>,
}

impl Store for Troubled {
    fn kind(&self) -> &'static str {
        "troubled"
    }
    fn put<'a>(
        &'a self,
        name: &'a BlobName,
        attributes: &'a Attributes,
        mut body: Inflow,
    ) -> BoxFuture<'a, Result<Written, StoreError>> {
        Box::pin(async move {
            if self.fails.load(Ordering::Relaxed) {
                body.next().await;
                return Err(StoreError::Full);
            }
            let written = self.store.put(name, attributes, body).await?;
            if let Some(durable) = &self.durable {
                let (go, gone) = oneshot::channel();
                durable.send(go).unwrap();
                gone.await.unwrap();
            }
            Ok(written)
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
    let store = Troubled { store, fails: fails.clone(), durable: None };
    let service = Service::start_on(config(), Arc::new(store), folder).await;
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

/// A line to a store that stops carrying anything after so many bytes, without closing.
async fn stalling(store: std::net::SocketAddr) -> (std::net::SocketAddr, Arc<std::sync::atomic::AtomicI64>) {
    let left = Arc::new(std::sync::atomic::AtomicI64::new(i64::MAX));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = left.clone();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let store = TcpStream::connect(store).await.unwrap();
            let (client, store) = (client.into_split(), store.into_split());
            for (mut source, mut sink) in [(client.0, store.1), (store.0, client.1)] {
                let left = shared.clone();
                tokio::spawn(async move {
                    use tokio::io::AsyncReadExt as _;
                    let mut piece = vec![0; 16 << 10];
                    while let Ok(count @ 1..) = source.read(&mut piece).await {
                        if left.fetch_sub(count as i64, Ordering::Relaxed) < count as i64 {
                            // Neither on nor back.
                            std::future::pending::<()>().await;
                        }
                        if sink.write_all(&piece[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (address, left)
}

#[tokio::test]
async fn a_store_that_stalls_half_way_fails_the_request_and_leaves_the_old_object() {
    let s3 = storage::config::S3 { access_key: Some(("key".into(), "secret".into())), ..config().s3 };
    let far = Service::start_with(storage::Config { s3, file_size_limit: 64 << 20, ..config() }).await;
    far.bucket("blobs", json!({})).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap();
    let router = far.storage.s3_router();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let (line, left) = stalling(door).await;
    let backend = storage::config::S3Backend {
        bucket: "blobs".into(),
        endpoint: Some(format!("http://{line}")),
        force_path_style: true,
        region: "local".into(),
        max_sockets: 10,
        timeout: None,
        credentials: Some(("key".into(), "secret".into())),
        session_token: None,
    };
    let http = outgoing::builder().build().unwrap();
    let store =
        storage::blob::S3Store::new(&backend, http).unwrap().with_stall_limit(Duration::from_millis(400));
    let near = storage::Config { memory_cache: 0, file_size_limit: 64 << 20, ..config() };
    let service = Service::start_on(near, Arc::new(store), tempfile::tempdir().unwrap()).await;
    service.bucket("b", json!({})).await;
    let before = "before".repeat(200_000);
    service.put("b/a", &before).await;

    left.store(300_000, Ordering::Relaxed);
    let put = service.request("PUT", "/object/b/a").admin(&service).body("after!".repeat(200_000)).send();
    let put = tokio::time::timeout(Duration::from_secs(20), put).await.unwrap();
    assert_eq!(put.status, 500, "{}", put.text());
    // A download that stalls is cut: its client sees fewer bytes than were announced, never other ones.
    left.store(300_000, Ordering::Relaxed);
    let cut = service.get("/object/authenticated/b/a").admin(&service).send();
    let cut = tokio::time::timeout(Duration::from_secs(20), cut).await.unwrap();
    assert_eq!((cut.status, cut.header("content-length")), (200, before.len().to_string().as_str()));
    assert!(cut.body.len() < before.len() && before.as_bytes().starts_with(&cut.body));

    left.store(i64::MAX, Ordering::Relaxed);
    assert_eq!(service.content("b/a").await.as_deref(), Some(before.as_str()));
    serving.abort();
}

#[tokio::test]
async fn nobody_sees_an_object_before_its_blob_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (durable, mut waiting) = mpsc::unbounded_channel();
    let store = LocalStore::open(folder.path().join("blobs"), None, true).unwrap();
    let store = Troubled { store, fails: Arc::default(), durable: Some(durable) };
    let service = Service::start_on(config(), Arc::new(store), folder).await;
    service.bucket("b", json!({})).await;
    let put = tokio::spawn(service.request("PUT", "/object/b/a").admin(&service).body("x").send());
    let go = waiting.recv().await.unwrap();
    assert_eq!(service.sql("select count(*) from storage.objects").await, "0");
    assert!(!put.is_finished());
    go.send(()).unwrap();
    assert_eq!(put.await.unwrap().status, 200);
    assert_eq!(service.content("b/a").await.as_deref(), Some("x"));
}

/// On a file system of its own, which only root can make.
#[tokio::test]
async fn a_full_disk_refuses_an_upload_and_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "none"])
        .arg(&disk)
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    let store = LocalStore::open(disk.join("blobs"), None, true).unwrap();
    let service = Service::start_on(config(), Arc::new(store), folder).await;
    service.bucket("b", json!({})).await;
    service.put("b/a", "before").await;
    let put = service.request("PUT", "/object/b/a").admin(&service).body(vec![7; 800_000]).send().await;
    let kept = service.content("b/a").await;
    // The part that fitted is gone again, and there is room for what fits.
    let mut small = 0;
    for _ in 0..100 {
        small =
            service.request("PUT", "/object/b/c").admin(&service).body(vec![7; 100_000]).send().await.status;
        if small == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&disk).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(put.status, 500, "{}", put.text());
    assert_eq!((kept.as_deref(), small), (Some("before"), 200));
}
