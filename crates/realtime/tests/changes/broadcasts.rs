use std::time::Duration;

use database::Connection;
use serde_json::{Value, json};

use crate::service::{Client, Service, authenticated, run};

async fn join(client: &mut Client, topic: &str, private: bool) {
    let topic = format!("realtime:{topic}");
    client
        .send(&topic, "phx_join", json!({"config": {"private": private, "presence": {"enabled": false}}}))
        .await;
    let reply = client.find("reply to the join", |to, event, _| to == topic && event == "phx_reply").await;
    assert_eq!(reply["status"], "ok", "{reply}");
}

/// Waits until a query says `t`.
async fn until(admin: &mut Connection, sql: &str) {
    for _ in 0..400 {
        if admin.simple_query(sql).await.unwrap()[0].scalar() == Some("t") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came true: {sql}");
}

/// The partitions are those from yesterday to the day after the day after tomorrow.
const PARTITIONED: &str = "select coalesce(string_agg(c.relname, ' ' order by c.relname), '') = (select string_agg('messages_' || \
    to_char((now() at time zone 'utc')::date + d, 'YYYY_MM_DD'), ' ' order by d) from generate_series(-1, 3) d) \
    from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'realtime.messages'::regclass";

async fn broadcast(client: &mut Client) -> Value {
    client.find("broadcast", |_, event, _| event == "broadcast").await
}

#[tokio::test]
async fn what_the_database_sends_reaches_its_topic() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut admin = database.admin().await;
        run(
            &mut admin,
            "create policy listen on realtime.messages for select to authenticated using (true); \
             create table public.note (id int primary key, body text); \
             create function public.tell() returns trigger language plpgsql as $$ begin \
               perform realtime.broadcast_changes('notes', tg_op, tg_op, tg_table_name, tg_table_schema, new, old); return null; end $$; \
             create trigger tell after insert or update or delete on public.note for each row execute function public.tell()",
        )
        .await;
        let service = Service::start(database.config(testkit::SUPERUSER)).await;
        until(&mut admin, PARTITIONED).await;
        let mut listener = service.client(authenticated("1")).await;
        join(&mut listener, "notes", true).await;
        let mut public = service.client(json!({"role": "anon"})).await;
        join(&mut public, "notes", false).await;
        // The stream starts with the first channel; its slot is there some time before it is ready.
        until(
            &mut admin,
            "select exists (select from pg_replication_slots where database = current_database() and active and confirmed_flush_lsn is not null)",
        )
        .await;
        run(&mut admin, "insert into public.note values (1, 'a')").await;
        let message = broadcast(&mut listener).await;
        let id = message["meta"]["id"].clone();
        assert_eq!(
            message,
            json!({
                "type": "broadcast", "event": "INSERT", "meta": {"id": id},
                "payload": {
                    "id": id, "schema": "public", "table": "note", "operation": "INSERT",
                    "record": {"id": 1, "body": "a"}, "old_record": null,
                },
            })
        );
        run(&mut admin, "select realtime.send('{\"a\": 1, \"id\": 7}', 'hello', 'notes', false)").await;
        let message = broadcast(&mut public).await;
        assert_eq!((&message["event"], &message["payload"]), (&json!("hello"), &json!({"a": 1, "id": 7})));
        service.stop().await;
    }
}

#[tokio::test]
async fn days_have_their_partitions_before_they_come_and_lose_them_after() {
    let database = testkit::database().await;
    let mut admin = database.admin().await;
    run(
        &mut admin,
        "create table realtime.messages_2020_01_01 partition of realtime.messages for values from ('2020-01-01') to ('2020-01-02')",
    )
    .await;
    let service = Service::start(database.config(testkit::SUPERUSER)).await;
    until(&mut admin, PARTITIONED).await;
    // Nobody's connection is needed for a message to be kept.
    run(&mut admin, "select realtime.send('{}', 'hello', 'notes')").await;
    let kept = admin.simple_query("select count(*)::text from realtime.messages").await.unwrap();
    assert_eq!(kept[0].scalar(), Some("1"));
    service.stop().await;
}
