//! Messages from the database, and what a subscriber may see of a change.

use database::Connection;

use crate::{error, rows};

const TODAY: &str = "create table realtime.messages_all partition of realtime.messages
     for values from ('2000-01-01') to ('2100-01-01')";

#[tokio::test]
async fn a_message_is_written_under_its_topic() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.admin().await;
        connection.simple_query(TODAY).await.unwrap();
        assert_eq!(rows(&mut connection, "select realtime.topic()").await, ["∅"]);
        assert_eq!(
            rows(
                &mut connection,
                "begin; select realtime.send('{\"a\": 1}', 'moved', 'room:1', false); select realtime.topic()"
            )
            .await,
            ["room:1"]
        );
        assert_eq!(
            rows(
                &mut connection,
                "commit; select topic, event, extension, private, payload from realtime.messages"
            )
            .await,
            ["room:1|moved|broadcast|f|{\"a\": 1}"]
        );
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_written_does_not_undo_the_change() {
    for server in testkit::servers() {
        // There is no partition for today.
        let database = testkit::database_on(server).await;
        let mut connection = database.connect("postgres").await;
        connection.simple_query("create table t (i int); insert into t values (1)").await.unwrap();
        assert_eq!(
            rows(&mut connection, "begin; select realtime.send('{}', 'e', 't'); insert into t values (2); commit; select count(*) from t")
                .await,
            ["2"]
        );
    }
}

#[tokio::test]
async fn a_trigger_broadcasts_rows() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        database.admin().await.simple_query(TODAY).await.unwrap();
        let mut connection = database.connect("postgres").await;
        connection
            .simple_query(
                "create table public.notes (id int);
                 create function public.tell() returns trigger language plpgsql as $$
                 begin
                     perform realtime.broadcast_changes(
                         'notes:' || coalesce(new.id, old.id), tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
                     return null;
                 end $$;
                 create trigger tell after insert or delete on public.notes for each row execute function public.tell();
                 insert into public.notes values (7);
                 delete from public.notes",
            )
            .await
            .unwrap();
        assert_eq!(
            rows(
                &mut database.admin().await,
                "select topic, event, payload from realtime.messages order by event desc"
            )
            .await,
            [
                "notes:7|INSERT|{\"table\": \"notes\", \"record\": {\"id\": 7}, \"schema\": \"public\", \"operation\": \
                 \"INSERT\", \"old_record\": null}",
                "notes:7|DELETE|{\"table\": \"notes\", \"record\": null, \"schema\": \"public\", \"operation\": \
                 \"DELETE\", \"old_record\": {\"id\": 7}}",
            ]
        );
        assert_eq!(
            error(
                &mut connection,
                "select realtime.broadcast_changes('t', 'e', 'TRUNCATE', 't', 's', null, null)"
            )
            .await,
            "P0001 Failed to process the row: Unexpected operation type: TRUNCATE"
        );
    }
}

/// A table under row level security, with one row, and a role that may not read one of its columns.
async fn notes(connection: &mut Connection) {
    connection
        .simple_query(
            "create table public.notes (id int primary key, owner uuid, body text, secret text);
             insert into public.notes values (1, '00000000-0000-4000-8000-00000000000a', 'hello', 's');
             alter table public.notes enable row level security;
             create policy own on public.notes for select using (owner = auth.uid());
             revoke all on public.notes from anon, authenticated;
             grant select (id, owner, body) on public.notes to authenticated",
        )
        .await
        .unwrap();
}

/// Subscribes as `role`, with the last digit of both the user's id and the subscription's.
async fn subscribe(connection: &mut Connection, role: &str, digit: char, filters: &str) {
    connection
        .simple_query(&format!(
            "insert into realtime.subscription (subscription_id, entity, filters, claims)
             values ('00000000-0000-4000-8000-00000000000{digit}', 'public.notes', {filters},
                 '{{\"role\": \"{role}\", \"sub\": \"00000000-0000-4000-8000-00000000000{digit}\"}}')"
        ))
        .await
        .unwrap();
}

/// One change of the row in `notes`, as `apply_rls` takes it.
fn change(action: char, part: &str) -> String {
    format!(
        "select subscription_ids, errors, wal -> 'record', wal -> 'old_record' from realtime.apply_rls('{{
             \"action\": \"{action}\", \"schema\": \"public\", \"table\": \"notes\", \"timestamp\": \"2024-01-02 03:04:05+00\",
             \"{part}\": [
                 {{\"name\": \"id\", \"type\": \"integer\", \"typeoid\": 23, \"value\": 1}},
                 {{\"name\": \"body\", \"type\": \"text\", \"typeoid\": 25, \"value\": \"hello\"}},
                 {{\"name\": \"secret\", \"type\": \"text\", \"typeoid\": 25, \"value\": \"s\"}}],
             \"pk\": [{{\"name\": \"id\", \"type\": \"integer\", \"typeoid\": 23}}]}}')"
    )
}

#[tokio::test]
async fn a_change_reaches_those_who_may_see_the_row_and_shows_what_they_may_read() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.admin().await;
        notes(&mut connection).await;
        subscribe(&mut connection, "authenticated", 'a', "'{}'").await;
        subscribe(&mut connection, "authenticated", 'b', "'{}'").await;
        assert_eq!(
            rows(&mut connection, &change('I', "columns")).await,
            ["{00000000-0000-4000-8000-00000000000a}|{}|{\"id\": 1, \"body\": \"hello\"}|∅"]
        );
        // The row is gone, so its policies cannot be asked: everyone gets its key and nothing else.
        assert_eq!(
            rows(&mut connection, &change('D', "identity")).await,
            ["{00000000-0000-4000-8000-00000000000a,00000000-0000-4000-8000-00000000000b}|{}|∅|{\"id\": 1}"]
        );
        // Whoever may not read the key is told so.
        connection.simple_query("delete from realtime.subscription").await.unwrap();
        subscribe(&mut connection, "anon", 'c', "'{}'").await;
        assert_eq!(
            rows(&mut connection, &change('I', "columns")).await,
            ["{00000000-0000-4000-8000-00000000000c}|{\"Error 401: Unauthorized\"}|∅|∅"]
        );
    }
}

#[tokio::test]
async fn filters_choose_changes() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.admin().await;
        notes(&mut connection).await;
        for (filter, passes) in [
            ("(id,eq,1)", true),
            ("(id,neq,1)", false),
            ("(id,gte,2)", false),
            ("(body,in,\"{hello,world}\")", true),
            ("(body,lt,a)", false),
        ] {
            connection.simple_query("delete from realtime.subscription").await.unwrap();
            subscribe(
                &mut connection,
                "service_role",
                'a',
                &format!("array['{filter}']::realtime.user_defined_filter[]"),
            )
            .await;
            let recipients = if passes { "{00000000-0000-4000-8000-00000000000a}" } else { "{}" };
            let seen = rows(&mut connection, &change('I', "columns")).await;
            assert!(seen[0].starts_with(&format!("{recipients}|{{}}|")), "{filter}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn filters_that_cannot_work_are_refused() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.admin().await;
        notes(&mut connection).await;
        let many = format!("(id,in,\"{{{}}}\")", vec!["1"; 101].join(","));
        for (filter, message) in [
            ("(nothing,eq,1)", "P0001 invalid column for filter nothing"),
            ("(secret,eq,s)", "P0001 invalid column for filter secret"),
            ("(id,eq,one)", "22P02 invalid input syntax for type integer: \"one\""),
            (&many, "P0001 too many values for `in` filter. Maximum 100"),
        ] {
            let insert = format!(
                "insert into realtime.subscription (subscription_id, entity, filters, claims)
                 values (gen_random_uuid(), 'public.notes', array['{filter}']::realtime.user_defined_filter[],
                     '{{\"role\": \"authenticated\"}}')"
            );
            assert_eq!(error(&mut connection, &insert).await, message);
        }
    }
}
