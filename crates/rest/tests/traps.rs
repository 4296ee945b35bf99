//! Behaviour that is easily got wrong, each a line of what PostgREST's own tests hold it to.
#![allow(clippy::unwrap_used)]

mod shop;

use http::StatusCode;
use rest::Config;
use serde_json::{Value, json};
use shop::{Answer, Shop};

const TRAPS: &str = include_str!("fixtures/traps.sql");
const OBJECT: (&str, &str) = ("accept", "application/vnd.pgrst.object+json");
const REPRESENTATION: (&str, &str) = ("prefer", "return=representation");

async fn open() -> Shop {
    // Without the guard that refuses to change every row: the database decides.
    open_with(|config| Config { require_where: false, ..config }).await
}

async fn open_with(change: impl FnOnce(Config) -> Config) -> Shop {
    let shop = Shop::open_with(change).await;
    shop.change(TRAPS).await;
    shop
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str()),
        (status, Some(code)),
        "{}",
        answer.body
    );
    let expected = format!("PostgREST; error={code}");
    assert_eq!(answer.header("proxy-status"), Some(expected.as_str()));
}

#[track_caller]
fn found(answer: &Answer, status: u16, body: Value) {
    assert_eq!((answer.status.as_u16(), answer.json()), (status, body));
}

#[tokio::test]
async fn changes_name_ranges_and_lengths_each_in_their_way() {
    let shop = open().await;
    let range = |answer: &Answer| answer.header("content-range").map(str::to_owned);
    let updated = shop.send("PATCH /people?id=gt.1", &[], r#"{"name":"X"}"#).await;
    assert_eq!((updated.status.as_u16(), range(&updated).as_deref()), (204, Some("0-1/*")));
    assert_eq!((updated.header("content-length"), updated.header("content-type")), (None, None));
    let created = shop.send("POST /notes", &[], r#"{"n":5}"#).await;
    assert_eq!((created.status.as_u16(), range(&created).as_deref()), (201, Some("*/*")));
    assert_eq!((created.header("content-length"), created.header("content-type")), (Some("0"), None));
    let deleted = shop.send("DELETE /notes?n=eq.5", &[("prefer", "count=exact")], "").await;
    assert_eq!((deleted.status.as_u16(), range(&deleted).as_deref()), (204, Some("*/1")));
}

#[tokio::test]
async fn an_update_of_nothing_succeeds() {
    let shop = open().await;
    for body in ["{}", "[]", "[{}]"] {
        let silent = shop.send("PATCH /people?id=eq.1", &[], body).await;
        assert_eq!((silent.status.as_u16(), silent.header("content-range")), (204, Some("*/*")), "{body}");
        found(&shop.send("PATCH /people?id=eq.1", &[REPRESENTATION], body).await, 200, json!([]));
    }
    found(&shop.send("PATCH /people?id=eq.99", &[REPRESENTATION], r#"{"name":"X"}"#).await, 200, json!([]));
    assert_eq!(
        shop.send("PATCH /people?id=eq.99", &[], r#"{"name":"X"}"#).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(shop.get("/people?name=eq.X").await.json(), json!([]));
}

#[tokio::test]
async fn an_upsert_is_created_only_when_something_is_new() {
    let shop = open().await;
    let merge = ("prefer", "resolution=merge-duplicates");
    let ignore = ("prefer", "resolution=ignore-duplicates");
    for (headers, body, status, applied) in [
        (merge, r#"[{"id":1,"name":"Ann"}]"#, 200, Some("resolution=merge-duplicates")),
        (merge, r#"[{"id":1,"name":"Ann"},{"id":7,"name":"New"}]"#, 201, Some("resolution=merge-duplicates")),
        (merge, "[]", 200, Some("resolution=merge-duplicates")),
        (ignore, r#"[{"id":1,"name":"Ann"}]"#, 201, Some("resolution=ignore-duplicates")),
    ] {
        let answer = shop.send("POST /people", &[headers], body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("preference-applied")),
            (status, applied),
            "{body}"
        );
    }
    // Without a key there is nothing to merge by, and that is not even said to be so.
    let keyless = shop.send("POST /notes", &[merge], r#"{"n":1}"#).await;
    assert_eq!((keyless.status.as_u16(), keyless.header("preference-applied")), (201, None));
    let twice = r#"[{"id":8,"name":"a"},{"id":8,"name":"b"}]"#;
    refused(&shop.send("POST /people", &[merge], twice).await, 500, "21000");
}

#[tokio::test]
async fn a_put_is_of_one_row_by_its_whole_key() {
    let shop = open().await;
    let put = async |line: &str, headers: &[(&str, &str)], body: &str| shop.send(line, headers, body).await;
    let event = r#"{"id":1,"day":"2024-05-05"}"#;
    assert_eq!(put("PUT /events?id=eq.1&day=eq.2024-05-05", &[], event).await.status, StatusCode::NO_CONTENT);
    let again =
        put("PUT /events?id=eq.1&day=eq.2024-05-05", &[REPRESENTATION, ("range", "5-2")], event).await;
    found(&again, 200, json!([{"id": 1, "day": "2024-05-05"}]));
    assert_eq!(again.header("content-range"), None);
    refused(&put("PUT /events?id=eq.1", &[], event).await, 405, "PGRST105");
    refused(&put("PUT /events?id=eq.1&day=eq.2024-05-05&limit=1", &[], event).await, 400, "PGRST114");
    let two = r#"[{"id":20,"name":"A"},{"id":21,"name":"B"}]"#;
    found(
        &put("PUT /people?id=eq.21&select=id,name", &[REPRESENTATION], two).await,
        201,
        json!([{"id": 21, "name": "B"}]),
    );
    refused(&put("PUT /people?id=eq.22", &[], two).await, 400, "PGRST115");
    assert_eq!(shop.get("/people?id=in.(20,22)").await.json(), json!([]));
}

#[tokio::test]
async fn a_change_of_more_than_one_row_is_undone_where_one_is_wanted() {
    let shop = open().await;
    for headers in [&[OBJECT][..], &[OBJECT, REPRESENTATION], &[OBJECT, ("prefer", "return=minimal")]] {
        refused(&shop.send("PATCH /people?id=gt.1", headers, r#"{"name":"X"}"#).await, 406, "PGRST116");
        refused(&shop.send("DELETE /people?id=eq.99", headers, "").await, 406, "PGRST116");
    }
    assert_eq!(shop.get("/people?name=eq.X").await.json(), json!([]));
}

#[tokio::test]
async fn a_location_is_told_of_exactly_one_row_when_headers_are_asked_for() {
    let shop = open().await;
    let only = [("prefer", "return=headers-only")];
    let location = async |line: &str, headers: &[(&str, &str)], body: &str| {
        shop.send(line, headers, body).await.header("location").map(str::to_owned)
    };
    let one = location("POST /odd.name", &only, r#"{"a,b":5,"ü":"x y"}"#).await;
    assert_eq!(one.as_deref(), Some("/odd.name?a%2Cb=eq.5"));
    assert_eq!(location("POST /people", &only, r#"[{"id":30,"name":"a"},{"id":31,"name":"b"}]"#).await, None);
    assert_eq!(location("POST /people", &[REPRESENTATION], r#"{"id":32,"name":"a"}"#).await, None);
    assert_eq!(location("POST /people", &[], r#"{"id":33,"name":"a"}"#).await, None);
    assert_eq!(location("POST /notes", &only, r#"{"n":1}"#).await, None);
}

#[tokio::test]
async fn columns_say_what_of_a_body_counts() {
    let shop = open().await;
    refused(&shop.send("POST /people?columns=", &[], "{}").await, 400, "PGRST100");
    refused(&shop.send("POST /people?columns=nope", &[], "{}").await, 400, "PGRST204");
    refused(&shop.send("POST /nowhere?columns=nope", &[], "{}").await, 404, "PGRST205");
    // The body is not looked into: the database complains.
    refused(&shop.send("POST /people?columns=id,name", &[], r#"[{"id":40},5]"#).await, 400, "22023");
    let few = shop
        .send(
            "POST /people?columns=id,name&select=id,name",
            &[REPRESENTATION],
            "\n\t [{\"id\":41,\"name\":\"a\",\"zzz\":1}]",
        )
        .await;
    found(&few, 201, json!([{"id": 41, "name": "a"}]));
    let defaults = [("prefer", "missing=default, return=representation")];
    let filled = shop
        .send(
            "POST /people?columns=id,name,full%20name&select=full%20name",
            &defaults,
            r#"[{"id":42,"name":"a"}]"#,
        )
        .await;
    found(&filled, 201, json!([{"full name": "x"}]));
    assert_eq!(filled.header("preference-applied"), Some("missing=default, return=representation"));
    refused(&shop.send("POST /typed", &[], r#"{"id":1,"always":3}"#).await, 400, "428C9");
}

#[tokio::test]
async fn bodies_reach_the_database_as_they_are() {
    let shop = open().await;
    let twice = r#"{"id":1,"j":{"a":1,"a":2},"jb":{"a":1,"a":2}}"#;
    let made = shop.send("POST /typed?select=j,jb", &[REPRESENTATION], twice).await;
    assert_eq!(made.body, r#"[{"j":{"a":1,"a":2},"jb":{"a": 2}}]"#);
    let csv = [("content-type", "text/csv"), ("prefer", "return=representation"), ("accept", "text/csv")];
    let rows = shop.send("POST /notes", &csv, "body,n\nNULL,70\n\"a,\"\"b\",71\n").await;
    assert_eq!((rows.status.as_u16(), rows.body.as_str()), (201, "body,n\n,70\n\"a,\"\"b\",71"));
    assert_eq!(rows.header("content-type"), Some("text/csv; charset=utf-8"));
    let form = [("content-type", "application/x-www-form-urlencoded"), ("prefer", "return=representation")];
    found(&shop.send("POST /notes", &form, "body=a+b%26&n=3").await, 201, json!([{"body": "a b&", "n": 3}]));
    let lenient = [("content-type", "application/json; anything"), ("prefer", "return=minimal")];
    assert_eq!(shop.send("POST /notes", &lenient, r#"{"n":1}"#).await.status, StatusCode::CREATED);
    for (kind, body) in [
        ("text/plain", "x"),
        ("application/x-other", "x"),
        ("application/json", ""),
        ("application/json", "[1]"),
    ] {
        refused(&shop.send("POST /notes", &[("content-type", kind)], body).await, 400, "PGRST102");
    }
}

#[tokio::test]
async fn windows_meet_and_counts_decide_what_is_too_far() {
    let shop = open().await;
    let read = async |path: &str, headers: &[(&str, &str)]| {
        let answer = shop.send(&format!("GET {path}"), headers, "").await;
        (answer.status.as_u16(), answer.header("content-range").unwrap_or("none").to_owned())
    };
    let exact = ("prefer", "count=exact");
    let own = |status, range: &str| (status, range.to_owned());
    assert_eq!(read("/people?offset=9", &[]).await, own(200, "*/*"));
    assert_eq!(read("/people?offset=9", &[exact]).await, own(416, "*/3"));
    assert_eq!(read("/people?offset=3", &[exact]).await, own(206, "*/3"));
    assert_eq!(read("/people?limit=1&offset=1", &[("range", "0-5"), exact]).await, own(206, "1-1/3"));
    assert_eq!(read("/people?limit=0", &[]).await, own(200, "*/*"));
    assert_eq!(read("/people?offset=-4", &[]).await, own(200, "0-2/*"));
    assert_eq!(read("/people?limit=-1", &[]).await, own(416, "none"));
    assert_eq!(read("/people?limit=x&offset=y", &[("range", "items=0-0")]).await, own(200, "*/*"));
    assert_eq!(read("/people", &[("range", "3-1")]).await, own(416, "none"));
    let planned = shop.send("GET /people?limit=1", &[("prefer", "count=planned")], "").await;
    assert_eq!(planned.header("preference-applied"), Some("count=planned"));
    assert!(
        planned.header("content-range").unwrap().starts_with("0-0/"),
        "{planned:?}",
        planned = planned.headers
    );
    let called = shop.send("POST /rpc/people_all?limit=2", &[("range", "2-2"), exact], "{}").await;
    assert_eq!((called.status.as_u16(), called.header("content-range")), (206, Some("0-1/3")));
}

#[tokio::test]
async fn the_most_rows_hold_for_embeds_and_not_for_changes() {
    let shop = open_with(|config| Config { max_rows: Some(1), require_where: false, ..config }).await;
    found(
        &shop.get("/people?select=id,people(id)&order=id").await,
        200,
        json!([{"id": 1, "people": [{"id": 2}]}]),
    );
    let all = shop.send("PATCH /people?select=id&order=id", &[REPRESENTATION], r#"{"name":"Y"}"#).await;
    found(&all, 200, json!([{"id": 1}, {"id": 2}, {"id": 3}]));
    let estimated = shop.send("GET /people", &[("prefer", "count=estimated")], "").await;
    assert_eq!(estimated.status, StatusCode::PARTIAL_CONTENT);
}

#[tokio::test]
async fn embeds_that_are_not_there_or_not_clear_are_told_apart() {
    let shop = open().await;
    for (path, status, code) in [
        ("/nowhere?select=*,other(*)", 404, "PGRST205"),
        ("/people?select=*,other(*)", 400, "PGRST200"),
        ("/people?games.id=eq.1", 400, "PGRST108"),
        ("/people?order=games(id)", 400, "PGRST108"),
        ("/people?select=*,people(*)&order=people(id)", 400, "PGRST118"),
        ("/games?select=*,people(*)", 300, "PGRST201"),
        ("/events_2024", 404, "PGRST205"),
        ("/people?select=id.count()", 400, "PGRST123"),
        ("/people?id=nope.1", 400, "PGRST100"),
        ("/people?select=nope", 400, "42703"),
        ("/people?name->a=eq.1&select=id,name->>b->c", 404, "42883"),
        ("/people?id=in.(%20,3)", 400, "22P02"),
        ("/", 200, ""),
    ] {
        let answer = shop.get(path).await;
        if code.is_empty() {
            assert_eq!(answer.status.as_u16(), status);
        } else {
            refused(&answer, status, code);
        }
    }
    let unclear = shop.get("/games?select=people(name)").await.json();
    assert_eq!(
        unclear["details"],
        json!([
            {"cardinality": "many-to-one", "embedding": "games with people", "relationship": "games_guest_id_fkey using games(guest_id) and people(id)"},
            {"cardinality": "many-to-one", "embedding": "games with people", "relationship": "games_home_id_fkey using games(home_id) and people(id)"},
        ])
    );
    found(&shop.get("/people?id=in.()").await, 200, json!([]));
}

#[tokio::test]
async fn a_table_meets_itself_in_both_directions() {
    let shop = open().await;
    found(
        &shop.get("/people?select=name,boss:boss_id(name),staff:people(name)&id=in.(1,2)&order=id&staff.order=id").await,
        200,
        json!([
            {"name": "Ann", "boss": null, "staff": [{"name": "Ben"}, {"name": "Cat"}]},
            {"name": "Ben", "boss": {"name": "Ann"}, "staff": []},
        ]),
    );
    // An empty embed is not shown, and still chooses rows; a path may name the table in spite of an alias.
    found(
        &shop.get("/people?select=name,staff:people()&staff=not.is.null").await,
        200,
        json!([{"name": "Ann"}]),
    );
    found(
        &shop.get("/people?select=name,staff:people(name)&id=eq.1&people.name=eq.Cat").await,
        200,
        json!([{"name": "Ann", "staff": [{"name": "Cat"}]}]),
    );
    let counted =
        shop.send("GET /people?select=name,staff:people!inner(name)", &[("prefer", "count=exact")], "").await;
    assert_eq!(counted.header("content-range"), Some("0-0/1"));
    found(
        &shop.get("/people?select=name,...people(staff:name)&order=id&people.order=id").await,
        200,
        json!([{"name": "Ann", "staff": ["Ben", "Cat"]}, {"name": "Ben", "staff": []}, {"name": "Cat", "staff": []}]),
    );
    found(&shop.get("/people?select=count").await, 200, json!([{"count": 3}]));
}

#[tokio::test]
async fn odd_names_are_written_in_quotes() {
    let shop = open().await;
    found(
        &shop.get("/odd.name?select=%22a,b%22,%22%C3%BC%22&%22%C3%BC%22=eq.%C3%A9").await,
        200,
        json!([{"a,b": 1, "ü": "é"}]),
    );
    // A column that is called like a word of the language is reached through a tree.
    found(&shop.get("/odd.name?select=order&and=(order.eq.7)").await, 200, json!([{"order": 7}]));
    found(
        &shop.get("/people?select=full%20name,pay->>currency&id=eq.1").await,
        200,
        json!([{"full name": "x", "currency": "EUR"}]),
    );
    let located = shop.get("/notes?n=eq.1&body=eq.one&n=eq.1").await;
    assert_eq!(located.header("content-location"), Some("/notes?body=eq.one&n=eq.1,eq.1"));
}

#[tokio::test]
async fn functions_are_told_apart_by_names_and_shown_by_shape() {
    let shop = open().await;
    for (path, body) in [
        ("/rpc/plain?a=1&a=2", "\"2\""),
        ("/rpc/many?v=1&v=2&v=3", "6"),
        ("/rpc/one_out", "{\"total\":3}"),
        ("/rpc/one_column", "[{\"n\":1}, \n {\"n\":2}]"),
        ("/rpc/numbers?lim=2", "[1, 2]"),
        ("/rpc/people_all?select=id&id=gt.2", "[{\"id\":3}]"),
    ] {
        let answer = shop.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, body), "{path}");
    }
    // What reads like a condition is one.
    refused(&shop.get("/rpc/plain?a=eq.1").await, 404, "PGRST202");
    refused(&shop.get("/rpc/plain?a=1&b=2").await, 404, "PGRST202");
    refused(&shop.get("/rpc/writes").await, 405, "25006");
    refused(&shop.send("POST /rpc/plain?a=1", &[], "{}").await, 400, "PGRST100");
    refused(&shop.send("GET /rpc/plain?a=1", &[("accept", "text/plain")], "").await, 406, "PGRST107");
    assert_eq!(shop.send("POST /rpc/plain", &[], r#"[{"a":"x"},{"a":"y"}]"#).await.body, "\"x\"");
    assert_eq!(shop.send("POST /rpc/one_out", &[], "").await.body, "{\"total\":3}");
    let void = shop.send("POST /rpc/nothing", &[], "").await;
    assert_eq!(
        (void.status.as_u16(), void.header("content-type"), void.header("content-length")),
        (204, None, None)
    );
    let head = shop.send("HEAD /rpc/numbers?lim=2", &[], "").await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-range"), head.header("content-length")),
        (200, Some("0-1/*"), None)
    );
    assert_eq!(head.header("content-type"), Some("application/json; charset=utf-8"));
    let scalar = shop.send("GET /rpc/numbers?lim=1", &[OBJECT], "").await;
    found(&scalar, 200, json!({"pgrst_scalar": 1}));
}

#[tokio::test]
async fn answers_are_changed_from_within() {
    let shop = open().await;
    let cookies = shop.send("POST /rpc/double_cookie", &[], "").await;
    let all: Vec<&str> =
        cookies.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!((all, cookies.header("content-range")), (vec!["a=1", "b=2"], Some("mine")));
    // A setting of an earlier transaction reads as empty, which is none.
    assert_eq!(shop.get("/notes").await.status, StatusCode::OK);
    refused(&shop.send("POST /rpc/bad_headers", &[], "").await, 500, "PGRST111");
    let raised = shop.send("POST /rpc/raises", &[], "").await;
    refused(&raised, 409, "123");
    assert_eq!(raised.json(), json!({"code": "123", "details": "d", "hint": "h", "message": "No"}));
    assert_eq!(raised.header("x-why"), Some("because"));
}

#[tokio::test]
async fn media_types_are_found_or_named_as_they_were_sent() {
    let shop = open().await;
    let read =
        async |path: &str, accept: &str| shop.send(&format!("GET {path}"), &[("accept", accept)], "").await;
    let shouted = read("/notes?order=n", "text/x-shout").await;
    assert_eq!((shouted.body.as_str(), shouted.header("content-type")), ("ONE-", Some("text/x-shout")));
    // A handler of one table takes only whole rows.
    refused(&read("/notes?select=n", "text/x-shout").await, 406, "PGRST107");
    let undefined = read("/notes", "undefined").await;
    assert_eq!(undefined.json()["message"], "None of these media types are available: undefined");
    refused(&read("/notes", "application/vnd.pgrst.plan").await, 406, "PGRST107");
    let stripped = read("/notes?order=n", "application/vnd.pgrst.array+json;nulls=stripped").await;
    found(&stripped, 200, json!([{"body": "one", "n": 1}, {"n": 2}]));
    let browser =
        read("/notes?limit=0", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8").await;
    assert_eq!(browser.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(read("/notes?n=eq.99", "text/csv").await.body, "\n");
}

#[tokio::test]
async fn preferences_are_followed_and_echoed() {
    let shop = open_with(|config| Config {
        require_where: false,
        transaction: rest::config::TransactionPolicy { rollback: false, client_may_choose: true },
        ..config
    })
    .await;
    let applied = async |line: &str, prefer: &str, body: &str| {
        let answer = shop.send(line, &[("prefer", prefer)], body).await;
        (answer.status.as_u16(), answer.header("preference-applied").unwrap_or("none").to_owned())
    };
    let own = |status, text: &str| (status, text.to_owned());
    assert_eq!(
        applied(
            "PATCH /notes?n=eq.1",
            "max-affected=5, handling=strict, tx=rollback, return=minimal",
            r#"{"n":50}"#
        )
        .await,
        own(204, "return=minimal, tx=rollback, handling=strict, max-affected=5")
    );
    assert_eq!(shop.get("/notes?n=eq.50").await.json(), json!([]));
    assert_eq!(applied("GET /notes", "timezone=Jupiter/Red_Spot", "").await, own(200, "none"));
    assert_eq!(
        applied("GET /notes", "handling=strict, timezone=Jupiter/Red_Spot", "").await,
        own(400, "none")
    );
    assert_eq!(applied("GET /notes", "timezone=Europe/Oslo", "").await, own(200, "timezone=Europe/Oslo"));
    assert_eq!(applied("GET /notes", "count=none, return=representation", "").await, own(200, "none"));
    // Without `strict` it is only a wish.
    assert_eq!(
        applied("DELETE /notes?n=gt.0", "max-affected=1, tx=rollback", "").await,
        own(204, "tx=rollback")
    );
    assert_eq!(
        applied("DELETE /notes?n=gt.0", "max-affected=1, handling=strict", "").await,
        own(400, "none")
    );
}

#[tokio::test]
async fn schemas_are_chosen_by_the_header_of_the_method() {
    let shop =
        Shop::open_with(|config| Config { schemas: vec!["public".to_owned(), "other".to_owned()], ..config });
    let shop = shop.await;
    shop.change("create schema other; create table other.things (id int); grant usage on schema other to anon; grant all on other.things to anon").await;
    let made =
        shop.send("POST /things", &[("content-profile", "other"), REPRESENTATION], r#"{"id":1}"#).await;
    assert_eq!((made.status.as_u16(), made.header("content-profile")), (201, Some("other")));
    let read = shop.send("GET /things", &[("accept-profile", "other")], "").await;
    assert_eq!((read.json(), read.header("content-profile")), (json!([{"id": 1}]), Some("other")));
    let gone = shop.send("DELETE /things?id=eq.1", &[("content-profile", "other")], "").await;
    assert_eq!((gone.status.as_u16(), gone.header("content-profile")), (204, None));
    // The header of the other kind means nothing.
    refused(&shop.send("GET /things", &[("content-profile", "other")], "").await, 404, "PGRST205");
    let unknown = shop.send("GET /things", &[("accept-profile", "nope")], "").await;
    refused(&unknown, 406, "PGRST106");
    assert_eq!(unknown.json()["hint"], "Only the following schemas are exposed: public, other");
}

#[tokio::test]
async fn other_origins_and_options_need_no_database() {
    let shop = open_with(|config| Config {
        cors_origins: Some(vec!["http://a.example".to_owned()]),
        server_timing: true,
        trace_header: Some(http::HeaderName::from_static("x-request-id")),
        ..config
    })
    .await;
    let asked = [
        ("origin", "http://a.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "X-One"),
    ];
    let preflight = shop.send("OPTIONS /people", &asked, "").await;
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("Authorization, X-One, Accept, Accept-Language, Content-Language")
    );
    let asked = [asked[0], asked[1], ("access-control-request-headers", "accept,apikey")];
    let preflight = shop.send("OPTIONS /people", &asked, "").await;
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("Authorization, accept, apikey, Accept-Language, Content-Language")
    );
    let preflight = shop.send("OPTIONS /people", &asked[..2], "").await;
    assert_eq!(preflight.header("access-control-allow-headers"), None);
    assert_eq!(preflight.header("access-control-max-age"), Some("86400"));
    assert_eq!(preflight.header("x-request-id"), Some(""));
    // What does not say which method it asks for is no preflight.
    let plain = shop.send("OPTIONS /people", &asked[..1], "").await;
    assert_eq!(plain.header("access-control-expose-headers"), None);
    assert_eq!(plain.header("access-control-allow-origin"), Some("*"));
    let stranger =
        shop.send("GET /people", &[("origin", "http://b.example"), ("x-request-id", "7")], "").await;
    assert_eq!((stranger.status.as_u16(), stranger.header("access-control-allow-origin")), (200, None));
    assert_eq!(stranger.header("x-request-id"), Some("7"));
    let known = shop.send("GET /nowhere", &[("origin", "http://a.example")], "").await;
    assert_eq!(known.header("access-control-allow-origin"), Some("http://a.example"));
    assert_eq!(
        (known.header("access-control-allow-credentials"), known.header("x-request-id")),
        (Some("true"), Some(""))
    );
    let options = shop.send("OPTIONS /notes", &[], "").await;
    assert_eq!(options.header("allow"), Some("OPTIONS,GET,HEAD,POST,PATCH,DELETE"));
    assert!(options.header("server-timing").unwrap().starts_with("jwt;dur="));
    refused(&shop.send("OPTIONS /nowhere", &[], "").await, 404, "PGRST205");
    refused(&shop.send("OPTIONS /rpc/plain", &[], "").await, 404, "PGRST202");
    refused(&shop.get("/people/").await, 404, "PGRST125");
}

#[tokio::test]
async fn paths_are_decoded_segment_by_segment() {
    let shop = open().await;
    found(&shop.get("/%72pc/plain?a=1").await, 200, json!("1"));
    let unknown = shop.get("/%FF").await;
    refused(&unknown, 404, "PGRST205");
    assert_eq!(unknown.json()["message"], "Could not find the table 'public.\u{fffd}' in the schema cache");
    refused(&shop.get("/a%2Fb").await, 404, "PGRST205");
}

#[tokio::test]
async fn who_asks_for_no_rows_gets_them_whatever_the_header_says() {
    let shop = open().await;
    let backwards = [("range", "5-2")];
    let refusal = shop.send("GET /people", &backwards, "").await;
    refused(&refusal, 416, "PGRST103");
    assert!(refusal.json()["details"].as_str().unwrap().contains("in the Range header"));
    found(&shop.send("GET /people?limit=0", &backwards, "").await, 200, json!([]));
}

#[tokio::test]
async fn computed_relationships_are_those_of_the_schema() {
    let shop = open().await;
    shop.change(
        "create schema hidden; grant usage on schema hidden to anon;
         create function hidden.pals(people) returns setof people stable language sql as 'select * from public.people';
         create function friends(people) returns setof people stable language sql as
           'select * from public.people where id = 1'",
    )
    .await;
    found(&shop.get("/people?select=friends(id)&id=eq.2").await, 200, json!([{"friends": [{"id": 1}]}]));
    refused(&shop.get("/people?select=pals(id)").await, 400, "PGRST200");
    // One that is called like a column makes that ambiguous.
    shop.change(
        "create function home_id(games) returns setof people stable language sql as 'select * from public.people'",
    )
    .await;
    let ambiguous = shop.get("/games?select=home_id(id)").await;
    refused(&ambiguous, 300, "PGRST201");
    assert_eq!(ambiguous.json()["details"][1], json!({}));
}

#[tokio::test]
async fn the_description_leaves_out_what_is_empty() {
    let shop = open().await;
    let paths = shop.get("/").await.json()["paths"].clone();
    assert_eq!(paths["/rpc/one_column"]["get"]["parameters"], Value::Null);
    let arguments = &paths["/rpc/one_column"]["post"]["parameters"][0]["schema"];
    assert_eq!(*arguments, json!({"type": "object"}));
    assert_eq!(paths["/rpc/plain"]["get"]["parameters"][0]["name"], "a");
}

#[tokio::test]
async fn tokens_name_roles_and_audiences() {
    let shop = open_with(|config| Config {
        jwt_audience: Some("here".to_owned()),
        role_claim: rest::claim_path::ClaimPath::parse(".app.roles[?(@ ^== \"auth\")]").unwrap(),
        ..config
    })
    .await;
    let ask = async |claims: Value, scheme: &str| {
        let token = shop.ring.sign(&claims).unwrap();
        shop.send("GET /rpc/plain?a=1", &[("authorization", &format!("{scheme} {token}"))], "").await
    };
    let roles = json!({"roles": ["x", "authenticated"]});
    for aud in [json!("here"), json!(["there", "here"]), json!([]), json!(null)] {
        assert_eq!(ask(json!({"app": roles, "aud": aud}), "bearer").await.status, StatusCode::OK, "{aud}");
    }
    for aud in [json!("there"), json!(["there"]), json!(5), json!([5])] {
        refused(&ask(json!({"app": roles, "aud": aud}), "Bearer").await, 401, "PGRST303");
    }
    // Nobody's scheme is nobody's token.
    assert_eq!(ask(json!({"aud": "there"}), "Basic").await.status, StatusCode::OK);
    refused(&shop.send("GET /notes", &[("authorization", "Bearer ")], "").await, 401, "PGRST301");
    refused(&ask(json!({"app": roles, "exp": "soon"}), "Bearer").await, 401, "PGRST303");
}
