use std::time::Duration;

use serde_json::{Value, json};

use crate::service::{MARK, Service, authenticated, run, tables};

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_told_in_the_originals_words() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(
        &mut admin,
        "create table public.item (id int primary key, name text, hidden text); revoke all on public.item from authenticated; \
         grant select (id, name) on public.item to authenticated; create table public.private (id int primary key); \
         alter publication supabase_realtime add table public.item",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut client = service.client(authenticated("1")).await;
    let unable = "Unable to subscribe to changes with given parameters.";
    let exception = |params: &str, error: &str| {
        format!(
            "{unable} An exception happened so please check your connect parameters: [{params}]. Exception: ERROR {error}"
        )
    };
    let of = |filter: &str| format!("event: *, filter: {filter}, schema: public, table: item");
    let filtered =
        |filter: &str| json!({"event": "*", "schema": "public", "table": "item", "filter": filter});
    let long: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let long = format!("id=in.({})", long.join(","));
    let cases: Vec<(Value, String)> = vec![
        (
            json!({"event": "*", "schema": "public", "table": "private"}),
            format!("{unable} Please check Realtime is enabled for the given connect parameters: [event: *, schema: public, table: private]"),
        ),
        (filtered("hidden=eq.1"), exception(&of("hidden=eq.1"), "P0001 (raise_exception) invalid column for filter hidden")),
        (filtered("none=eq.1"), exception(&of("none=eq.1"), "P0001 (raise_exception) invalid column for filter none")),
        (
            filtered("id=eq.x"),
            exception(&of("id=eq.x"), "22P02 (invalid_text_representation) invalid input syntax for type integer: \"x\""),
        ),
        (filtered(&long), exception(&of(&long), "P0001 (raise_exception) too many values for `in` filter. Maximum 100")),
        (
            filtered("id=like.1%"),
            exception(&of("id=like.1%"), "P0001 (raise_exception) operator like requires a text-compatible column type, got integer"),
        ),
        (
            filtered("id=is.true"),
            exception(&of("id=is.true"), "P0001 (raise_exception) is true filter requires a boolean column, got integer"),
        ),
        (
            filtered("name=match.("),
            exception(
                &of("name=match.("),
                "P0001 (raise_exception) invalid regular expression for match filter: invalid regular expression: parentheses () not balanced",
            ),
        ),
        (filtered("undefined"), "Error parsing `filter` params: [\"undefined\"]".to_owned()),
        (
            json!({"event": "*"}),
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: %{\"event\" => \"*\"}".to_owned(),
        ),
        (
            json!({"event": "*", "schema": "public", "table": "item", "select": ["hidden"]}),
            exception("event: *, schema: public, select: [\"hidden\"], table: item", "P0001 (raise_exception) invalid column for select hidden"),
        ),
    ];
    for (number, (entry, message)) in cases.into_iter().enumerate() {
        // One bad entry fails the whole channel.
        let good = json!({"event": "*", "schema": "public", "table": "item"});
        client.join(&format!("room{number}"), json!([good, entry])).await;
        assert_eq!(client.system().await, ("error".to_owned(), message));
    }
    let mut nobody = service.client(json!({"role": "no_such_role"})).await;
    nobody.join("room", json!([filtered("id=eq.1")])).await;
    assert_eq!(
        nobody.system().await,
        (
            "error".to_owned(),
            exception(&of("id=eq.1"), "42704 (undefined_object) role \"no_such_role\" does not exist")
        )
    );
    service.stop().await;
}

#[tokio::test]
async fn wildcards_events_and_the_legacy_protocol_choose_changes() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(
        &mut admin,
        "create schema other; grant usage on schema other to authenticated; create table public.\"My Table, too\" (id int primary key); \
         create table other.thing (id int primary key); grant all on public.\"My Table, too\", other.thing to authenticated; \
         alter publication supabase_realtime add table public.\"My Table, too\", other.thing",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    let mut all = service.client(authenticated("1")).await;
    all.listen("all", json!([{"event": "*", "schema": "*"}])).await;
    let mut deletions = service.client(authenticated("1")).await;
    deletions
        .listen(
            "deletions",
            json!([{"event": "DELETE", "schema": "*", "table": "*"}, {"event": "*", "table": "mark"}]),
        )
        .await;
    let mut legacy = service.client(authenticated("1")).await;
    legacy.send("realtime:other:thing:id=eq.2", "phx_join", json!({})).await;
    assert_eq!(legacy.system().await.1, "Subscribed to PostgreSQL");
    run(
        &mut admin,
        "insert into public.\"My Table, too\" values (1); insert into other.thing values (1), (2); delete from other.thing where id = 1; \
         insert into public.mark default values",
    )
    .await;
    let seen: Vec<(Value, Value)> = all
        .changes_until("mark")
        .await
        .iter_mut()
        .map(|change| (change["data"]["table"].take(), change["data"]["type"].take()))
        .collect();
    assert_eq!(
        seen,
        [
            (json!("My Table, too"), json!("INSERT")),
            (json!("thing"), json!("INSERT")),
            (json!("thing"), json!("INSERT")),
            (json!("thing"), json!("DELETE")),
        ]
    );
    let seen = deletions.changes_until("mark").await;
    assert_eq!(seen.iter().map(|change| &change["data"]["type"]).collect::<Vec<_>>(), ["DELETE"]);
    // The event is the kind of change, and the payload the data itself.
    let payload = legacy.find("insertion", |_, event, _| event == "INSERT").await;
    assert_eq!((&payload["table"], &payload["record"]), (&json!("thing"), &json!({"id": 2})));
    service.stop().await;
}

#[tokio::test]
async fn changes_of_the_publication_are_followed_at_once() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut admin = database.admin().await;
        run(&mut admin, "create table public.item (id int primary key); create table public.mark (id serial primary key); \
            grant all on public.item, public.mark to authenticated").await;
        let service = Service::start(database.config(testkit::SUPERUSER)).await;
        let mut client = service.client(authenticated("1")).await;
        client.join("room", tables(&["item"])).await;
        let (status, message) = client.system().await;
        assert!(status == "error" && message.contains("table: item]"), "{message}");

        // As soon as the table is there, so is the subscription.
        run(&mut admin, "alter publication supabase_realtime add table public.item, public.mark").await;
        assert_eq!(client.system().await, ("ok".to_owned(), "Subscribed to PostgreSQL".to_owned()));
        run(&mut admin, "insert into public.item values (1)").await;
        assert_eq!(client.change().await["data"]["record"], json!({"id": 1}));

        run(&mut admin, "alter publication supabase_realtime drop table public.item").await;
        assert_eq!(client.system().await.0, "error");

        // What guides tell people to do.
        run(&mut admin, "begin; drop publication if exists supabase_realtime; create publication supabase_realtime; commit; \
            alter publication supabase_realtime add table public.item; alter publication supabase_realtime add table public.mark").await;
        assert_eq!(client.system().await, ("ok".to_owned(), "Subscribed to PostgreSQL".to_owned()));
        run(&mut admin, "insert into public.item values (2)").await;
        assert_eq!(client.change().await["data"]["record"], json!({"id": 2}));

        // Changes while there is no publication end the stream on older servers.
        run(&mut admin, "drop publication supabase_realtime").await;
        run(&mut admin, "insert into public.item values (3)").await;
        assert_eq!(client.system().await.0, "error");
        run(&mut admin, "create publication supabase_realtime for table public.item, public.mark").await;
        assert_eq!(client.system().await, ("ok".to_owned(), "Subscribed to PostgreSQL".to_owned()));
        run(&mut admin, "insert into public.item values (4)").await;
        assert_eq!(client.change().await["data"]["record"], json!({"id": 4}));
        service.stop().await;
    }
}

#[tokio::test]
async fn a_lost_reader_and_a_lost_database_come_back() {
    for server in testkit::servers() {
        let mut cluster = testkit::Cluster::bootstrapped(server).await;
        let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
        run(&mut admin, MARK).await;
        let service = Service::start(cluster.config(testkit::SUPERUSER, "postgres")).await;
        let mut client = service.client(authenticated("1")).await;
        client.listen("room", tables(&[])).await;

        let kill =
            "select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null";
        run(&mut admin, kill).await;
        assert_eq!(client.system().await, ("ok".to_owned(), "Subscribed to PostgreSQL".to_owned()));
        run(&mut admin, "insert into public.mark default values").await;
        client.changes_until("mark").await;

        cluster.crash().await;
        assert_eq!(client.system().await, ("ok".to_owned(), "Subscribed to PostgreSQL".to_owned()));
        let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
        run(&mut admin, "insert into public.mark default values").await;
        client.changes_until("mark").await;

        // A server that stops leaves no slot behind; one that starts finds its name free or takes another.
        service.stop().await;
        let slots = "select count(*) from pg_replication_slots";
        for _ in 0..100 {
            if admin.simple_query(slots).await.unwrap()[0].scalar() == Some("0") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(admin.simple_query(slots).await.unwrap()[0].scalar(), Some("0"));
    }
}

#[tokio::test]
async fn nothing_is_asked_of_the_database_while_nothing_happens() {
    let cluster = testkit::Cluster::bootstrapped(testkit::Server::Embedded).await;
    let mut admin = cluster.connect(testkit::SUPERUSER, "postgres").await;
    run(&mut admin, "create extension if not exists pg_stat_statements schema extensions").await;
    run(&mut admin, MARK).await;
    let service = Service::start(cluster.config(testkit::SUPERUSER, "postgres")).await;
    // Even with a subscription: the slot is streamed, the publication watched in the log.
    let mut client = service.client(authenticated("1")).await;
    client.listen("room", tables(&[])).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    run(&mut admin, "select extensions.pg_stat_statements_reset()").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sql = "select coalesce(sum(calls), 0)::text from extensions.pg_stat_statements where query not like '%pg_stat_statements%'";
    assert_eq!(admin.simple_query(sql).await.unwrap()[0].scalar(), Some("0"));
    service.stop().await;
}

#[tokio::test]
async fn every_change_arrives_once_and_in_order_while_clients_come_and_go() {
    const ROWS: usize = 10_000;
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(&mut admin, MARK).await;
    run(
        &mut admin,
        "create table public.item (id int primary key); grant all on public.item to authenticated; \
         alter publication supabase_realtime add table public.item",
    )
    .await;
    let service = std::sync::Arc::new(Service::start(database.config(testkit::SUPERUSER)).await);
    let mut steady = Vec::new();
    for number in 0..4 {
        let mut client = service.client(authenticated(&number.to_string())).await;
        client.listen("room", tables(&["item"])).await;
        steady.push(tokio::spawn(async move {
            let changes = client.changes_until("mark").await;
            let ids = changes.iter().map(|change| change["data"]["record"]["id"].as_u64().unwrap() as usize);
            assert!(ids.eq(1..=ROWS), "changes were lost or out of order");
        }));
    }
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let passers = tokio::spawn({
        let (service, over) = (service.clone(), over.clone());
        async move {
            let mut count = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let mut client = service.client(authenticated("passer")).await;
                client.listen("room", tables(&["item"])).await;
                if count % 2 == 0 {
                    // From the message on, nothing may be missing: rows come in order and without a gap.
                    let first = client.find("change or end", |_, event, _| event == "postgres_changes").await;
                    let second =
                        client.find("change or end", |_, event, _| event == "postgres_changes").await;
                    let id = |change: &Value| change["data"]["record"]["id"].as_u64();
                    if first["data"]["table"] == "item" && second["data"]["table"] == "item" {
                        assert_eq!(id(&second), id(&first).map(|id| id + 1));
                    }
                }
                count += 1;
            }
        }
    });
    for begin in (1..=ROWS).step_by(100) {
        run(&mut admin, &format!("insert into public.item select generate_series({begin}, {})", begin + 99))
            .await;
    }
    for _ in 0..50 {
        run(&mut admin, "insert into public.mark default values").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for client in steady {
        client.await.unwrap();
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    // Whoever waits for a change gets one.
    for _ in 0..100 {
        if passers.is_finished() {
            break;
        }
        run(&mut admin, "insert into public.mark default values").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    passers.await.unwrap();
}
