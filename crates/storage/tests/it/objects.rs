use serde_json::{Value, json};

use crate::service::{ANNA, BERT, Service, no_object, refused};

#[tokio::test]
async fn a_copy_takes_its_metadata_along() {
    let service = Service::open().await;
    service.bucket("other", json!({})).await;
    service.put("b/a", "content").await;
    let copy = service
        .post(
            "/object/copy",
            json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "c/d", "destinationBucket": "other"}),
        )
        .anon(&service)
        .send()
        .await;
    let body = copy.json();
    assert_eq!(
        (copy.status, &body["Key"], &body["name"], &body["bucket_id"]),
        (200, &json!("other/c/d"), &json!("c/d"), &json!("other"))
    );
    assert_eq!(body["Id"], body["id"]);
    assert_eq!(body["metadata"]["mimetype"], "text/plain");
    assert_eq!(service.content("other/c/d").await.as_deref(), Some("content"));
    // One lives without the other.
    assert_eq!(service.request("DELETE", "/object/b/a").anon(&service).send().await.status, 200);
    assert_eq!(service.blobs(1).await, 1);
    assert_eq!(service.content("other/c/d").await.as_deref(), Some("content"));
}

#[tokio::test]
async fn a_copy_can_be_given_other_metadata() {
    let service = Service::open().await;
    service.put("b/a", "{}").await;
    let copy = service
        .post(
            "/object/copy",
            json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "a", "copyMetadata": false,
            "metadata": {"mimetype": "application/json", "cacheControl": "max-age=9"}}),
        )
        .anon(&service)
        .header("x-upsert", "true")
        .send()
        .await;
    assert_eq!(copy.status, 200, "{}", copy.text());
    let read = service.get("/object/b/a").anon(&service).send().await;
    assert_eq!(
        (read.header("content-type"), read.header("cache-control")),
        ("application/json", "max-age=9")
    );
    assert_eq!(service.blobs(1).await, 1);
}

#[tokio::test]
async fn what_cannot_be_copied() {
    let service = Service::open().await;
    service.put("b/a", "1").await;
    let cases = [
        (json!({"bucketId": "b", "sourceKey": "none", "destinationKey": "x"}), no_object()),
        (
            json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "a"}),
            refused(400, "409", "Duplicate", "The resource already exists"),
        ),
        (
            json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "x", "destinationBucket": "none"}),
            refused(400, "404", "InvalidRequest", "The related resource does not exist"),
        ),
        (
            json!({"bucketId": "b", "sourceKey": "a"}),
            refused(400, "400", "Error", "body must have required property 'destinationKey'"),
        ),
    ];
    for (body, expected) in cases {
        let answer = service.post("/object/copy", body.clone()).anon(&service).send().await;
        assert_eq!(answer.refusal(), expected, "{body}");
    }
    assert_eq!(service.blobs(1).await, 1);
}

#[tokio::test]
async fn a_move_renames_the_row_and_leaves_the_bytes() {
    let service = Service::open().await;
    service.bucket("other", json!({})).await;
    service.put("b/a", "content").await;
    let id = service.sql("select id from storage.objects").await;
    let answer = service
        .post(
            "/object/move",
            json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "x/y", "destinationBucket": "other"}),
        )
        .bearer(service.user(ANNA))
        .send()
        .await;
    assert_eq!((answer.status, answer.json()), (200, json!({"message": "Successfully moved"})));
    assert_eq!(service.content("other/x/y").await.as_deref(), Some("content"));
    assert_eq!(service.content("b/a").await, None);
    let row =
        service.sql("select concat_ws(' ', id, owner_id, level, path_tokens[2]) from storage.objects").await;
    assert_eq!(row, format!("{id} {} 2 y", ANNA));

    let again = json!({"bucketId": "other", "sourceKey": "x/y", "destinationKey": "x/y"});
    assert_eq!(service.post("/object/move", again).anon(&service).send().await.status, 200);
    let missing = json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "z"});
    assert_eq!(service.post("/object/move", missing).anon(&service).send().await.refusal(), no_object());
    service.put("other/taken", "2").await;
    let taken = json!({"bucketId": "other", "sourceKey": "x/y", "destinationKey": "taken"});
    let refusal = service.post("/object/move", taken).anon(&service).send().await.refusal();
    assert_eq!(refusal, refused(400, "409", "Duplicate", "The resource already exists"));
    assert_eq!(service.content("other/taken").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn whoever_is_nobody_in_particular_leaves_the_owner() {
    let service = Service::open().await;
    let owner = async || service.sql("select concat_ws(' ', owner, owner_id) from storage.objects").await;
    let anna = format!("{ANNA} {ANNA}");
    service.request("POST", "/object/b/mine").bearer(service.user(ANNA)).body("1").send().await;
    service.put("b/mine", "2").await;
    assert_eq!((service.content("b/mine").await.as_deref(), owner().await), (Some("2"), anna.clone()));
    let moved = json!({"bucketId": "b", "sourceKey": "mine", "destinationKey": "still"});
    assert_eq!(service.post("/object/move", moved).admin(&service).send().await.status, 200);
    assert_eq!(owner().await, anna);
    service.request("PUT", "/object/b/still").bearer(service.user(BERT)).body("3").send().await;
    assert_eq!(owner().await, format!("{BERT} {BERT}"));
}

#[tokio::test]
async fn deletions_tell_what_they_removed() {
    let service = Service::open().await;
    for key in ["a", "b", "c", "d/e"] {
        service.put(&format!("b/{key}"), key).await;
    }
    let one = service.request("DELETE", "/object/b/a").anon(&service).send().await;
    assert_eq!((one.status, one.json()), (200, json!({"message": "Successfully deleted"})));
    assert_eq!(service.request("DELETE", "/object/b/a").anon(&service).send().await.refusal(), no_object());
    let many = service
        .request("DELETE", "/object/b")
        .anon(&service)
        .body(json!({"prefixes": ["b", "none", "d/e", "d/"]}).to_string());
    let many = many.send().await.json();
    let mut names: Vec<&str> =
        many.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["b", "d/e"]);
    assert!(many[0]["metadata"]["size"].is_u64());
    let unknown =
        service.request("DELETE", "/object/none").anon(&service).body(r#"{"prefixes":["x"]}"#).send().await;
    assert_eq!(unknown.json(), Value::Array(vec![]));
    let empty = service.request("DELETE", "/object/b").anon(&service).body(r#"{"prefixes":[]}"#).send().await;
    assert_eq!(empty.refusal().3, "body/prefixes must NOT have fewer than 1 items");
    let none = service
        .request("DELETE", "/object/b")
        .anon(&service)
        .header("content-type", "application/json")
        .send()
        .await;
    let message = "Body cannot be empty when content-type is set to 'application/json'";
    assert_eq!(none.refusal(), refused(400, "400", "FastifyError", message));
    assert_eq!(service.blobs(1).await, 1);
    assert_eq!(service.sql("select count(*) from storage.prefixes").await, "0");
}
