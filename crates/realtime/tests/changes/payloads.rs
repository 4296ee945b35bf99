use serde_json::{Value, json};

use crate::service::{MARK, Service, authenticated, run, tables};

/// The data of all changes that these statements make in `public.note`, as an authenticated user is told.
async fn heard(server: testkit::Server, table: &str, statements: &[&str]) -> Vec<Value> {
    let database = testkit::database_on(server).await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(&mut admin, table).await;
    run(&mut admin, "grant all on public.note to authenticated; alter publication supabase_realtime add table public.note").await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut client = service.client(authenticated("1")).await;
    let ids = client.listen("room", tables(&["note"])).await;
    for statement in statements {
        run(&mut admin, statement).await;
    }
    run(&mut admin, "insert into public.mark default values").await;
    let mut changes = client.changes_until("mark").await;
    service.stop().await;
    for change in &mut changes {
        assert_eq!(change["ids"], json!([ids[0]]));
    }
    changes.into_iter().map(|mut change| change["data"].take()).collect()
}

fn data(kind: &str, columns: Value, rest: Value) -> Value {
    let mut data =
        json!({"schema": "public", "table": "note", "type": kind, "columns": columns, "errors": null});
    for (name, value) in rest.as_object().unwrap() {
        data[name] = value.clone();
    }
    data
}

#[tokio::test]
async fn a_row_is_told_before_and_after() {
    for server in testkit::servers() {
        let heard = heard(
            server,
            "create table public.note (id int primary key, body text)",
            &[
                "insert into public.note values (1, 'a')",
                "update public.note set body = 'b'",
                "update public.note set id = 2, body = null",
                "delete from public.note",
                "insert into public.note values (3, 'x'); truncate public.note",
            ],
        )
        .await;
        let columns = json!([{"name": "id", "type": "int4"}, {"name": "body", "type": "text"}]);
        assert_eq!(
            heard,
            [
                data("INSERT", columns.clone(), json!({"record": {"id": 1, "body": "a"}})),
                // The log says nothing of the row before: the key has not changed.
                data(
                    "UPDATE",
                    columns.clone(),
                    json!({"record": {"id": 1, "body": "b"}, "old_record": {"id": 1}})
                ),
                data(
                    "UPDATE",
                    columns.clone(),
                    json!({"record": {"id": 2, "body": null}, "old_record": {"id": 1}})
                ),
                data("DELETE", columns.clone(), json!({"old_record": {"id": 2}})),
                data("INSERT", columns, json!({"record": {"id": 3, "body": "x"}})),
            ]
        );
    }
}

#[tokio::test]
async fn a_full_replica_identity_tells_the_whole_row_before() {
    for server in testkit::servers() {
        let heard = heard(
            server,
            "create table public.note (id int primary key, body text, large text); \
             alter table public.note replica identity full; alter table public.note alter large set storage external",
            &[
                "insert into public.note values (1, 'a', repeat('x', 10000))",
                "update public.note set body = 'b'",
                "delete from public.note",
            ],
        )
        .await;
        let large = "x".repeat(10000);
        let before = json!({"id": 1, "body": "a", "large": large});
        let after = json!({"id": 1, "body": "b", "large": large});
        assert_eq!((&heard[1]["record"], &heard[1]["old_record"]), (&after, &before));
        assert_eq!((heard[2].get("record"), &heard[2]["old_record"]), (None, &after));
    }
}

#[tokio::test]
async fn a_large_value_that_was_not_touched_is_left_out() {
    let heard = heard(
        testkit::Server::Embedded,
        "create table public.note (id int primary key, body text, large text); alter table public.note alter large set storage external",
        &["insert into public.note values (1, 'a', repeat('x', 10000))", "update public.note set body = 'b'"],
    )
    .await;
    assert_eq!(heard[1]["record"], json!({"id": 1, "body": "b"}));
}

#[tokio::test]
async fn a_change_of_more_than_a_megabyte_loses_its_large_values() {
    let heard = heard(
        testkit::Server::Embedded,
        "create table public.note (id int primary key, body text, small text, none text)",
        &["insert into public.note values (1, repeat('x', 1100000), 'kept', null)"],
    )
    .await;
    assert_eq!(heard[0]["errors"], json!(["Error 413: Payload Too Large"]));
    assert_eq!(heard[0]["record"], json!({"id": 1, "small": "kept"}));
}

#[tokio::test]
async fn without_a_primary_key_a_row_is_not_shown() {
    let heard = heard(
        testkit::Server::Embedded,
        "create table public.note (body text); alter table public.note replica identity full",
        &[
            "insert into public.note values ('a')",
            "update public.note set body = 'b'",
            "delete from public.note",
        ],
    )
    .await;
    let error = json!(["Error 400: Bad Request, no primary key"]);
    assert_eq!(heard[0], data("INSERT", json!([]), json!({"record": {}, "errors": error})));
    assert_eq!(heard[1], data("UPDATE", json!([]), json!({"record": {}, "old_record": {}, "errors": error})));
    assert_eq!(heard[2]["old_record"], json!({"body": "b"}));
}

#[tokio::test]
async fn columns_that_a_role_may_not_read_are_not_there() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(
        &mut admin,
        "create table public.note (id int primary key, body text, secret text); \
         create table public.closed (id int primary key, body text); \
         alter publication supabase_realtime add table public.note, public.closed; \
         revoke all on public.note, public.closed from anon, authenticated; \
         grant select (id, body) on public.note to authenticated; grant select on public.note to anon; \
         grant select (body) on public.closed to authenticated",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut user = service.client(authenticated("1")).await;
    let mut guest = service.client(json!({"role": "anon"})).await;
    user.listen("room", tables(&["note", "closed"])).await;
    guest.listen("room", tables(&["note"])).await;
    run(&mut admin, "insert into public.note values (1, 'a', 'b'); insert into public.closed values (1, 'a'); insert into public.mark default values").await;

    let changes = user.changes_until("mark").await;
    assert_eq!(changes[0]["data"]["record"], json!({"id": 1, "body": "a"}));
    assert_eq!(
        changes[0]["data"]["columns"],
        json!([{"name": "id", "type": "int4"}, {"name": "body", "type": "text"}])
    );
    assert_eq!(changes[1]["data"]["errors"], json!(["Error 401: Unauthorized"]));
    assert_eq!((&changes[1]["data"]["record"], &changes[1]["data"]["columns"]), (&json!({}), &json!([])));
    assert_eq!(
        guest.changes_until("mark").await[0]["data"]["record"],
        json!({"id": 1, "body": "a", "secret": "b"})
    );

    // A grant is in force with the next change.
    run(&mut admin, "grant select (secret) on public.note to authenticated; update public.note set secret = 'c'; insert into public.mark default values").await;
    assert_eq!(
        user.changes_until("mark").await[0]["data"]["record"],
        json!({"id": 1, "body": "a", "secret": "c"})
    );
    service.stop().await;
}

#[tokio::test]
async fn values_of_every_type_are_those_of_to_jsonb() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut admin = database.admin().await;
        run(&mut admin, MARK).await;
        run(
            &mut admin,
            "create type public.mood as enum ('glad', 'sad'); create type public.pair as (a int, b text, c public.mood[]); \
             create domain public.posint as int check (value > 0); create extension if not exists hstore schema extensions; \
             create table public.note (id bigint primary key, i2 smallint, f4 real, f8 float8, n numeric, b boolean, \
                 t text, vc varchar(9), c char(4), n1 name, by bytea, ts timestamp, tz timestamptz, d date, tm time, iv interval, \
                 js json, jb jsonb, u uuid, ip inet, m money, r int4range, mr int4multirange, p point, bt bit(3), vb varbit, \
                 ia int[], ta text[], ma int[][], na numeric[], tsa timestamptz[], jba jsonb[], bx box[], md public.mood, mda public.mood[], \
                 pr public.pair, pra public.pair[], dm public.posint, h extensions.hstore, x xml, ts2 tsvector, o oid, \
                 iv2 int2vector, nul text); \
             grant all on public.note to authenticated; alter publication supabase_realtime add table public.note",
        )
        .await;
        let service = Service::start(database.config(testkit::SUPERUSER)).await;
        let mut client = service.client(authenticated("1")).await;
        client.listen("room", tables(&["note"])).await;
        run(
            &mut admin,
            r#"insert into public.note values (9007199254740993, -7, 1.5, 1e20, 123456789012345678901234567890.123450, true,
                 E'a"b\\c\n', 'x', 'ab', 'nm', '\x0068', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05+02', '2024-02-29', '03:04:05.5', '1 day 02:00',
                 '{"a": [1, 2]}', '{"b": null}', '639f86b1-738b-43ed-bb09-c8d3f3bafa30', '10.0.0.1/8', 12.5, '[1,5)', '{[1,3),[5,7)}', '(1,2)', '101', '10',
                 '{1,NULL,3}', '{a,"b, c","q\"",NULL}', '{{1,2},{3,4}}', '{1.50,NaN}', '{2024-01-02 00:00:00+00,infinity}', '{"{\"a\": 1}"}', '{(1,1),(0,0);(2,2),(1,1)}', 'glad', '{sad,glad}',
                 '(1,"x ""y""",{sad})', array['(1,a,)'::public.pair], 5, 'k=>v, "l m"=>NULL', '<a>b</a>', 'a:1 b:2', 42, '1 2', null)"#,
        )
        .await;
        run(&mut admin, "insert into public.mark default values").await;
        let heard = client.changes_until("mark").await.remove(0);
        admin.simple_query("set timezone = 'UTC'").await.unwrap();
        let rows = admin.simple_query("select to_jsonb(whole) from public.note whole").await.unwrap();
        let expected: Value = serde_json::from_str(rows[0].scalar().unwrap()).unwrap();
        let record = heard["data"]["record"].as_object().unwrap_or_else(|| panic!("{heard}"));
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(record.get(name), Some(value), "{name} on {}", server.name());
        }
        let types: Vec<&str> = heard["data"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["type"].as_str().unwrap())
            .collect();
        assert_eq!(types[..4], ["int8", "int2", "float4", "float8"]);
        assert!(types.contains(&"_int4") && types.contains(&"bpchar") && types.contains(&"mood"));
        // What JSON has no number for.
        run(&mut admin, "insert into public.note (id, f4, f8, n) values (2, 'NaN', 'Infinity', 'NaN')").await;
        let record = client.change().await["data"]["record"].take();
        assert_eq!((&record["f4"], &record["f8"], &record["n"]), (&Value::Null, &Value::Null, &Value::Null));
        service.stop().await;
    }
}
