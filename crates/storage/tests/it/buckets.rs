use serde_json::{Value, json};

use crate::service::{Service, refused};

#[tokio::test]
async fn a_bucket_is_made_changed_read_and_deleted() {
    let service = Service::start().await;
    let made = service
        .post("/bucket", json!({"name": "docs", "public": true, "file_size_limit": "20kb", "allowed_mime_types": ["image/*", ""]}))
        .admin(&service)
        .send()
        .await;
    assert_eq!((made.status, made.json()), (200, json!({"name": "docs"})));

    let mut row = service.get("/bucket/docs").admin(&service).send().await.json();
    for time in ["created_at", "updated_at"] {
        let text = row[time].take();
        assert!(text.as_str().unwrap().ends_with('Z') && text.as_str().unwrap().len() == 24, "{text}");
    }
    assert_eq!(
        row,
        json!({"id": "docs", "name": "docs", "owner": "", "public": true, "file_size_limit": 20000,
            "allowed_mime_types": ["image/*"], "created_at": null, "updated_at": null})
    );

    for (change, expected) in [
        (json!({}), json!([true, 20000, ["image/*"]])),
        (json!({"public": "false", "file_size_limit": 7}), json!([false, 7, ["image/*"]])),
        (json!({"file_size_limit": null, "allowed_mime_types": null}), json!([false, null, null])),
    ] {
        let body = change.to_string();
        let changed = service.request("PUT", "/bucket/docs").admin(&service).body(body).send().await;
        assert_eq!(changed.json(), json!({"message": "Successfully updated"}));
        let row = service.get("/bucket/docs").admin(&service).send().await.json();
        assert_eq!(json!([row["public"], row["file_size_limit"], row["allowed_mime_types"]]), expected);
    }

    let deleted = service.request("DELETE", "/bucket/docs").admin(&service).send().await;
    assert_eq!(deleted.json(), json!({"message": "Successfully deleted"}));
    let gone = service.get("/bucket/docs").admin(&service).send().await;
    assert_eq!(gone.refusal(), refused(400, "404", "Bucket not found", "Bucket not found"));
}

#[tokio::test]
async fn what_is_no_bucket_is_refused_in_the_originals_words() {
    let service = Service::start().await;
    service.bucket("taken", json!({})).await;
    let cases: [(Value, _); 8] = [
        (json!({"name": "taken"}), refused(400, "409", "Duplicate", "The resource already exists")),
        (json!({"name": "a/b"}), refused(400, "400", "Invalid Input", "Bucket name invalid")),
        (json!({"name": "x", "id": "a/../b"}), refused(400, "400", "Invalid Input", "Bucket name invalid")),
        (json!({}), refused(400, "400", "Error", "body must have required property 'name'")),
        (
            json!({"name": "m", "allowed_mime_types": ["nonsense"]}),
            refused(400, "415", "invalid_mime_type", "mime type nonsense is not supported"),
        ),
        (
            json!({"name": "m", "file_size_limit": 9_999_999}),
            refused(400, "413", "Payload too large", "The object exceeded the maximum allowed size"),
        ),
        (
            json!({"name": "m", "file_size_limit": "a lot"}),
            refused(
                400,
                "400",
                "InvalidRequest",
                "Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B",
            ),
        ),
        (
            json!({"name": "m", "type": "ANALYTICS"}),
            refused(
                400,
                "409",
                "InvalidRequest",
                "The feature iceberg_catalog is not enabled for this resource",
            ),
        ),
    ];
    for (body, expected) in cases {
        let answer = service.post("/bucket", body.clone()).admin(&service).send().await;
        assert_eq!(answer.refusal(), expected, "{body}");
    }
}

#[tokio::test]
async fn a_bucket_with_objects_is_emptied_first() {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    service.put("b/folder/a.txt", "a").await;
    let refusal = service.request("DELETE", "/bucket/b").admin(&service).send().await.refusal();
    assert_eq!(refusal, refused(400, "409", "InvalidRequest", "The bucket you tried to delete is not empty"));

    let emptied = service.post("/bucket/b/empty", json!({})).admin(&service).send().await;
    assert_eq!(emptied.json()["message"], "Empty bucket has been queued. Completion may take up to an hour.");
    assert_eq!(service.blobs(0).await, 0);
    assert_eq!(service.request("DELETE", "/bucket/b").admin(&service).send().await.status, 200);
}

#[tokio::test]
async fn buckets_are_listed_by_page_order_and_name() {
    let service = Service::start().await;
    for bucket in ["alpha", "beta_1", "gamma"] {
        service.bucket(bucket, json!({})).await;
    }
    let list = async |query: &str| -> Vec<String> {
        let rows = service.get(&format!("/bucket{query}")).admin(&service).send().await.json();
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list("?sortColumn=name&sortOrder=desc").await, ["gamma", "beta_1", "alpha"]);
    assert_eq!(list("?sortColumn=id&limit=1&offset=1").await, ["beta_1"]);
    assert_eq!(list("?search=ET").await, ["beta_1"]);
    assert_eq!(list("?search=%25").await, [""; 0]);
    let bad = service.get("/bucket?limit=0").admin(&service).send().await;
    assert_eq!(bad.refusal(), refused(400, "400", "Error", "querystring/limit must be >= 1"));
}

#[tokio::test]
async fn old_python_clients_see_no_type() {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    for (client, shown) in [
        ("supabase-py/2.17.3", false),
        ("supabase-py/2.18.0", true),
        ("supabase-py/storage3 v0.12.0", false),
        ("supabase-py/storage3 v0.12.1", true),
        ("supabase-js/2.0.0", true),
    ] {
        let rows = service.get("/bucket").admin(&service).header("x-client-info", client).send().await.json();
        assert_eq!(rows[0].get("type").is_some(), shown, "{client}");
    }
}

#[tokio::test]
async fn who_asks_must_say_so() {
    let service = Service::start().await;
    let none = service.get("/bucket").send().await.refusal();
    assert_eq!(none, refused(400, "400", "Error", "headers must have required property 'authorization'"));
    for (token, message) in [
        ("".to_owned(), "Invalid Compact JWS"),
        ("not.a.token".to_owned(), "Invalid Compact JWS"),
        (service.sign(json!({"role": "anon", "exp": 1})), "\"exp\" claim timestamp check failed"),
        (format!("{}x", service.sign(json!({"role": "anon"}))), "Invalid Compact JWS"),
    ] {
        let answer = service.get("/bucket").bearer(token).send().await.refusal();
        assert_eq!((answer.0, answer.1.as_str(), answer.2.as_str()), (400, "403", "Unauthorized"));
        assert!(answer.3 == message || answer.3 == "signature verification failed", "{answer:?}");
    }
    // A bare token is a token, too.
    let bare =
        service.get("/bucket").header("authorization", &service.sign(json!({"role": "anon"}))).send().await;
    assert_eq!((bare.status, bare.text().as_str()), (200, "[]"));
    // A role that the database does not know, or that is not for clients.
    for role in ["nobody", "postgres"] {
        let answer = service.get("/bucket").bearer(service.sign(json!({"role": role}))).send().await;
        assert_eq!(
            answer.refusal(),
            refused(400, "403", "Unauthorized", "Access denied: Invalid role"),
            "{role}"
        );
    }
}
