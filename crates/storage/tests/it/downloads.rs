use rstest::rstest;
use serde_json::json;

use crate::service::{ANNA, Service, no_object, refused};

const ETAG: &str = "\"781e5e245d69b566979b86e28d23f2c7\"";

async fn service() -> Service {
    let service = Service::start().await;
    service.bucket("p", json!({"public": true})).await;
    service.bucket("private", json!({})).await;
    service.put("p/ten.txt", "0123456789").await;
    service.put("private/ten.txt", "0123456789").await;
    service
}

#[tokio::test]
async fn everyone_reads_a_public_bucket_and_nobody_learns_of_a_private_one() {
    let service = service().await;
    let answer = service.get("/object/public/p/ten.txt?cacheNonce=1").send().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-length", "10"),
        ("accept-ranges", "bytes"),
        ("etag", ETAG),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("last-modified").ends_with(" GMT"));
    let no_bucket = refused(400, "404", "Bucket not found", "Bucket not found");
    for path in [
        "/object/public/private/ten.txt",
        "/object/public/none/a",
        "/object/private/ten.txt",
        "/object/info/public/private/ten.txt",
    ] {
        assert_eq!(service.get(path).send().await.refusal(), no_bucket, "{path}");
    }
    assert_eq!(service.get("/object/public/p/none").send().await.refusal(), no_object());
    assert_eq!(service.get("/object/p/ten.txt").send().await.status, 200);
    let head = service.request("HEAD", "/object/public/p/ten.txt").send().await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
    assert_eq!(service.request("HEAD", "/object/public/p/none").send().await.status, 400);
}

#[tokio::test]
async fn a_token_takes_nothing_away_from_a_public_bucket() {
    let service = service().await;
    for path in ["/object/p/ten.txt", "/object/authenticated/p/ten.txt"] {
        let answer = service.get(path).anon(&service).send().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"), "{path}");
        let head = service.request("HEAD", path).bearer(service.user(ANNA)).send().await;
        assert_eq!((head.status, head.header("content-length")), (200, "10"), "{path}");
    }
    let info = service.get("/object/info/p/ten.txt").anon(&service).send().await;
    assert_eq!((info.status, &info.json()["size"]), (200, &json!(10)));
    assert_eq!(service.get("/object/p/none").anon(&service).send().await.refusal(), no_object());
    assert_eq!(service.get("/object/private/ten.txt").anon(&service).send().await.refusal(), no_object());
    let no_bucket = refused(400, "404", "Bucket not found", "Bucket not found");
    assert_eq!(service.get("/object/none/ten.txt").anon(&service).send().await.refusal(), no_bucket);
}

#[rstest]
#[case("bytes=2-4", 206, "234", "bytes 2-4/10")]
#[case("bytes=8-", 206, "89", "bytes 8-9/10")]
#[case("bytes=-3", 206, "789", "bytes 7-9/10")]
#[case("bytes=5-100", 206, "56789", "bytes 5-9/10")]
#[case("bytes=4-2", 200, "0123456789", "")]
#[case("nonsense", 200, "0123456789", "")]
#[tokio::test]
async fn ranges(#[case] range: &str, #[case] status: u16, #[case] body: &str, #[case] content_range: &str) {
    let service = service().await;
    let answer = service.get("/object/public/p/ten.txt").header("range", range).send().await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.header("content-range")),
        (status, body, content_range)
    );
    let head = service.request("HEAD", "/object/public/p/ten.txt").header("range", range).send().await;
    assert_eq!((head.status, head.header("content-length")), (status, body.len().to_string().as_str()));
}

#[tokio::test]
async fn a_range_beyond_the_end_is_said_to_be() {
    let service = service().await;
    let answer = service.get("/object/public/p/ten.txt").header("range", "bytes=10-").send().await;
    assert_eq!((answer.status, answer.header("content-range")), (416, "bytes */10"));
    service.put("p/empty", "").await;
    let empty = service.get("/object/public/p/empty").send().await;
    assert_eq!((empty.status, empty.header("content-length"), empty.body.len()), (200, "0", 0));
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let service = service().await;
    let first = service.get("/object/public/p/ten.txt").send().await;
    let modified = first.header("last-modified").to_owned();
    for (name, value) in [("if-none-match", ETAG), ("if-none-match", "*"), ("if-modified-since", &modified)] {
        let answer = service.get("/object/public/p/ten.txt").header(name, value).send().await;
        assert_eq!((answer.status, answer.body.len(), answer.header("etag")), (304, 0, ETAG), "{name}");
    }
    let changed = service.get("/object/public/p/ten.txt").header("if-none-match", "\"other\"").send().await;
    assert_eq!(
        (changed.status, changed.header("cache-control")),
        (200, "no-cache, stale-while-revalidate=30")
    );
    let failed = service.get("/object/public/p/ten.txt").header("if-match", "\"other\"").send().await;
    assert_eq!(failed.status, 412);
    let stale =
        service.get("/object/public/p/ten.txt").header("range", "bytes=0-0").header("if-range", "\"other\"");
    assert_eq!(stale.send().await.status, 200);
}

#[tokio::test]
async fn a_download_has_a_name_when_asked_for() {
    let service = service().await;
    for (query, expected) in [
        ("", ""),
        ("?download", "attachment;"),
        (
            "?download=a%20b%22%C3%A4.txt",
            "attachment; filename=a%20b%22%C3%A4.txt; filename*=UTF-8''a%20b%22%C3%A4.txt",
        ),
    ] {
        let answer = service.get(&format!("/object/public/p/ten.txt{query}")).send().await;
        assert_eq!(answer.header("content-disposition"), expected);
    }
}

#[tokio::test]
async fn what_s3_clients_said_of_an_object_is_told() {
    let service = service().await;
    let said = json!({"contentEncoding": "gzip", "contentLanguage": "de", "contentDisposition": "inline; filename=x"});
    service.sql(&format!("update storage.objects set metadata = metadata || '{said}'")).await;
    let told = async |query: &str| {
        let answer = service.get(&format!("/object/public/p/ten.txt{query}")).send().await;
        ["content-encoding", "content-language", "content-disposition"]
            .map(|name| answer.header(name).to_owned())
    };
    assert_eq!(told("").await, ["gzip", "de", "inline; filename=x"]);
    assert_eq!(told("?download").await, ["gzip", "de", "attachment;"]);
}

#[tokio::test]
async fn pages_are_shown_as_text() {
    let service = service().await;
    let page = service
        .request("POST", "/object/p/x.html")
        .admin(&service)
        .header("content-type", "text/html; charset=utf-8");
    assert_eq!(page.body("<script>").send().await.status, 200);
    let answer = service.get("/object/public/p/x.html").send().await;
    assert_eq!(answer.header("content-type"), "text/plain");
}

#[tokio::test]
async fn info_tells_what_the_row_knows() {
    let service = service().await;
    let mut info = service.get("/object/info/public/p/ten.txt").send().await.json();
    for member in ["id", "version", "last_modified", "created_at"] {
        assert!(info[member].take().is_string(), "{member}");
    }
    assert_eq!(
        info,
        json!({"id": null, "name": "ten.txt", "version": null, "bucket_id": "p", "size": 10, "content_type": "text/plain",
            "cache_control": "no-cache", "etag": ETAG, "metadata": {}, "last_modified": null, "created_at": null})
    );
    let private = service.get("/object/info/private/ten.txt").admin(&service).send().await;
    assert_eq!((private.status, &private.json()["bucket_id"]), (200, &json!("private")));
}

#[tokio::test]
async fn a_row_without_its_blob_is_missing_not_broken() {
    let service = service().await;
    service
        .sql("insert into storage.objects (bucket_id, name, version) values ('p', 'ghost', 'nothing')")
        .await;
    let answer = service.get("/object/public/p/ghost").send().await;
    assert_eq!(answer.refusal(), refused(400, "404", "Not found", "The resource was not found"));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_file_of_the_original_says_what_its_row_does_not() {
    let service = service().await;
    let folder = service.folder.path().join("volume/stub/p/old.css");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("v1"), "a {}").unwrap();
    for (name, value) in [("content-type", "text/css"), ("cache-control", "max-age=60")] {
        let name = format!("user.supabase.{name}");
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(folder.join("v1"), name, value.as_bytes(), flags).is_err() {
            return; // A file system without extended attributes: there are none to read, either.
        }
    }
    service.sql("insert into storage.objects (bucket_id, name, version) values ('p', 'old.css', 'v1')").await;
    let read = service.get("/object/public/p/old.css").send().await;
    let told = (read.status, read.header("content-type"), read.header("cache-control"));
    assert_eq!(told, (200, "text/css", "max-age=60"));
    assert_eq!(read.text(), "a {}");
}

#[tokio::test]
async fn files_of_the_original_program_are_read_and_deleted() {
    let service = service().await;
    let folder = service.folder.path().join("volume/stub/p/old/pic.txt");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("v1"), "from before").unwrap();
    service
        .sql(r#"insert into storage.objects (bucket_id, name, version, metadata) values ('p', 'old/pic.txt', 'v1', '{"size": 11, "mimetype": "text/plain"}')"#)
        .await;
    let read = service.get("/object/public/p/old/pic.txt").send().await;
    assert_eq!((read.status, read.text().as_str()), (200, "from before"));
    let moved = service.post(
        "/object/move",
        json!({"bucketId": "p", "sourceKey": "old/pic.txt", "destinationKey": "new.txt"}),
    );
    assert_eq!(moved.admin(&service).send().await.status, 200);
    assert_eq!(service.content("p/new.txt").await.as_deref(), Some("from before"));
    assert_eq!(service.blobs(3).await, 3);
    for _ in 0..100 {
        if !folder.exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the file of the original is still there");
}

#[tokio::test]
async fn unknown_routes_answer_as_the_framework_does() {
    let service = service().await;
    let answer = service.get("/nope").send().await;
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({"message": "Route GET:/nope not found", "error": "Not Found", "statusCode": 404}))
    );
    assert_eq!(service.get("/status").send().await.status, 200);
    assert_eq!(service.get("/version").send().await.text(), "0.0.0");
    assert_eq!(service.get("/health").admin(&service).send().await.json(), json!({"healthy": true}));
    assert_eq!(service.get("/health").send().await.refusal().1, "403");
    let purge = service.request("DELETE", "/cdn/p/ten.txt").admin(&service).send().await;
    let message = "Missing Required Parameter CDN_PURGE_ENDPOINT_URL is not set";
    assert_eq!(purge.refusal(), refused(400, "400", "MissingParameter", message));
    let user = service.request("DELETE", "/cdn/p/ten.txt").anon(&service).send().await;
    assert_eq!(user.refusal(), refused(403, "403", "Unauthorized", "Access denied: Invalid role"));
}
