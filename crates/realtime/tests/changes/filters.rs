use serde_json::{Value, json};

use crate::service::{MARK, Service, authenticated, run};

const TABLE: &str = "create table public.item (id int primary key, name text, price numeric, made timestamptz, ready boolean, \
        tags text[], code char(4), f float8, state public.state); \
     grant all on public.item to authenticated; alter publication supabase_realtime add table public.item";

/// For each filter the ids of the rows that it lets through.
async fn passed(server: testkit::Server, filters: &[&str]) -> Vec<(String, Vec<i64>)> {
    let database = testkit::database_on(server).await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(&mut admin, "create type public.state as enum ('new', 'old')").await;
    run(&mut admin, TABLE).await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut client = service.client(authenticated("1")).await;
    for (number, filter) in filters.iter().enumerate() {
        let entries = json!([
            {"event": "INSERT", "schema": "public", "table": "item", "filter": filter},
        ]);
        client.listen(&format!("room{number}"), entries).await;
    }
    client.listen("end", json!([{"event": "*", "schema": "public", "table": "mark"}])).await;
    run(
        &mut admin,
        "insert into public.item values \
           (1, 'apple', 1.50, '2024-01-02 03:04:05+00', true, '{a,b}', 'x', 0.5, 'new'), \
           (2, 'Banana', 10, '2024-06-01 00:00:00+00', false, '{b}', 'xy', -0.0, 'old'), \
           (3, null, null, null, null, null, null, null, null), \
           (4, 'a,b', 2, 'infinity', true, '{}', 'abcd', 'NaN', 'new'); \
         insert into public.mark default values",
    )
    .await;
    let changes = client.find_all().await;
    service.stop().await;
    let ids = |number: usize| {
        let topic = format!("realtime:room{number}");
        let own = changes.iter().filter(|(to, _)| *to == topic);
        own.map(|(_, payload)| payload["data"]["record"]["id"].as_i64().unwrap()).collect::<Vec<i64>>()
    };
    filters.iter().enumerate().map(|(number, filter)| ((*filter).to_owned(), ids(number))).collect()
}

impl crate::service::Client {
    /// All changes until the one of the table `mark`, with their topics.
    async fn find_all(&mut self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        loop {
            let topic = std::cell::RefCell::new(String::new());
            let payload = self
                .find("change", |to, event, _| {
                    topic.replace(to.to_owned());
                    event == "postgres_changes"
                })
                .await;
            if payload["data"]["table"] == "mark" {
                return all;
            }
            all.push((topic.into_inner(), payload));
        }
    }
}

#[tokio::test]
async fn filters_let_through_what_the_servers_operators_would() {
    let expected: &[(&str, &[i64])] = &[
        ("id=eq.1", &[1]),
        ("id=eq.+1", &[1]),
        ("id=neq.1", &[2, 3, 4]),
        ("id=lt.3", &[1, 2]),
        ("id=gte.3", &[3, 4]),
        ("id=in.(1,4,9)", &[1, 4]),
        ("id=not.in.(1,4,9)", &[2, 3]),
        ("name=eq.apple", &[1]),
        ("name=eq.a,b", &[4]),
        (r#"name=eq."a,b""#, &[4]),
        (r#"name=in.("a,b",apple)"#, &[1, 4]),
        // A null is neither equal nor unequal.
        ("name=neq.apple", &[2, 4]),
        ("name=not.eq.apple", &[2, 4]),
        ("name=isdistinct.apple", &[2, 3, 4]),
        ("name=not.isdistinct.apple", &[1]),
        ("name=is.null", &[3]),
        ("name=not.is.null", &[1, 2, 4]),
        ("name=like.a%", &[1, 4]),
        ("name=like.%na%", &[2]),
        ("name=ilike.B%", &[2]),
        ("name=match.^a.p", &[1]),
        ("name=imatch.^BAN", &[2]),
        ("name=not.like.a%", &[2]),
        ("name=lt.b", &[1, 4]),
        ("price=eq.1.5", &[1]),
        ("price=gt.1.75", &[2, 4]),
        ("price=in.(1.500,2.0)", &[1, 4]),
        ("made=lt.2024-02-01", &[1]),
        ("made=eq.2024-01-02T05:04:05+02:00", &[1]),
        ("made=gt.2024-03-01", &[2, 4]),
        ("ready=eq.true", &[1, 4]),
        ("ready=is.true", &[1, 4]),
        ("ready=not.is.true", &[2, 3]),
        ("ready=is.unknown", &[3]),
        ("tags=eq.{b}", &[2]),
        ("code=eq.xy", &[2]),
        ("f=eq.0", &[2]),
        ("f=gt.1", &[4]),
        ("state=eq.new", &[1, 4]),
        ("state=gt.new", &[2]),
        ("id=gt.1,name=like.a%", &[4]),
        ("id=in.(1,2),ready=eq.t,price=lt.2", &[1]),
        ("", &[1, 2, 3, 4]),
    ];
    for server in testkit::servers() {
        let filters: Vec<&str> = expected.iter().map(|(filter, _)| *filter).collect();
        let wanted: Vec<(String, Vec<i64>)> =
            expected.iter().map(|(filter, ids)| ((*filter).to_owned(), ids.to_vec())).collect();
        assert_eq!(passed(server, &filters).await, wanted, "{}", server.name());
    }
}

#[tokio::test]
async fn updates_and_deletions_are_filtered_by_what_the_log_tells() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(
        &mut admin,
        "create table public.item (id int primary key, name text, body text); alter table public.item alter body set storage external; \
         create table public.whole (id int primary key, name text); alter table public.whole replica identity full; \
         grant all on public.item, public.whole to authenticated; \
         alter publication supabase_realtime add table public.item, public.whole",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut client = service.client(authenticated("1")).await;
    let entry = |table: &str, event: &str, filter: &str| json!({"event": event, "schema": "public", "table": table, "filter": filter});
    let ids = client
        .listen(
            "room",
            json!([
                entry("item", "*", "id=eq.1"),
                entry("item", "*", "name=eq.a"),
                entry("item", "UPDATE", "body=like.x%"),
                entry("whole", "DELETE", "name=eq.a"),
                {"event": "*", "schema": "public", "table": "mark"},
            ]),
        )
        .await;
    run(
        &mut admin,
        "insert into public.item values (1, 'a', repeat('x', 9000)), (2, 'a', null); \
         update public.item set name = 'b' where id = 1; \
         delete from public.item; \
         insert into public.whole values (1, 'a'), (2, 'b'); delete from public.whole; \
         insert into public.mark default values",
    )
    .await;
    let heard: Vec<(Value, Value)> = client
        .changes_until("mark")
        .await
        .into_iter()
        .map(|mut change| (change["ids"].take(), change["data"]["type"].take()))
        .collect();
    let heard: Vec<(Value, &str)> =
        heard.iter().map(|(ids, kind)| (ids.clone(), kind.as_str().unwrap())).collect();
    assert_eq!(
        heard,
        [
            // The last binding comes first.
            (json!([ids[1], ids[0]]), "INSERT"),
            (json!([ids[1]]), "INSERT"),
            // The new name is looked at; the large value was not touched, so that its filter passes nothing.
            (json!([ids[0]]), "UPDATE"),
            // Of a deleted row only the key is known.
            (json!([ids[0]]), "DELETE"),
            (json!([ids[3]]), "DELETE"),
        ]
    );
    service.stop().await;
}

#[tokio::test]
async fn a_selection_of_columns_keeps_the_key() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(
        &mut admin,
        "create table public.item (id int primary key, name text, body text); alter table public.item replica identity full; \
         grant all on public.item to authenticated; alter publication supabase_realtime add table public.item",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut client = service.client(authenticated("1")).await;
    let ids = client
        .listen(
            "room",
            json!([
                {"event": "*", "schema": "public", "table": "item", "select": ["name"]},
                {"event": "UPDATE", "schema": "public", "table": "item"},
            ]),
        )
        .await;
    run(&mut admin, "insert into public.item values (1, 'a', 'b'); update public.item set name = 'c'").await;
    let insert = client.change().await;
    assert_eq!(
        (&insert["ids"], &insert["data"]["record"]),
        (&json!([ids[0]]), &json!({"id": 1, "name": "a"}))
    );
    let two = [client.change().await, client.change().await];
    let narrow = two.iter().find(|change| change["ids"] == json!([ids[0]])).unwrap();
    let whole = two.iter().find(|change| change["ids"] == json!([ids[1]])).unwrap();
    assert_eq!(narrow["data"]["old_record"], json!({"id": 1, "name": "a"}));
    assert_eq!(narrow["data"]["columns"].as_array().unwrap().len(), 2);
    assert_eq!(whole["data"]["old_record"], json!({"id": 1, "name": "a", "body": "b"}));
    service.stop().await;
}
