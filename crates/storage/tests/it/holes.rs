//! Holes of the original that are closed here.

use serde_json::json;

use crate::service::{ANNA, Service, no_object, refused};

#[tokio::test]
async fn keys_do_not_climb_out_of_their_bucket() {
    let service = Service::open().await;
    service.put("b/a", "x").await;
    for key in ["a/../../other/x", "..%2f..%2fx", "%2e%2e/x", "a/%2E%2E/x", "./a", "a/."] {
        let upload =
            service.request("POST", &format!("/object/b/{key}")).anon(&service).body("x").send().await;
        assert_eq!((upload.status, upload.refusal().2.as_str()), (400, "InvalidKey"), "{key}");
    }
    for route in ["copy", "move"] {
        let body = json!({"bucketId": "b", "sourceKey": "a", "destinationKey": "../x"});
        let answer = service.post(&format!("/object/{route}"), body).anon(&service).send().await;
        assert_eq!(answer.refusal(), refused(400, "400", "InvalidKey", "Invalid key: ../x"), "{route}");
    }
    assert_eq!(service.content("b/a").await.as_deref(), Some("x"));
}

#[tokio::test]
async fn a_reader_does_not_empty_a_bucket() {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    service.put("b/a", "x").await;
    service
        .sql(
            "create policy see on storage.objects for select to authenticated using (true);
             create policy seeb on storage.buckets for select to authenticated using (true)",
        )
        .await;
    let empty = async || service.post("/bucket/b/empty", json!({})).bearer(service.user(ANNA)).send().await;
    assert_eq!(empty().await.refusal(), refused(400, "403", "Unauthorized", "Access denied"));
    assert_eq!(service.content("b/a").await.as_deref(), Some("x"));
    service.sql("create policy del on storage.objects for delete to authenticated using (true)").await;
    assert_eq!(empty().await.status, 200);
    assert_eq!(service.content("b/a").await, None);
}

#[tokio::test]
async fn a_copy_is_no_way_around_a_buckets_limits() {
    let service = Service::open().await;
    service.bucket("images", json!({"allowed_mime_types": ["image/*"], "file_size_limit": 3})).await;
    service.put("b/text", "ab").await;
    service.put("b/long", "abcdef").await;
    for (key, code) in [("text", "415"), ("long", "413")] {
        for route in ["copy", "move"] {
            let body = json!({"bucketId": "b", "sourceKey": key, "destinationKey": "x", "destinationBucket": "images"});
            let answer = service.post(&format!("/object/{route}"), body).anon(&service).send().await;
            assert_eq!(answer.refusal().1, code, "{route} {key}");
        }
    }
}

#[tokio::test]
async fn clients_roles_reach_neither_the_ledger_nor_the_functions_that_run_as_their_owner() {
    let service = Service::start().await;
    for role in ["anon", "authenticated", "service_role"] {
        for table in ["blobs", "parts", "part_checksums", "uploads"] {
            let reaches = service
                .sql(&format!("select has_table_privilege('{role}', '_storage.{table}', 'select')"))
                .await;
            assert_eq!(reaches, "f", "{role} {table}");
        }
        let enters =
            service.sql(&format!("select has_schema_privilege('{role}', '_storage', 'usage')")).await;
        assert_eq!(enters, "f", "{role}");
    }
    for role in ["anon", "authenticated"] {
        let definers = service
            .sql(&format!(
                "select string_agg(p.oid::regprocedure::text, ' ') from pg_proc p
                 where pronamespace = 'storage'::regnamespace and prosecdef and prorettype <> 'trigger'::regtype
                     and has_function_privilege('{role}', p.oid, 'execute')"
            ))
            .await;
        assert_eq!(definers, "", "{role}");
        let truncates = service
            .sql(&format!(
                "select string_agg(c.oid::regclass::text, ' ') from pg_class c
                 where relnamespace = 'storage'::regnamespace and relkind = 'r' and has_table_privilege('{role}', c.oid, 'truncate')"
            ))
            .await;
        assert_eq!(truncates, "", "{role}");
    }
}

#[tokio::test]
async fn statements_are_not_shown() {
    let service = Service::open().await;
    service.sql("create policy broken on storage.objects as restrictive for select to anon using (1 / length(left(name, 0)) > 0)").await;
    service.put("b/a", "x").await;
    let answer = service.get("/object/authenticated/b/a").anon(&service).send().await;
    assert_eq!(answer.refusal(), refused(500, "500", "DatabaseError", "A statement on the database failed"));
    let zero = service.get("/object/authenticated/b/a%00b").anon(&service).send().await;
    assert_eq!(zero.refusal().2, "InvalidKey");
    assert_eq!(
        service.request("DELETE", "/object/b/a%00b").admin(&service).send().await.refusal(),
        no_object()
    );
}
