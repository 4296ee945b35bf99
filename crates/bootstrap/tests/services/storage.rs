//! Names, folders and listings of objects.

use database::Connection;
use testkit::{Server, TestDatabase};

use crate::{error, rows};

/// A bucket `b` with these objects, and a connection as the service's role, which row level security does not bind.
async fn bucket(server: Server, names: &[&str]) -> (TestDatabase, Connection) {
    let database = testkit::database_on(server).await;
    let mut connection = database.admin().await;
    connection.simple_query("insert into storage.buckets (id, name) values ('b', 'b')").await.unwrap();
    for name in names {
        connection
            .simple_query(&format!(
                "insert into storage.objects (bucket_id, name, metadata) values ('b', '{name}', '{{\"size\": 5}}')"
            ))
            .await
            .unwrap();
    }
    connection.simple_query("set role service_role").await.unwrap();
    (database, connection)
}

async fn folders(connection: &mut Connection) -> Vec<String> {
    rows(connection, "select name, level from storage.prefixes order by name").await
}

#[tokio::test]
async fn names_are_taken_apart() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.connect("postgres").await;
        let read = "select name, storage.foldername(name), storage.filename(name), storage.extension(name),
             storage.get_level(name), storage.get_prefix(name), storage.get_prefixes(name)
             from unnest(array['a.txt', 'a/b.tar.gz', 'a/b/c', 'a/', 'a//b']) as name";
        assert_eq!(
            rows(&mut connection, read).await,
            [
                "a.txt|{}|a.txt|txt|1||{}",
                "a/b.tar.gz|{a}|b.tar.gz|gz|2|a|{a}",
                "a/b/c|{a,b}|c|c|3|a/b|{a,a/b}",
                "a/|{a}|||2|a/|{a}",
                "a//b|{a,\"\"}|b|b|3|a/|{a,a/}",
            ]
        );
    }
}

#[tokio::test]
async fn folders_come_and_go_with_their_objects() {
    for server in testkit::servers() {
        let (_database, mut connection) = bucket(server, &["a/b/one", "a/b/two", "a_b/three", "top"]).await;
        assert_eq!(folders(&mut connection).await, ["a|1", "a/b|2", "a_b|1"]);
        connection
            .simple_query("delete from storage.objects where name in ('a/b/one', 'a_b/three')")
            .await
            .unwrap();
        assert_eq!(folders(&mut connection).await, ["a|1", "a/b|2"]);
        connection
            .simple_query("update storage.objects set name = 'c/two' where name = 'a/b/two'")
            .await
            .unwrap();
        assert_eq!(folders(&mut connection).await, ["c|1"]);
        assert_eq!(
            rows(&mut connection, "select name, level from storage.objects order by name").await,
            ["c/two|2", "top|1"]
        );
    }
}

#[tokio::test]
async fn a_new_object_waits_for_who_is_removing_its_folder() {
    for server in testkit::servers() {
        let (database, mut connection) = bucket(server, &["a/one"]).await;
        connection.simple_query("begin; delete from storage.objects where name = 'a/one'").await.unwrap();
        let mut other = database.admin().await;
        let insert = "insert into storage.objects (bucket_id, name) values ('b', 'a/two')";
        let inserted = tokio::spawn(async move { other.simple_query(insert).await.map(drop) });
        let mut watcher = database.admin().await;
        let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while rows(&mut watcher, waits).await != ["1"] {
            assert!(!inserted.is_finished());
        }
        connection.simple_query("commit").await.unwrap();
        inserted.await.unwrap().unwrap();
        assert_eq!(folders(&mut connection).await, ["a|1"]);
    }
}

#[tokio::test]
async fn search_lists_folders_and_then_files() {
    for server in testkit::servers() {
        let (_database, mut connection) = bucket(server, &["a/one", "a/two", "c/x", "z.txt", "m.txt"]).await;
        let listed = "select name, id is null from storage.search('', 'b', 10, 1, 0, '', 'name', 'desc')";
        let expected = ["c|t", "a|t", "z.txt|f", "m.txt|f"];
        assert_eq!(rows(&mut connection, listed).await, expected);
        // The form for roles under row level security.
        connection
            .simple_query("reset role; create policy p on storage.objects for select to anon using (bucket_id = 'b'); set role anon")
            .await
            .unwrap();
        assert_eq!(rows(&mut connection, listed).await, expected);
        assert_eq!(
            rows(&mut connection, "select name from storage.search('a/', 'b', 1, 2, 1)").await,
            ["two"]
        );
        connection.simple_query("reset role; drop policy p on storage.objects; set role anon").await.unwrap();
        assert_eq!(rows(&mut connection, listed).await, [""; 0]);
    }
}

#[tokio::test]
async fn search_v2_goes_on_where_a_page_ended() {
    for server in testkit::servers() {
        let (_database, mut connection) = bucket(server, &["a/1", "b", "c/1", "d", "A"]).await;
        let page = |after: &str, order: &str| {
            format!("select name, id is null from storage.search_v2('', 'b', 2, 1, '{after}', '{order}')")
        };
        assert_eq!(rows(&mut connection, &page("", "asc")).await, ["A|f", "a|t"]);
        assert_eq!(rows(&mut connection, &page("a", "asc")).await, ["b|f", "c|t"]);
        assert_eq!(rows(&mut connection, &page("c", "asc")).await, ["d|f"]);
        assert_eq!(rows(&mut connection, &page("", "desc")).await, ["d|f", "c|t"]);
        assert_eq!(
            rows(&mut connection, "select key, name from storage.search_v2('c/', 'b', 2, 2)").await,
            ["1|c/1"]
        );
        // A wildcard of SQL is a letter of a name.
        assert_eq!(rows(&mut connection, "select name from storage.search_v2('_', 'b')").await, [""; 0]);
    }
}

#[tokio::test]
async fn keys_fold_at_a_delimiter() {
    for server in testkit::servers() {
        let (_database, mut connection) = bucket(server, &["a/1", "a/2", "a/b/3", "A/4", "a-5"]).await;
        let list = |arguments: &str| {
            format!("select name from storage.list_objects_with_delimiter('b', {arguments})")
        };
        assert_eq!(rows(&mut connection, &list("'', '/'")).await, ["A/", "a-5", "a/"]);
        assert_eq!(rows(&mut connection, &list("'a/', '/'")).await, ["a/1", "a/2", "a/b/"]);
        assert_eq!(rows(&mut connection, &list("'', '/', 2, '', 'A/'")).await, ["a-5", "a/"]);
        assert_eq!(rows(&mut connection, &list("'a', null, 2, 'a/1'")).await, ["a/2", "a/b/3"]);
    }
}

#[tokio::test]
async fn a_probe_asks_the_insert_policy_and_leaves_nothing() {
    for server in testkit::servers() {
        let (_database, mut connection) = bucket(server, &[]).await;
        let probe = "select storage.can_insert_object('b', 'x', null, '{}')";
        assert_eq!(error(&mut connection, probe).await, "PT200 ROLLBACK");
        connection.simple_query("set role anon").await.unwrap();
        assert_eq!(
            error(&mut connection, probe).await,
            "42501 new row violates row-level security policy for table \"objects\""
        );
        connection.simple_query("set role service_role").await.unwrap();
        assert_eq!(rows(&mut connection, "select from storage.objects").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_bucket_name_has_a_limit() {
    for server in testkit::servers() {
        let (_database, mut connection) = bucket(server, &["a"]).await;
        let name = "n".repeat(101);
        assert_eq!(
            error(&mut connection, &format!("insert into storage.buckets (id, name) values ('x', '{name}')"))
                .await,
            format!("P0001 bucket name \"{name}\" is too long (101 characters). Max is 100.")
        );
        assert_eq!(rows(&mut connection, "select * from storage.get_size_by_bucket()").await, ["5|b"]);
    }
}
