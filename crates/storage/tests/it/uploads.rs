use base64::Engine as _;
use serde_json::json;
use storage::Config;

use crate::service::{Service, config, refused};

fn form(fields: &[(&str, &str)], file: &str) -> Vec<u8> {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += &format!(
        "--x\r\nContent-Disposition: form-data; name=\"\"; filename=\"blob\"\r\nContent-Type: image/png\r\n\r\n{file}\r\n"
    );
    body += "--x\r\nContent-Disposition: form-data; name=\"cacheControl\"\r\n\r\nlate\r\n--x--\r\n";
    body.into_bytes()
}

#[tokio::test]
async fn a_body_becomes_an_object_with_all_that_is_known_of_it() {
    let service = Service::open().await;
    let metadata = base64::engine::general_purpose::STANDARD.encode(r#"{"a":1}"#);
    let answer = service
        .request("POST", "/object/b/folder/a%20b.txt")
        .bearer(service.user(crate::service::ANNA))
        .header("content-type", "text/plain;charset=UTF-8")
        .header("cache-control", "max-age=3600")
        .header("x-metadata", &metadata)
        .body("hello")
        .send()
        .await;
    let body = answer.json();
    assert_eq!((answer.status, &body["Key"]), (200, &json!("b/folder/a b.txt")));
    let row: serde_json::Value = serde_json::from_str(
        &service.sql("select json_build_object('id', id, 'm', metadata - 'lastModified', 'u', user_metadata, 'o', owner, 'oid', owner_id, 'p', path_tokens, 'l', level) from storage.objects").await,
    )
    .unwrap();
    assert_eq!(
        row,
        json!({
            "id": body["Id"],
            "m": {"eTag": "\"5d41402abc4b2a76b9719d911017c592\"", "size": 5, "mimetype": "text/plain;charset=UTF-8",
                "cacheControl": "max-age=3600", "contentLength": 5, "httpStatusCode": 200},
            "u": {"a": 1}, "o": crate::service::ANNA, "oid": crate::service::ANNA, "p": ["folder", "a b.txt"], "l": 2
        })
    );
    assert_eq!(service.content("b/folder/a%20b.txt").await.as_deref(), Some("hello"));
}

#[tokio::test]
async fn a_file_in_a_form_takes_the_fields_before_it() {
    let service = Service::open().await;
    let answer = service
        .request("POST", "/object/b/f.png")
        .anon(&service)
        .header("content-type", "multipart/form-data; boundary=x")
        .body(form(&[("cacheControl", "3600"), ("metadata", r#"{"k":"v"}"#)], "PNG"))
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = service.sql("select metadata->>'mimetype' || ' ' || (metadata->>'cacheControl') || ' ' || user_metadata from storage.objects").await;
    assert_eq!(row, r#"image/png max-age=3600 {"k": "v"}"#);

    let none = service
        .request("POST", "/object/b/none")
        .anon(&service)
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n")
        .send()
        .await;
    assert_eq!(none.refusal(), refused(400, "400", "InvalidRequest", "No content provided"));
    let cut = form(&[], "PNG");
    let broken = service
        .request("POST", "/object/b/broken")
        .anon(&service)
        .header("content-type", "multipart/form-data; boundary=x")
        .body(&cut[..cut.len() / 2])
        .send()
        .await;
    assert_eq!(broken.status, 400);
    assert_eq!(service.content("b/broken").await, None);
    assert_eq!(service.blobs(1).await, 1);
}

#[tokio::test]
async fn a_key_is_taken_unless_the_client_says_otherwise() {
    let service = Service::open().await;
    let send = async |method: &str, upsert: &str, body: &str| {
        let request = service.request(method, "/object/b/k").anon(&service).header("x-upsert", upsert);
        request.body(body).send().await
    };
    assert_eq!(send("POST", "false", "1").await.status, 200);
    let taken = send("POST", "false", "2").await;
    assert_eq!(taken.refusal(), refused(400, "409", "Duplicate", "The resource already exists"));
    assert_eq!(service.content("b/k").await.as_deref(), Some("1"));
    assert_eq!(send("POST", "true", "3").await.status, 200);
    assert_eq!(send("PUT", "false", "4").await.status, 200);
    assert_eq!(service.content("b/k").await.as_deref(), Some("4"));
    // What was replaced is gone, and nothing else is left.
    assert_eq!(service.blobs(1).await, 1);
    assert_eq!(service.sql("select count(*) from _storage.blobs").await, "1");
}

#[tokio::test]
async fn limits_hold_however_the_body_is_framed() {
    let service = Service::start().await;
    service.bucket("small", json!({"file_size_limit": 10})).await;
    let too_large = refused(400, "413", "Payload too large", "The object exceeded the maximum allowed size");
    for body in ["x".repeat(11), "x".repeat(300_000)] {
        let plain = service.request("POST", "/object/small/a").admin(&service).body(body.clone());
        assert_eq!(plain.send().await.refusal(), too_large);
        let chunked = service.request("POST", "/object/small/a").admin(&service).body(body.clone()).chunked();
        assert_eq!(chunked.send().await.refusal(), too_large);
        let file = service
            .request("POST", "/object/small/a")
            .admin(&service)
            .header("content-type", "multipart/form-data; boundary=x")
            .body(form(&[], &body));
        assert_eq!(file.send().await.refusal(), too_large);
    }
    let fits = service.request("POST", "/object/small/a").admin(&service).body("0123456789").chunked();
    assert_eq!(fits.send().await.status, 200);
    assert_eq!(service.blobs(1).await, 1);
}

#[tokio::test]
async fn buckets_take_the_types_that_they_allow() {
    let service = Service::start().await;
    service.bucket("texts", json!({"allowed_mime_types": ["text/plain", "image/*"]})).await;
    let send = async |kind: &str| {
        let request = service.request("PUT", "/object/texts/a").admin(&service).header("content-type", kind);
        request.body("x").send().await
    };
    assert_eq!(send("text/plain;charset=utf-8").await.status, 200);
    assert_eq!(send("image/png").await.status, 200);
    let html = send("text/html").await.refusal();
    assert_eq!(html, refused(400, "415", "invalid_mime_type", "mime type text/html is not supported"));
    let folder = service.request("POST", "/object/texts/f/.emptyFolderPlaceholder").admin(&service);
    assert_eq!(folder.header("content-type", "application/octet-stream").send().await.status, 200);
    let marker =
        service.request("POST", "/object/texts/g/.emptyFolderPlaceholder").admin(&service).body("content");
    assert_eq!(marker.send().await.refusal().1, "413");
}

#[tokio::test]
async fn no_bucket_no_upload() {
    let service = Service::open().await;
    let answer = service.request("POST", "/object/none/a").anon(&service).body("x").send().await;
    assert_eq!(answer.refusal(), refused(400, "404", "Bucket not found", "Bucket not found"));
}

/// The original sends a longer body to S3 in parts, and so its tag is not MD5 of the whole, either.
#[tokio::test]
async fn a_long_body_has_the_tag_of_an_upload_in_parts_and_a_shorter_one_its_md5() {
    let service = Service::start_with(Config { file_size_limit: 1 << 30, ..config() }).await;
    service.bucket("b", json!({})).await;
    for (length, form) in [(5 << 20, "\"[0-9a-f]{32}\""), ((5 << 20) + 1, "\"[0-9a-f]{32}-321\"")] {
        let content = vec![b'x'; length];
        let upload = service.request("POST", "/object/b/long").admin(&service).header("x-upsert", "true");
        assert_eq!(upload.body(content.clone()).send().await.status, 200);
        let fits =
            format!("select metadata ->> 'eTag' ~ '^{form}$' from storage.objects where name = 'long'");
        assert_eq!(service.sql(&fits).await, "t", "{length} bytes");
        let answer = service.get("/object/b/long").admin(&service).send().await;
        assert_eq!((answer.status, answer.body.len()), (200, length));
        assert!(answer.body.iter().all(|byte| *byte == b'x'));
    }
}
