//! Which operation needs which policy.

use serde_json::{Value, json};

use crate::service::{ANNA, Answer, BERT, Service, no_object, row_security};

/// A service with a bucket `b` that holds `there`, and policies of these commands on objects for signed-in users.
async fn with(policies: &[&str]) -> Service {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    service.put("b/there", "content").await;
    for (index, policy) in policies.iter().enumerate() {
        let clause = match *policy {
            "insert" => "with check (true)",
            "update" => "using (true) with check (true)",
            _ => "using (true)",
        };
        service
            .sql(&format!("create policy p{index} on storage.objects for {policy} to authenticated {clause}"))
            .await;
    }
    service
}

async fn act(service: &Service, operation: &str) -> Answer {
    let request = match operation {
        "upload" => service.request("POST", "/object/b/new").body("x"),
        "upsert" => service.request("POST", "/object/b/new").header("x-upsert", "true").body("x"),
        "put" => service.request("PUT", "/object/b/there").body("x"),
        "download" => service.get("/object/authenticated/b/there"),
        "info" => service.get("/object/info/authenticated/b/there"),
        "sign" => service.post("/object/sign/b/there", json!({"expiresIn": 9})),
        "sign_upload" => service.post("/object/upload/sign/b/new", json!({})),
        "delete" => service.request("DELETE", "/object/b/there"),
        "move" => service
            .post("/object/move", json!({"bucketId": "b", "sourceKey": "there", "destinationKey": "moved"})),
        "copy" => service
            .post("/object/copy", json!({"bucketId": "b", "sourceKey": "there", "destinationKey": "copied"})),
        other => panic!("{other}"),
    };
    request.bearer(service.user(ANNA)).send().await
}

#[tokio::test]
async fn without_policies_nothing_is_there_and_nothing_can_be_made() {
    let service = with(&[]).await;
    for operation in ["upload", "upsert", "put", "sign_upload"] {
        assert_eq!(act(&service, operation).await.refusal(), row_security(), "{operation}");
    }
    for operation in ["download", "info", "sign", "delete", "move", "copy"] {
        assert_eq!(act(&service, operation).await.refusal(), no_object(), "{operation}");
    }
    let list = service.post("/object/list/b", json!({"prefix": ""})).bearer(service.user(ANNA)).send().await;
    assert_eq!(list.text(), "[]");
    assert_eq!(service.content("b/there").await.as_deref(), Some("content"));
    assert_eq!(service.blobs(1).await, 1);
}

#[tokio::test]
async fn insert_alone_uploads_but_does_not_upsert() {
    let service = with(&["insert"]).await;
    assert_eq!(act(&service, "sign_upload").await.status, 200);
    assert_eq!(act(&service, "upsert").await.refusal(), row_security());
    assert_eq!(act(&service, "put").await.refusal(), row_security());
    assert_eq!(act(&service, "upload").await.status, 200);
    assert_eq!(act(&service, "download").await.refusal(), no_object());
}

#[tokio::test]
async fn upsert_without_select_policy_is_refused() {
    for missing in ["select", "update", "insert"] {
        let policies: Vec<&str> =
            ["insert", "select", "update"].into_iter().filter(|p| *p != missing).collect();
        let service = with(&policies).await;
        assert_eq!(act(&service, "put").await.refusal(), row_security(), "without {missing}");
        // PostgreSQL asks the policies of UPDATE only where there is a row to be changed.
        if missing != "update" {
            assert_eq!(act(&service, "upsert").await.refusal(), row_security(), "without {missing}");
        }
    }
    let service = with(&["insert", "select", "update"]).await;
    assert_eq!(act(&service, "upsert").await.status, 200);
    assert_eq!(act(&service, "put").await.status, 200);
}

#[tokio::test]
async fn select_reads_signs_and_lists() {
    let service = with(&["select"]).await;
    for operation in ["download", "info", "sign"] {
        assert_eq!(act(&service, operation).await.status, 200, "{operation}");
    }
    for operation in ["upload", "copy"] {
        assert_eq!(act(&service, operation).await.refusal(), row_security(), "{operation}");
    }
    for operation in ["delete", "move"] {
        assert_eq!(act(&service, operation).await.refusal(), no_object(), "{operation}");
    }
}

#[tokio::test]
async fn deletion_needs_select_and_delete() {
    assert_eq!(act(&with(&["delete"]).await, "delete").await.refusal(), no_object());
    assert_eq!(act(&with(&["select", "delete"]).await, "delete").await.status, 200);
}

#[tokio::test]
async fn a_move_needs_select_and_update() {
    assert_eq!(act(&with(&["update"]).await, "move").await.refusal(), no_object());
    assert_eq!(act(&with(&["select", "update"]).await, "move").await.status, 200);
}

#[tokio::test]
async fn a_copy_needs_select_and_insert() {
    assert_eq!(act(&with(&["insert"]).await, "copy").await.refusal(), no_object());
    assert_eq!(act(&with(&["select", "insert"]).await, "copy").await.status, 200);
}

#[tokio::test]
async fn everyone_has_a_folder_of_their_own() {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    service
        .sql(
            "create policy own on storage.objects for all to authenticated
             using ((storage.foldername(name))[1] = auth.uid()::text)
             with check ((storage.foldername(name))[1] = auth.uid()::text)",
        )
        .await;
    let put = async |who: &str, folder: &str| {
        service
            .request("POST", &format!("/object/b/{folder}/a.txt"))
            .bearer(service.user(who))
            .body(who)
            .send()
            .await
    };
    assert_eq!(put(ANNA, ANNA).await.status, 200);
    assert_eq!(put(ANNA, BERT).await.refusal(), row_security());
    assert_eq!(put(BERT, BERT).await.status, 200);
    let list =
        service.post("/object/list/b", json!({"prefix": ""})).bearer(service.user(ANNA)).send().await.json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["name"]), (1, &json!(ANNA)));
    // Out of one's own folder with a move: the old row may be seen, the new one not be made.
    let steal = json!({"bucketId": "b", "sourceKey": format!("{ANNA}/a.txt"), "destinationKey": format!("{BERT}/b.txt")});
    let answer = service.post("/object/move", steal).bearer(service.user(ANNA)).send().await;
    assert_eq!(answer.refusal(), row_security());
}

#[tokio::test]
async fn policies_tell_operations_apart() {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    service.put("b/a", "x").await;
    service
        .sql(
            "create policy reading on storage.objects for select to authenticated
             using (storage.operation() = 'storage.object.get_authenticated')",
        )
        .await;
    let get = service.get("/object/authenticated/b/a").bearer(service.user(ANNA)).send().await;
    assert_eq!(get.status, 200);
    for path in ["/object/info/authenticated/b/a", "/object/authenticated/b/a"] {
        let method = if path.contains("info") { "GET" } else { "HEAD" };
        assert_eq!(
            service.request(method, path).bearer(service.user(ANNA)).send().await.status,
            400,
            "{path}"
        );
    }
    let list = service.post("/object/list/b", json!({"prefix": ""})).bearer(service.user(ANNA)).send().await;
    assert_eq!(list.text(), "[]");
}

#[tokio::test]
async fn policies_see_the_request() {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    service
        .sql(
            "create policy checked on storage.objects for insert to authenticated with check (
                 current_setting('request.method') = 'POST'
                 and current_setting('request.path') like '/object/b/%'
                 and current_setting('request.headers')::json ->> 'x-secret' = 'yes'
                 and current_setting('request.jwt.claim.sub') = owner_id
                 and (metadata ->> 'size')::int < 10 and metadata ->> 'mimetype' = 'text/plain')",
        )
        .await;
    let send = async |secret: &str, body: &str| {
        let request =
            service.request("POST", "/object/b/a").bearer(service.user(ANNA)).header("x-secret", secret);
        request.header("content-type", "text/plain").body(body).send().await
    };
    assert_eq!(send("no", "x").await.refusal(), row_security());
    assert_eq!(send("yes", "much too long").await.refusal(), row_security());
    assert_eq!(send("yes", "x").await.status, 200);
}

#[tokio::test]
async fn buckets_have_policies_of_their_own() {
    let service = Service::start().await;
    service.bucket("b", json!({"public": true})).await;
    service.put("b/a", "x").await;
    let user = service.user(ANNA);
    let list = service.get("/bucket").bearer(&user).send().await;
    assert_eq!(list.text(), "[]");
    let create = service.post("/bucket", json!({"name": "mine"})).bearer(&user).send().await;
    assert_eq!(create.refusal(), row_security());
    service.sql("create policy make on storage.buckets for insert to authenticated with check (true)").await;
    let create = service.post("/bucket", json!({"name": "mine"})).bearer(&user).send().await;
    assert_eq!(create.status, 200);
    assert_eq!(service.sql("select owner from storage.buckets where id = 'mine'").await, ANNA);
    // Public is for downloads only.
    assert_eq!(service.get("/object/public/b/a").send().await.status, 200);
    let sign = service.post("/object/sign/b/a", json!({"expiresIn": 9})).bearer(&user).send().await;
    assert_eq!(sign.refusal(), no_object());
}

#[tokio::test]
async fn a_trigger_of_the_users_own_is_heard() {
    let service = Service::open().await;
    service
        .sql(
            "create table public.seen (name text, uid text);
             create function public.see() returns trigger language plpgsql as $$ begin
                 if new.name = 'forbidden' then raise exception 'not this one'; end if;
                 insert into public.seen values (new.name, current_user); return new;
             end $$;
             create trigger see before insert on storage.objects for each row execute function public.see();
             grant all on public.seen to anon, authenticated, service_role",
        )
        .await;
    let forbidden = service.request("POST", "/object/b/forbidden").anon(&service).body("x").send().await;
    assert_eq!((forbidden.status, forbidden.refusal().3.as_str()), (500, "not this one"));
    assert_eq!(service.request("POST", "/object/b/fine").anon(&service).body("x").send().await.status, 200);
    // The probe was taken back, with what its trigger did.
    assert_eq!(
        service.sql("select string_agg(name || ' ' || uid, ',') from public.seen").await,
        "fine service_role"
    );
    assert_eq!(service.blobs(1).await, 1);
    let _: Value = forbidden.json();
}
