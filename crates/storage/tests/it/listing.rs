use serde_json::{Value, json};

use crate::service::Service;

async fn service() -> Service {
    let service = Service::open().await;
    for key in ["top.txt", "a/1.txt", "a/2.txt", "a/b/3.txt", "A/4.txt", "a_b/5.txt", "axb/6.txt", "z/7.txt"]
    {
        service.put(&format!("b/{key}"), key).await;
    }
    service
}

async fn v1(service: &Service, body: Value) -> Vec<String> {
    let answer = service.post("/object/list/b", body).anon(service).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = answer.json();
    let shown = |row: &Value| {
        let name = row["name"].as_str().unwrap();
        if row["id"].is_null() { format!("{name}/") } else { name.to_owned() }
    };
    rows.as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test]
async fn a_folder_lists_folders_then_objects() {
    let service = service().await;
    assert_eq!(v1(&service, json!({"prefix": ""})).await, ["A/", "a/", "a_b/", "axb/", "z/", "top.txt"]);
    assert_eq!(v1(&service, json!({"prefix": "a"})).await, ["b/", "1.txt", "2.txt"]);
    assert_eq!(v1(&service, json!({"prefix": "a/b/"})).await, ["3.txt"]);
    let desc = json!({"prefix": "a", "sortBy": {"column": "name", "order": "desc"}});
    assert_eq!(v1(&service, desc).await, ["b/", "2.txt", "1.txt"]);
    let desc = json!({"prefix": "", "sortBy": {"column": "created_at", "order": "desc"}});
    assert_eq!(v1(&service, desc).await, ["z/", "axb/", "a_b/", "a/", "A/", "top.txt"]);
    assert_eq!(v1(&service, json!({"prefix": "", "limit": 2, "offset": 4})).await, ["z/", "top.txt"]);
    assert_eq!(v1(&service, json!({"prefix": "", "limit": 2, "offset": 6})).await, [""; 0]);
    assert_eq!(v1(&service, json!({"prefix": "", "search": "TO"})).await, ["top.txt"]);
    // Neither is a pattern.
    assert_eq!(v1(&service, json!({"prefix": "", "search": "a_"})).await, ["a_b/"]);
    assert_eq!(v1(&service, json!({"prefix": "a_b"})).await, ["5.txt"]);
    assert_eq!(v1(&service, json!({"prefix": "%"})).await, [""; 0]);
    let none = service.post("/object/list/none", json!({"prefix": ""})).anon(&service).send().await;
    assert_eq!(none.text(), "[]");
    let bad = service
        .post("/object/list/b", json!({"prefix": "", "sortBy": {"column": "id; drop"}}))
        .anon(&service);
    assert_eq!(bad.send().await.refusal().3, "body/sortBy/column must be equal to one of the allowed values");
}

async fn v2(service: &Service, body: Value) -> (Vec<String>, Option<String>) {
    let answer = service.post("/object/list-v2/b", body).anon(service).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let names = |part: &str| -> Vec<String> {
        body[part].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(body["hasNext"], body["nextCursor"].is_string());
    ([names("folders"), names("objects")].concat(), body["nextCursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn pages_by_cursor_show_every_entry_once() {
    let service = service().await;
    let all = ["A/4.txt", "a/1.txt", "a/2.txt", "a/b/3.txt", "a_b/5.txt", "axb/6.txt", "top.txt", "z/7.txt"];
    assert_eq!(v2(&service, json!({})).await.0, all);
    let folders = ["A/", "a/", "a_b/", "axb/", "top.txt", "z/"];
    for (order, column) in [("asc", "name"), ("desc", "name"), ("asc", "created_at"), ("desc", "updated_at")]
    {
        for limit in 1..=7 {
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let mut body = json!({"with_delimiter": true, "limit": limit, "sortBy": {"column": column, "order": order}});
                if let Some(cursor) = cursor {
                    body["cursor"] = cursor;
                }
                let (names, next) = v2(&service, body).await;
                assert!(names.len() <= limit);
                seen.extend(names);
                match next {
                    Some(next) => cursor = Some(Value::from(next)),
                    None => break,
                }
            }
            let mut sorted = seen.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, folders, "{order} {column} {limit}");
        }
    }
    assert_eq!(v2(&service, json!({"prefix": "a", "with_delimiter": true})).await.0, ["a/", "a_b/", "axb/"]);
    assert_eq!(
        v2(&service, json!({"prefix": "a/", "with_delimiter": true})).await.0,
        ["a/b/", "a/1.txt", "a/2.txt"]
    );
    let by_time = json!({"column": "created_at", "order": "asc"});
    for (prefix, folders) in
        [("a", ["a/", "a_b/", "axb/"].as_slice()), ("a/", &["a/1.txt", "a/2.txt", "a/b/"])]
    {
        let body = json!({"prefix": prefix, "with_delimiter": true, "sortBy": by_time});
        let mut names = v2(&service, body).await.0;
        names.sort_unstable();
        assert_eq!(names, folders);
    }
    assert_eq!(v2(&service, json!({"prefix": "a_"})).await.0, ["a_b/5.txt"]);
    let bad = service.post("/object/list-v2/b", json!({"cursor": "garbage"})).anon(&service).send().await;
    assert_eq!((bad.status, bad.refusal().2.as_str()), (400, "MissingParameter"));
}

#[tokio::test]
async fn times_order_everything_below_a_prefix() {
    let service = service().await;
    // The longer a name, the older.
    service.sql("update storage.objects set created_at = timestamptz '2025-01-01' - length(name) * interval '1 day'").await;
    let oldest =
        ["a/b/3.txt", "a_b/5.txt", "axb/6.txt", "A/4.txt", "a/1.txt", "a/2.txt", "top.txt", "z/7.txt"];
    let mut newest = oldest;
    newest.reverse();
    for (order, names) in [("asc", oldest), ("desc", newest)] {
        let sort = json!({"column": "created_at", "order": order});
        let (first, next) = v2(&service, json!({"limit": 5, "sortBy": sort})).await;
        let (rest, end) = v2(&service, json!({"limit": 5, "cursor": next})).await;
        assert_eq!(([first, rest].concat(), end), (names.map(str::to_owned).to_vec(), None), "{order}");
    }
    let sort = json!({"column": "created_at"});
    assert_eq!(
        v2(&service, json!({"prefix": "a/", "sortBy": sort})).await.0,
        ["a/b/3.txt", "a/1.txt", "a/2.txt"]
    );
}

#[tokio::test]
async fn folders_show_only_what_is_visible() {
    let service = Service::start().await;
    service.bucket("b", json!({})).await;
    for key in ["public/a", "secret/b", "secret/public/c"] {
        service.put(&format!("b/{key}"), "x").await;
    }
    service
        .sql("create policy visible on storage.objects for select to anon using ((storage.foldername(name))[1] = 'public')")
        .await;
    assert_eq!(v1(&service, json!({"prefix": ""})).await, ["public/"]);
    assert_eq!(v2(&service, json!({"with_delimiter": true})).await.0, ["public/"]);
    assert_eq!(v1(&service, json!({"prefix": "secret"})).await, [""; 0]);
}
