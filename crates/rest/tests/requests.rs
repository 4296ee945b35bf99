//! Requests against a real database, as clients make them.
#![allow(clippy::unwrap_used)]

mod shop;

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use rest::Config;
use serde_json::{Value, json};
use shop::Shop;
use tower::ServiceExt;

#[tokio::test]
async fn reads_filter_order_and_page() {
    let shop = Shop::open().await;
    let answer = shop.get("/articles?select=code,price&price=gt.1&order=price.desc&limit=1").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!([{"code": "c", "price": 80.00}])));
    assert_eq!(answer.header("content-range"), Some("0-0/*"));
    assert_eq!(
        answer.header("content-location"),
        Some("/articles?limit=1&order=price.desc&price=gt.1&select=code%2Cprice")
    );
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));

    let counted =
        shop.send("GET /articles?offset=1", &[("prefer", "count=exact"), ("range", "0-1")], "").await;
    assert_eq!(counted.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(counted.header("content-range"), Some("1-1/3"));
    assert_eq!(counted.header("preference-applied"), Some("count=exact"));

    let beyond = shop.send("GET /articles?offset=9", &[("prefer", "count=exact")], "").await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.json()["details"], "An offset of 9 was requested, but there are only 3 rows.");
    assert_eq!(beyond.header("content-length"), Some(beyond.body.len().to_string().as_str()));
}

#[tokio::test]
async fn everybody_sees_only_what_is_theirs() {
    let shop = Shop::open().await;
    let names = async |headers: &[(&str, &str)]| {
        shop.send("GET /customers?select=name&order=id", headers, "").await.json()
    };
    let bearer = |sub| format!("Bearer {}", shop.token(sub));
    assert_eq!(names(&[("authorization", &bearer(1))]).await, json!([{"name": "Ada"}, {"name": "Bo"}]));
    assert_eq!(names(&[("authorization", &bearer(2))]).await, json!([{"name": "Cy"}]));
    assert_eq!(names(&[]).await, json!([]));
    let service = format!("Bearer {}", shop.ring.sign(&json!({"role": "service_role"})).unwrap());
    assert_eq!(names(&[("authorization", &service)]).await.as_array().unwrap().len(), 3);

    let stolen = json!({"owner": "00000000-0000-0000-0000-000000000002", "name": "Eve"}).to_string();
    let refused = shop.send("POST /customers", &[("authorization", &bearer(1))], &stolen).await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (StatusCode::FORBIDDEN, json!("42501")));
    let anonymous = shop.send("POST /customers", &[], &stolen).await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
    assert_eq!(anonymous.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn bad_tokens_are_refused_before_anything_else() {
    let shop = Shop::open().await;
    let expired = shop.ring.sign(&json!({"role": "authenticated", "exp": 1})).unwrap();
    for (token, code, message) in [
        ("", "PGRST301", "Empty JWT is sent in Authorization header"),
        ("a.b", "PGRST301", "Expected 3 parts in JWT; got 2"),
        (expired.as_str(), "PGRST303", "JWT expired"),
    ] {
        let answer = shop.send("GET /nothing", &[("authorization", &format!("Bearer {token}"))], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json(), json!({"code": code, "details": null, "hint": null, "message": message}));
        assert_eq!(
            answer.header("www-authenticate"),
            Some(format!("Bearer error=\"invalid_token\", error_description=\"{message}\"").as_str())
        );
    }
    let tampered = format!("{}x", shop.token(1));
    let answer = shop.send("GET /articles", &[("authorization", &format!("Bearer {tampered}"))], "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let nobody = shop.ring.sign(&json!({"role": "no such role"})).unwrap();
    let answer = shop.send("GET /articles", &[("authorization", &format!("Bearer {nobody}"))], "").await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (StatusCode::UNAUTHORIZED, json!("22023")));
}

#[tokio::test]
async fn embeds_follow_keys_views_junctions_and_functions() {
    let shop = Shop::open().await;
    let service = format!("Bearer {}", shop.ring.sign(&json!({"role": "service_role"})).unwrap());
    let headers = [("authorization", service.as_str())];
    let get = async |path: &str| shop.send(&format!("GET {path}"), &headers, "").await.json();
    assert_eq!(
        get("/orders?select=id,order_total,customers(name),lines(quantity,articles(name))&id=eq.1&lines.order=quantity").await,
        json!([{
            "id": 1,
            "order_total": 14.00,
            "customers": {"name": "Ada"},
            "lines": [
                {"quantity": 1, "articles": {"name": "Book"}},
                {"quantity": 4, "articles": {"name": "Apple"}},
            ],
        }])
    );
    assert_eq!(
        get("/orders?select=id,articles(code)&id=eq.1&articles.order=code").await,
        json!([{"id": 1, "articles": [{"code": "a"}, {"code": "b"}]}])
    );
    assert_eq!(
        get("/open_orders?select=id,customers(name)").await,
        json!([{"id": 1, "customers": {"name": "Ada"}}])
    );
    assert_eq!(
        get("/customers?select=name,orders!inner(state)&orders.state=eq.sent").await,
        json!([{"name": "Cy", "orders": [{"state": "sent"}]}])
    );
    assert_eq!(
        get("/customers?select=name,...orders(states:state)&id=eq.1&orders.order=id").await,
        json!([{"name": "Ada", "states": ["open", "paid"]}])
    );
    assert_eq!(
        get("/customers?select=city:profile->city->>name&profile->langs->>1=eq.en").await,
        json!([{"city": "Oslo"}])
    );
    assert_eq!(
        get("/customers?select=name&tags=cs.{vip}&order=name.desc").await,
        json!([{"name": "Cy"}, {"name": "Ada"}])
    );
    let missing = shop.send("GET /orders?select=article(*)", &headers, "").await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST);
    assert_eq!(missing.json()["code"], "PGRST200");
    assert_eq!(missing.json()["hint"], "Perhaps you meant 'articles' instead of 'article'.");
}

#[tokio::test]
async fn writes_report_what_they_did() {
    let shop = Shop::open().await;
    let created = shop
        .send(
            "POST /articles?select=code,price",
            &[("prefer", "return=representation, count=exact")],
            r#"[{"code":"d","name":"Desk","price":1},{"code":"e","name":"Ear","price":2.5}]"#,
        )
        .await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.json(), json!([{"code": "d", "price": 1.00}, {"code": "e", "price": 2.50}]));
    assert_eq!(created.header("content-range"), Some("*/2"));

    let located = shop
        .send("POST /lines", &[("prefer", "return=headers-only")], r#"{"order_id":3,"article_code":"d"}"#)
        .await;
    assert_eq!((located.status, located.body.as_str()), (StatusCode::CREATED, ""));
    assert_eq!(located.header("location"), Some("/lines?order_id=eq.3&article_code=eq.d"));

    let merged = shop
        .send(
            "POST /articles",
            &[("prefer", "resolution=merge-duplicates, return=representation")],
            r#"{"code":"d","name":"Desk","price":3}"#,
        )
        .await;
    assert_eq!((merged.status, merged.json()[0]["price"].clone()), (StatusCode::OK, json!(3.00)));

    let updated = shop
        .send(
            "PATCH /articles?code=eq.d",
            &[("prefer", "return=minimal, count=exact")],
            r#"{"name":"Table"}"#,
        )
        .await;
    assert_eq!((updated.status, updated.header("content-range")), (StatusCode::NO_CONTENT, Some("0-0/1")));
    assert_eq!((updated.header("content-length"), updated.header("content-type")), (None, None));

    let put = shop.send("PUT /articles?code=eq.f", &[], r#"{"code":"g","name":"x","price":1}"#).await;
    assert_eq!((put.status, put.json()["code"].clone()), (StatusCode::BAD_REQUEST, json!("PGRST115")));
    let twice = shop.send("POST /articles", &[], r#"{"code":"d","name":"Desk","price":1}"#).await;
    assert_eq!((twice.status, twice.json()["code"].clone()), (StatusCode::CONFLICT, json!("23505")));

    let deleted =
        shop.send("DELETE /articles?code=eq.e&select=name", &[("prefer", "return=representation")], "").await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!([{"name": "Ear"}])));
    for line in ["DELETE /articles", "PATCH /articles"] {
        let all = shop.send(line, &[], r#"{"name":"x"}"#).await;
        assert_eq!((all.status, all.json()["code"].clone()), (StatusCode::BAD_REQUEST, json!("21000")));
    }
}

#[tokio::test]
async fn what_is_refused_leaves_no_trace() {
    let shop = Shop::open().await;
    let object = ("accept", "application/vnd.pgrst.object+json");
    let two = r#"[{"code":"x","name":"X","price":1},{"code":"y","name":"Y","price":1}]"#;
    let refused = shop.send("POST /articles", &[object, ("prefer", "return=representation")], two).await;
    assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(refused.json()["details"], "The result contains 2 rows");
    let strict = ("prefer", "handling=strict, max-affected=1");
    let refused = shop.send("PATCH /articles?price=gt.1", &[strict], r#"{"price":0}"#).await;
    assert_eq!(
        (refused.status, refused.json()["code"].clone()),
        (StatusCode::BAD_REQUEST, json!("PGRST124"))
    );
    assert_eq!(
        shop.get("/articles?select=code,price&order=code").await.json(),
        json!([{"code": "a", "price": 0.50}, {"code": "b", "price": 12.00}, {"code": "c", "price": 80.00}])
    );
    let one = shop.send("GET /articles?code=eq.a&select=name", &[object], "").await;
    assert_eq!(one.json(), json!({"name": "Apple"}));
}

#[tokio::test]
async fn functions_are_called_as_they_are_declared() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/rpc/add_up?a=1&b=2").await.body, "3");
    assert_eq!(shop.send("POST /rpc/add_up", &[], r#"{"a":5}"#).await.body, "15");
    assert_eq!(shop.send("POST /rpc/echo", &[], r#"[{"a":null}]"#).await.json(), json!([{"a": null}]));
    let token = format!("Bearer {}", shop.token(1));
    let named = shop
        .send(
            "POST /rpc/customers_named?select=name,orders(id)&orders.id=eq.2&id=lt.2",
            &[("authorization", &token)],
            r#"{"part":"A"}"#,
        )
        .await;
    assert_eq!(named.json(), json!([{"name": "Ada", "orders": [{"id": 2}]}]));

    let pot = shop.send("POST /rpc/teapot", &[], "").await;
    assert_eq!((pot.status.as_u16(), pot.header("x-kind")), (418, Some("pot")));
    let refused = shop.send("POST /rpc/refuse", &[], "").await;
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(
        refused.json(),
        json!({"code": "PT402", "details": "Quota exceeded", "hint": "Upgrade your plan", "message": "Payment Required"})
    );
    let slow = shop.send("POST /rpc/slow", &[], "").await;
    assert_eq!(
        (slow.status, slow.json()["code"].clone()),
        (StatusCode::INTERNAL_SERVER_ERROR, json!("57014"))
    );
    let writing = shop.get("/rpc/teapott").await;
    assert_eq!(writing.status, StatusCode::NOT_FOUND);
    assert_eq!(writing.json()["hint"], "Perhaps you meant to call the function public.teapot");
}

#[tokio::test]
async fn a_new_table_is_there_after_a_notification_and_nothing_waits_for_it() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/news").await.status, StatusCode::NOT_FOUND);
    shop.database
        .connect("postgres")
        .await
        .simple_query("create table news (id int primary key); insert into news values (1)")
        .await
        .unwrap();
    shop.rest.notified(Some("reload schema"));
    let mut answer = shop.get("/news").await;
    for _ in 0..400 {
        if answer.status == StatusCode::OK {
            break;
        }
        // What was there before is served meanwhile.
        assert_eq!(shop.get("/articles?limit=0").await.status, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = shop.get("/news").await;
    }
    assert_eq!(answer.json(), json!([{"id": 1}]));
    shop.rest.stop().await;
}

#[tokio::test]
async fn the_transaction_knows_the_request() {
    let shop = Shop::open_with(|config| Config {
        app_settings: vec![("app.settings.shop".to_owned(), "open".to_owned())],
        ..config
    })
    .await;
    shop.database
        .connect("postgres")
        .await
        .simple_query(
            "create function about() returns json stable language sql as $$ select json_build_object(
               'method', current_setting('request.method'), 'path', current_setting('request.path'),
               'header', current_setting('request.headers')::json ->> 'x-one',
               'cookie', current_setting('request.cookies')::json ->> 'c',
               'role', current_setting('request.jwt.claims')::json ->> 'role', 'user', current_user,
               'shop', current_setting('app.settings.shop'), 'read_only', current_setting('transaction_read_only')) $$",
        )
        .await
        .unwrap();
    shop.rest.reload();
    while shop.get("/rpc/about").await.status != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = shop.send("GET /rpc/about", &[("x-one", "1"), ("cookie", "c=d")], "").await;
    assert_eq!(
        answer.json(),
        json!({
            "method": "GET", "path": "/rpc/about", "header": "1", "cookie": "d", "role": "anon", "user": "anon",
            "shop": "open", "read_only": "on",
        })
    );
}

#[tokio::test]
async fn the_root_describes_what_may_be_used() {
    let shop = Shop::open().await;
    let answer = shop.get("/").await;
    assert_eq!(answer.header("content-type"), Some("application/openapi+json; charset=utf-8"));
    let document = answer.json();
    assert_eq!(document["swagger"], "2.0");
    assert_eq!(
        document["definitions"]["lines"]["properties"]["article_code"]["description"],
        "Note:\nThis is a Primary Key.<pk/>\nThis is a Foreign Key to `articles.code`.<fk table='articles' column='code'/>"
    );
    assert_eq!(
        document["definitions"]["orders"]["properties"]["state"]["enum"],
        json!(["open", "paid", "sent"])
    );
    assert!(document["paths"]["/rpc/add_up"]["get"].is_object());
    let options = shop.send("OPTIONS /articles", &[], "").await;
    assert_eq!(options.header("allow"), Some("OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"));
}

#[tokio::test]
async fn names_and_values_come_back_as_they_were_sent() {
    let shop = Shop::open().await;
    let odd =
        ["a\"b", "c'd; drop table articles; --", "e\\f", "g,h.(i)", "ü😀", " j ", "%6b", "*", "{l}", "null"];
    let rows: Vec<Value> = odd.iter().map(|name| json!({"code": name, "name": name, "price": 1})).collect();
    let made = shop.send("POST /articles", &[], &Value::from(rows).to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    for name in odd {
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        for filter in [
            format!("code=eq.{}", encode(name)),
            format!("code=in.({})", encode(&quoted)),
            format!("and=(code.eq.{})", encode(&quoted)),
        ] {
            let alias = encode(&quoted);
            let answer = shop.get(&format!("/articles?select={alias}:code&{filter}")).await;
            assert_eq!(answer.json(), json!([{name: name}]), "{filter}");
        }
    }
    assert_eq!(shop.get("/articles?code=eq.%00").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(shop.get("/articles?code=eq.%ff").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn large_answers_flow_and_announce_their_length() {
    let shop = Shop::open().await;
    shop.database
        .connect("postgres")
        .await
        .simple_query(
            "insert into articles select 'n' || i, repeat('x', 100), i from generate_series(1, 20000) i",
        )
        .await
        .unwrap();
    let answer = shop.get("/articles?select=code,name&code=like.n*").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-range"), Some("0-19999/*"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert!(answer.body.len() > 2_000_000);
    assert_eq!(answer.json().as_array().unwrap().len(), 20_000);
    // A reader that goes away gives its connection back.
    for _ in 0..30 {
        let request = Request::builder().uri("/articles").body(Body::empty()).unwrap();
        drop(shop.router.clone().oneshot(request).await.unwrap());
    }
    assert_eq!(shop.get("/articles?code=eq.a&select=code").await.json(), json!([{"code": "a"}]));
}
